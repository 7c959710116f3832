import { readFileSync } from 'node:fs';
import type { Clock } from '../contracts/clock.js';
import type { GatewayView } from './gauges.js';

/** The part of a view that is about the process. */
export type ProcessFigures = Pick<
  GatewayView,
  | 'deviceWrittenBytes'
  | 'rssBytes'
  | 'heapUsedBytes'
  | 'heapTotalBytes'
  | 'externalBytes'
  | 'cpuS'
  | 'startedAtS'
>;

/** A machine without a clock battery sets its clock after the start: beyond this the start time is computed again. */
const CLOCK_SET_S = 2;

/** Of `write_bytes` in /proc/<pid>/io. */
export function parseDeviceWrittenBytes(io: string): number {
  return Number(/^write_bytes: (\d+)/m.exec(io)?.[1] ?? 0);
}

function readDeviceWrittenBytes(): number {
  try {
    return parseDeviceWrittenBytes(readFileSync('/proc/self/io', 'utf8'));
  } catch {
    return 0; // Not Linux, or not allowed.
  }
}

/** @returns a function that reads the figures of this process. */
export function createProcessFigures(clock: Clock): () => ProcessFigures {
  let startedAtS = Number.NEGATIVE_INFINITY;
  return () => {
    const memory = process.memoryUsage();
    const cpu = process.cpuUsage();
    const startS = clock.wall() / 1000 - process.uptime();
    if (Math.abs(startS - startedAtS) > CLOCK_SET_S) startedAtS = startS;
    return {
      deviceWrittenBytes: readDeviceWrittenBytes(),
      rssBytes: memory.rss,
      heapUsedBytes: memory.heapUsed,
      heapTotalBytes: memory.heapTotal,
      externalBytes: memory.external,
      cpuS: (cpu.user + cpu.system) / 1e6,
      startedAtS,
    };
  };
}
