import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { Clock } from '../contracts/clock.js';

export interface EventLoopLag {
  readonly p50S: number;
  readonly p99S: number;
}

/** What is used of a histogram of node:perf_hooks; values are nanoseconds. */
export interface DelayHistogram {
  readonly count: number;
  percentile(percentile: number): number;
  reset(): void;
  disable(): boolean;
}

export interface EventLoopMonitor {
  read(): EventLoopLag;
  /** Ends the sampling; further reads repeat the last figures. Idempotent. */
  close(): void;
}

/** 50 wake-ups a second cost an idle Raspberry Pi nothing that can be seen. */
const RESOLUTION_MS = 20;
/** Readers that come more often share one window, so that two of them do not take each other's samples. */
const WINDOW_MS = 10_000;

function startHistogram(): DelayHistogram {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  return histogram;
}

/**
 * Samples how late timers fire. Figures cover the time since a window began; a window ends with the first read after
 * 10 s, and its figures stand until the next one ends.
 * @param histogram replaces the real one in tests.
 */
export function createEventLoopMonitor(clock: Clock, histogram = startHistogram()): EventLoopMonitor {
  let windowAt = clock.now();
  let ended: EventLoopLag | undefined;
  let open = true;
  const readNow = (): EventLoopLag => ({ p50S: lagS(histogram, 50), p99S: lagS(histogram, 99) });
  return {
    read(): EventLoopLag {
      if (!open) return ended ?? { p50S: 0, p99S: 0 };
      const now = clock.now();
      if (now - windowAt < WINDOW_MS) return ended ?? readNow();
      windowAt = now;
      ended = readNow();
      histogram.reset();
      return ended;
    },
    close(): void {
      if (!open) return;
      ended = readNow();
      open = false;
      histogram.disable();
    },
  };
}

/** A sample is the time between two firings: the interval itself is not lag. */
function lagS(histogram: DelayHistogram, percentile: number): number {
  if (histogram.count === 0) return 0;
  return Math.max(0, histogram.percentile(percentile) / 1e6 - RESOLUTION_MS) / 1000;
}

/** The share of its time that the event loop was busy since the last call, from 0 to 1. */
export function createBusyShare(): () => number {
  let last: EventLoopUtilization = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}
