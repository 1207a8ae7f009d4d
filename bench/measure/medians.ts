/** Medians and spread of the figures of several runs. */

export interface Summary {
  median: number;
  min: number;
  max: number;
  count: number;
}

/** Of at least one value; the median of an even number is the mean of the two in the middle. */
export function summarise(values: number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)!, count: sorted.length };
}
