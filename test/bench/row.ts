/** What a row of the table is made of: cells to measure, figures to show, budgets to hold. */
import type {
  BenchVersion,
  FailedResult,
  IdleResult,
  LatencyResult,
  LoadJob,
  RateResult,
} from './load-job.js';
import type { FormationName } from './formations.js';
import type { TargetName } from './targets.js';

export interface StartResult {
  readonly kind: 'start';
  /** From the start of the process to the first CONNACK. */
  readonly readyMs: number;
  /** Resident memory once it stands still, nobody connected. */
  readonly idleBytes: number;
}

/** Microseconds per look-up with 100,000 filters: the mean, and the mean of the slowest thousand in a row. */
export interface RouteResult {
  readonly kind: 'route';
  readonly cachedUs: number;
  readonly uncachedUs: number;
  readonly cachedWorstUs: number;
  readonly uncachedWorstUs: number;
}

/** What a probe measured, by name: see probes/. */
export interface FiguresResult {
  readonly kind: 'figures';
  readonly figures: Readonly<Record<string, number>>;
}

export type Measurement = RateResult | LatencyResult | IdleResult | StartResult | RouteResult | FiguresResult;
/** What it needs is not installed: neither a figure nor a failure. */
export interface SkippedResult {
  readonly kind: 'skipped';
  readonly reason: string;
}

export type Sample = Measurement | FailedResult | SkippedResult;

type DistributiveOmit<T, K extends string> = T extends unknown ? Omit<T, K> : never;
/** A job without what only the running servers know. */
export type JobPlan = DistributiveOmit<LoadJob, 'port' | 'subscriberPort' | 'serverPid' | 'otherPids'>;

/** One thing that is measured once per round, on a fresh server. */
export interface Cell {
  /** Unique in the row, and what the table calls it: `mosquitto, MQTT 5`. */
  readonly name: string;
  readonly target: TargetName;
  /** Several servers that pass messages on: publishers at the first, subscribers at the second. */
  readonly formation?: FormationName;
  /** 'start': nothing but the start of the server; 'route': the router by itself, without a server; a probe starts what it needs. */
  readonly plan: JobPlan | 'start' | { readonly kind: 'route'; readonly seconds: number } | ProbePlan;
}

/** One of probes/main.ts, with its numbers. */
export interface ProbePlan {
  readonly kind: 'probe';
  readonly name: string;
  readonly numbers: readonly number[];
  readonly timeoutMs: number;
}

/** A column of figures: one number per sample. */
export interface Figure {
  readonly name: string;
  readonly unit: FigureUnit;
  of(sample: Measurement): number;
}
export type FigureUnit =
  'perSecond' | 'ms' | 'us' | 'kilobytes' | 'megabytes' | 'percent' | 'times' | 'count';

/** A demand on the median of a number that is computed in every round from samples of that same round. */
export interface Budget {
  readonly text: string;
  readonly bound: 'atLeast' | 'atMost' | 'below' | 'above';
  readonly limit: number;
  /** Cells that it is computed from; the result is `missing` while one of them is. */
  readonly cells: readonly string[];
  value(sampleOf: (cell: string) => Measurement): number;
}

export interface Row {
  readonly id: string;
  readonly title: string;
  readonly cells: readonly Cell[];
  readonly figures: readonly Figure[];
  readonly budgets: readonly Budget[];
  /** Something the reader has to know, such as a peer that cannot do this. */
  readonly note?: string;
}

export function versionName(version: BenchVersion): string {
  return version === 5 ? 'MQTT 5' : 'MQTT 3.1.1';
}

/** Raised when a figure is asked of a sample of another kind: a mistake in rows.ts. */
export function expectKind<K extends Measurement['kind']>(
  sample: Measurement,
  kind: K,
): Extract<Measurement, { kind: K }> {
  if (!isKind(sample, kind)) throw new TypeError(`${sample.kind} where ${kind} was expected`);
  return sample;
}

function isKind<K extends Measurement['kind']>(
  sample: Measurement,
  kind: K,
): sample is Extract<Measurement, { kind: K }> {
  return sample.kind === kind;
}

/** What a process of the benchmark printed. Throws a SyntaxError if it died in the middle of it. */
export function parseSample(text: string): Sample {
  return JSON.parse(text) as Sample;
}
