/** How a cost grows with a size: the exponent b of the best fit cost = a · size^b. */

/** The slope of log cost over log size, by least squares: 0 does not grow, 1 grows in proportion. */
export function exponent(points: { size: number; cost: number }[]): number {
  const logs = points.map(({ size, cost }) => ({ x: Math.log(size), y: Math.log(cost) }));
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(logs.map((log) => log.x)), mean(logs.map((log) => log.y))];
  const covariance = mean(logs.map((log) => (log.x - x) * (log.y - y)));
  const variance = mean(logs.map((log) => (log.x - x) ** 2));
  return covariance / variance;
}
