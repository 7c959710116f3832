/** The few statistics that the tables need, on plain arrays. */

/** Middle value (mean of the two middle ones). Throws a RangeError on an empty list. */
export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

/** Linear interpolation between the closest ranks; `percent` from 0 to 100. Throws a RangeError on an empty list. */
export function percentile(values: readonly number[], percent: number): number {
  return percentileOfSorted(Float64Array.from(values).sort(), percent);
}

/** As `percentile`, for numbers that are already in ascending order. */
export function percentileOfSorted(sorted: Float64Array, percent: number): number {
  if (sorted.length === 0) throw new RangeError('no values');
  const rank = ((sorted.length - 1) * percent) / 100;
  const below = sorted[Math.floor(rank)] ?? 0;
  const above = sorted[Math.ceil(rank)] ?? 0;
  // Between two that are infinite there is nothing to interpolate.
  if (below === above) return below;
  return below + (above - below) * (rank - Math.floor(rank));
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}
