/** A histogram of durations that costs nanoseconds to write to, a few KB to keep, and can be added to another. */

/** Buckets for each doubling: a value is off by 0.8 % at most. */
const PER_DOUBLING = 64;
const DOUBLINGS = 27; // 1 µs to 134 s

/** Microseconds in; counts by bucket. Plain arrays cross from process to process as JSON. */
export interface Histogram {
  record(us: number): void;
  add(counts: number[]): void;
  /** The value in µs that the share `q` of the values does not exceed; NaN of nothing. */
  quantile(q: number): number;
  count(): number;
  counts(): number[];
  clear(): void;
}

export function createHistogram(): Histogram {
  const buckets = new Uint32Array(PER_DOUBLING * DOUBLINGS);
  const bucketOf = (us: number) =>
    us <= 1 ? 0 : Math.min(buckets.length - 1, Math.floor(Math.log2(us) * PER_DOUBLING));
  const count = () => buckets.reduce((sum, n) => sum + n, 0);
  return {
    record(us) {
      buckets[bucketOf(us)]!++;
    },
    add(counts) {
      counts.forEach((n, bucket) => (buckets[bucket]! += n));
    },
    quantile(q) {
      const total = count();
      if (total === 0) return NaN;
      let left = Math.max(1, Math.ceil(q * total));
      const bucket = buckets.findIndex((n) => (left -= n) <= 0);
      return 2 ** ((bucket + 0.5) / PER_DOUBLING);
    },
    count,
    counts: () => [...buckets],
    clear: () => void buckets.fill(0),
  };
}
