/** What a proof has found. */
export interface ProofReport {
  /** By what they count. */
  readonly figures: Readonly<Record<string, number | string>>;
  /** What should not be; each in one line. */
  readonly failures: readonly string[];
  /** What could not be tried here, and why. */
  readonly skipped?: readonly string[];
}

/** In milliseconds: the middle one and the longest. */
export function timesText(times: readonly number[]): string {
  if (times.length === 0) return 'none';
  const sorted = times.toSorted((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const longest = sorted[sorted.length - 1] ?? 0;
  return `${sorted.length} times, median ${Math.round(middle)} ms, longest ${Math.round(longest)} ms`;
}
