/**
 * Whether a series grows: the slope of its second half by Theil and Sen, with a confidence interval by Sen (J. Am. Stat. Assoc. 63, 1968), that
 * is made wider where neighbours are alike, as the phases of a load make them.
 */

export interface Point {
  readonly hours: number;
  /** What is judged, in a unit of the caller's. */
  readonly value: number;
}

export interface Trend {
  /** Units in an hour. */
  readonly slope: number;
  /** Ends of the confidence interval. */
  readonly low: number;
  readonly high: number;
  /** Of the second half. */
  readonly points: number;
  readonly hours: number;
}

/** What it grows by in an hour at least, to be said to grow: less is what the compiler learns late, and tables that fill. */
export const GROWTH_MIN_MB_PER_HOUR = 0.2;
/** Two-sided, 99 %. */
const Z = 2.576;
/** Fewer say nothing of noise. */
const POINTS_MIN_COUNT = 20;
/** Of the second half. A shorter one is about how a process warms up. */
const HOURS_MIN = 0.5;

const byValue = (a: number, b: number): number => a - b;

function middleOf(sorted: readonly number[]): number {
  const half = sorted.length / 2;
  return ((sorted[Math.ceil(half) - 1] ?? NaN) + (sorted[Math.floor(half)] ?? NaN)) / 2;
}

/** The points behind the middle of the time. */
function secondHalf(points: readonly Point[]): readonly Point[] {
  const from = ((points[0]?.hours ?? 0) + (points.at(-1)?.hours ?? 0)) / 2;
  return points.filter(({ hours }) => hours >= from);
}

/** How alike neighbours are, once the slope is taken out: 0 is not at all. */
function likeness(points: readonly Point[], slope: number): number {
  const rests = points.map(({ hours, value }) => value - slope * hours);
  const mean = rests.reduce((sum, rest) => sum + rest, 0) / rests.length;
  let [together, alone] = [0, 0];
  rests.forEach((rest, i) => {
    alone += (rest - mean) ** 2;
    together += i === 0 ? 0 : (rest - mean) * ((rests[i - 1] ?? 0) - mean);
  });
  return alone === 0 ? 0 : Math.min(0.95, Math.max(0, together / alone));
}

/** @param all in order of time. Of fewer than two points in the second half everything is NaN. */
export function trendOf(all: readonly Point[]): Trend {
  const points = secondHalf(all);
  const slopes: number[] = [];
  points.forEach((later, i) => {
    for (const earlier of points.slice(0, i))
      slopes.push((later.value - earlier.value) / (later.hours - earlier.hours));
  });
  slopes.sort(byValue);
  const slope = middleOf(slopes);
  const n = points.length;
  const alike = likeness(points, slope);
  const spread = Z * Math.sqrt(((n * (n - 1) * (2 * n + 5)) / 18) * ((1 + alike) / (1 - alike)));
  const low = Math.max(0, Math.floor((slopes.length - spread) / 2));
  const high = Math.min(slopes.length - 1, Math.ceil((slopes.length + spread) / 2));
  const hours = (points.at(-1)?.hours ?? 0) - (points[0]?.hours ?? 0);
  return { slope, low: slopes[low] ?? NaN, high: slopes[high] ?? NaN, points: n, hours };
}

export type Growth =
  | { readonly kind: 'steady' | 'grows' }
  | { readonly kind: 'short' | 'inconclusive'; readonly reason: string };

/** @param trend of megabytes: it grows where even the lower end of the interval is more than `GROWTH_MIN_MB_PER_HOUR` */
export function growthOf({ low, high, points, hours }: Trend): Growth {
  if (points < POINTS_MIN_COUNT || hours < HOURS_MIN)
    return {
      kind: 'short',
      reason: `the second half has ${points} samples of ${(hours * 60).toFixed(1)} minutes: it is judged from ${POINTS_MIN_COUNT} and ${HOURS_MIN * 60} minutes on`,
    };
  if (low > GROWTH_MIN_MB_PER_HOUR) return { kind: 'grows' };
  if (high - low > 2)
    return {
      kind: 'inconclusive',
      reason: `the interval is ${(high - low).toFixed(1)} MB/h wide, and 1 MB/h would not be seen: run it for longer`,
    };
  return { kind: 'steady' };
}

/** Between two moments at which nothing is under way data differs by so much without growing: tables of what is over are shortened now and then. */
const NOISE_MB = 0.3;

/** @param points of megabytes, few: it grows where the last is above the first by more than noise and `GROWTH_MIN_MB_PER_HOUR` */
export function growthBetween(points: readonly Point[]): Growth {
  const [first, last] = [points[0], points.at(-1)];
  const hours = first === undefined || last === undefined ? 0 : last.hours - first.hours;
  if (first === undefined || last === undefined || hours < HOURS_MIN)
    return {
      kind: 'short',
      reason: `it was looked at over ${(hours * 60).toFixed(1)} minutes: it is judged from ${HOURS_MIN * 60} on`,
    };
  return { kind: last.value - first.value > NOISE_MB + GROWTH_MIN_MB_PER_HOUR * hours ? 'grows' : 'steady' };
}
