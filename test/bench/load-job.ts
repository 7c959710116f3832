/**
 * What the benchmark asks of the load generator and what it gets back. Both cross a process boundary as JSON.
 */

export type BenchVersion = 4 | 5;

interface JobBase {
  readonly port: number;
  /** Where subscribers connect, if that is another server than the publishers'. */
  readonly subscriberPort?: number;
  readonly version: BenchVersion;
  /** The process under load (with its descendants): its CPU and memory are read from /proc. */
  readonly serverPid: number;
  /** More servers that the messages pass: their CPU is added. */
  readonly otherPids?: readonly number[];
  readonly payloadBytes: number;
  /** Traffic before the measured window; nothing of it is counted. */
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** How long what has to come may stand still behind the window before the run has failed. Default: `LOST_AFTER_MS`. */
  readonly lostAfterMs?: number;
}

/** On a disk that other work keeps busy, too. */
export const LOST_AFTER_MS = 15_000;

/** QoS 0 as fast as the subscribers keep up, one publisher. */
export interface FloodJob extends JobBase {
  readonly kind: 'flood';
  readonly subscribers: number;
  /** How far the publisher may run ahead of the slowest reading subscriber, in bytes of PUBLISH packets. */
  readonly creditBytes: number;
  /** One more subscriber, which stops reading after its SUBACK and whose socket is filled first. */
  readonly stopped: boolean;
}

/** QoS 1 or 2 on `pairs` topics, one publisher and one subscriber each, a window of unacknowledged messages per publisher. */
export interface WindowJob extends JobBase {
  readonly kind: 'window';
  readonly qos: 1 | 2;
  readonly pairs: number;
  readonly windowCount: number;
  /** How many messages a publisher may run ahead of its subscriber; keeps the broker's queues short. */
  readonly aheadMaxCount: number;
}

/** Open loop: one publisher, evenly spaced messages whatever the broker does, latency of every delivery. */
export interface PacedJob extends JobBase {
  readonly kind: 'paced';
  readonly qos: 0 | 1;
  readonly subscribers: number;
  readonly ratePerSecond: number;
  /** So many are due at the same moment, and are written together; default 1. */
  readonly batch?: number;
  readonly stopped: boolean;
}

/** Connections that do nothing; the result is what each costs the server in resident memory. */
export interface IdleJob extends JobBase {
  readonly kind: 'idle';
  readonly connections: number;
  /** Each with one subscription to a topic of its own, or none. */
  readonly subscribe: boolean;
}

export type LoadJob = FloodJob | WindowJob | PacedJob | IdleJob;

/** CPU in cores: 1 is one core busy for the whole measured window. */
export interface CpuUse {
  readonly generatorCores: number;
  readonly serverCores: number;
}

export interface RateResult {
  readonly kind: 'rate';
  /** Deliveries (all subscribers together) per second of the measured window. */
  readonly deliveredPerSecond: number;
  readonly publishedPerSecond: number;
  /** Of QoS 1 and 2: the longest time in the window in which no delivery came at all. */
  readonly longestGapMs?: number;
  /** Of all messages of the run that were due to a reading subscriber; 0 for a QoS 1 or 2 run, which fails otherwise. */
  readonly lossPercent: number;
  readonly cpu: CpuUse;
}

export interface LatencyResult {
  readonly kind: 'latency';
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly deliveredPerSecond: number;
  readonly publishedPerSecond: number;
  readonly lossPercent: number;
  /** How late the generator itself sent, p99: what of the latency could be its own doing. */
  readonly sendLatenessP99Ms: number;
  /** From the write of a message to its PUBACK, warm-up included; 0 for QoS 0. */
  readonly ackP99Ms: number;
  /** Bytes waiting in the stopped subscriber's socket at the end; absent without one. */
  readonly stoppedBacklogBytes?: number;
  readonly cpu: CpuUse;
}

export interface IdleResult {
  readonly kind: 'idle';
  readonly bytesPerConnection: number;
  readonly rssBeforeBytes: number;
  readonly rssAfterBytes: number;
}

/** A run that must not be counted: the first thing that was wrong. */
export interface FailedResult {
  readonly kind: 'failed';
  readonly reason: string;
}

export type LoadResult = RateResult | LatencyResult | IdleResult | FailedResult;

/** Reads what `JSON.stringify` wrote on the other side; both sides are built together, so the shape is not checked again. */
export function parseJob(text: string): LoadJob {
  return JSON.parse(text) as LoadJob;
}

/** As `parseJob`, for the answer. Throws a SyntaxError if the generator died in the middle of it. */
export function parseResult(text: string): LoadResult {
  return JSON.parse(text) as LoadResult;
}
