import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';

/** What defaults are scaled to. */
export interface Machine {
  /** Memory of the machine, or of the container where that is less. */
  readonly memoryTotalBytes: number;
  /** File descriptors that the process may open; Infinity where unknown. */
  readonly openFilesMax: number;
}

/** Reads the soft limit of the `Max open files` line of /proc/<pid>/limits. */
export function parseOpenFilesMax(limits: string): number {
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  return soft === undefined || soft === 'unlimited' ? Infinity : Number(soft);
}

function readOpenFilesMax(): number {
  try {
    return parseOpenFilesMax(readFileSync('/proc/self/limits', 'utf8'));
  } catch {
    return Infinity; // Not Linux: the system will say so itself when descriptors run out.
  }
}

/** The machine that this process runs on. Blocks for one small read. */
export function readMachine(): Machine {
  const constrained = process.constrainedMemory() ?? 0;
  const total = totalmem();
  return {
    memoryTotalBytes: constrained > 0 ? Math.min(constrained, total) : total,
    openFilesMax: readOpenFilesMax(),
  };
}

const CONNECTIONS_MAX = 10_000;
const CONNECTION_BYTES = 50 * 1024;
/** Descriptors kept for listeners, HTTP, logs, storage and modules. */
const OPEN_FILES_RESERVED = 256;
const CONNECTIONS_MIN = 64;

/** Default of `limits.connectionsMax`. */
export function connectionsMaxFor(machine: Machine): number {
  const affordable = Math.min(
    CONNECTIONS_MAX,
    Math.floor(machine.memoryTotalBytes / CONNECTION_BYTES),
    machine.openFilesMax - OPEN_FILES_RESERVED,
  );
  return Math.max(CONNECTIONS_MIN, affordable);
}

const MEMORY_SHARE = 0.25;
/** One queue of the default size must fit. */
export const MEMORY_MIN_BYTES = 16 * 1024 * 1024;

/** Default of `limits.memoryMaxBytes`: a quarter of `memoryTotalBytes`. */
export function memoryMaxBytesFor(memoryTotalBytes: number): number {
  return Math.max(MEMORY_MIN_BYTES, Math.floor(memoryTotalBytes * MEMORY_SHARE));
}
