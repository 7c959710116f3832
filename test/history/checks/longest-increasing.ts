/** Length of the longest strictly increasing subsequence: patience sorting, n log n. */
export function longestIncreasing(values: readonly number[]): number {
  /** The least value in which an increasing subsequence of each length can end. */
  const ends: number[] = [];
  for (const value of values) {
    let low = 0;
    for (let high = ends.length; low < high;) {
      const middle = (low + high) >>> 1;
      if ((ends[middle] ?? Infinity) < value) low = middle + 1;
      else high = middle;
    }
    ends[low] = value;
  }
  return ends.length;
}
