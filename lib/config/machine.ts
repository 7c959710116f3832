import { readFileSync, statfsSync } from 'node:fs';
import { totalmem } from 'node:os';
import { dirname, resolve } from 'node:path';
import { getHeapStatistics } from 'node:v8';

/** What defaults are scaled to. */
export interface Machine {
  /** Memory of the machine, or of the container where that is less. */
  readonly memoryTotalBytes: number;
  /** File descriptors that the process may open; Infinity where unknown. */
  readonly openFilesMax: number;
  /** What Node.js lets the JavaScript heap grow to. */
  readonly heapMaxBytes: number;
  /** Size of the file system that a folder is on, or will be; Infinity where unknown. */
  readonly diskTotalBytes: (folder: string) => number;
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

function readDiskTotalBytes(folder: string): number {
  for (let at = resolve(folder); ; at = dirname(at)) {
    try {
      const { blocks, bsize } = statfsSync(at);
      return blocks * bsize;
    } catch {
      // It does not exist yet: where it will be tells.
      if (at === dirname(at)) return Infinity;
    }
  }
}

/** The machine that this process runs on. Blocks for one small read. */
export function readMachine(): Machine {
  const constrained = process.constrainedMemory() ?? 0;
  const total = totalmem();
  return {
    memoryTotalBytes: constrained > 0 ? Math.min(constrained, total) : total,
    openFilesMax: readOpenFilesMax(),
    heapMaxBytes: getHeapStatistics().heap_size_limit,
    diskTotalBytes: readDiskTotalBytes,
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

const MEMORY_SHARE = 0.8;
const HEAP_SHARE = 0.6;
/** What the process takes with nothing in its queues, with room for connections and caches. */
const PROCESS_BYTES = 256 * 1024 * 1024;
/** One queue of the default size must fit. */
export const MEMORY_MIN_BYTES = 16 * 1024 * 1024;

/** Default of `limits.memoryMaxBytes`. */
export function memoryMaxBytesFor({ memoryTotalBytes, heapMaxBytes }: Machine): number {
  const affordable = Math.min(memoryTotalBytes * MEMORY_SHARE - PROCESS_BYTES, heapMaxBytes * HEAP_SHARE);
  return Math.max(MEMORY_MIN_BYTES, Math.floor(affordable));
}

const RETAINED_MAX_BYTES = 128 * 1024 * 1024;
const RETAINED_HEAP_SHARE = 0.25;

/** Default of `limits.retainedMaxBytes`: small messages are nearly all heap, and not to fill it before anything else does. */
export function retainedMaxBytesFor({ heapMaxBytes }: Pick<Machine, 'heapMaxBytes'>): number {
  return Math.floor(Math.min(RETAINED_MAX_BYTES, heapMaxBytes * RETAINED_HEAP_SHARE));
}

const DISK_SHARE = 0.5;
const DISK_RESERVE_SHARE = 0.05;
const DISK_RESERVE_MAX_BYTES = 1024 * 1024 * 1024;
const DISK_UNKNOWN_MAX_BYTES = 16 * 1024 * 1024 * 1024;
const DISK_MIN_BYTES = 1024 * 1024;

/** Default of `limits.diskMaxBytes`. @param totalBytes of the file system */
export function diskMaxBytesFor(totalBytes: number): number {
  if (!Number.isFinite(totalBytes)) return DISK_UNKNOWN_MAX_BYTES;
  return Math.max(DISK_MIN_BYTES, Math.floor(totalBytes * DISK_SHARE));
}

/** Default of `limits.diskReserveBytes`. @param totalBytes of the file system */
export function diskReserveBytesFor(totalBytes: number): number {
  return Math.floor(Math.min(DISK_RESERVE_MAX_BYTES, totalBytes * DISK_RESERVE_SHARE));
}

const KEEP_SHARE = 0.25;
const KEEP_MAX_BYTES = 1024 * 1024 * 1024;

/** Default of `storage.keepMaxBytes`. */
export function keepMaxBytesFor(diskMaxBytes: number): number {
  return Math.floor(Math.min(KEEP_MAX_BYTES, diskMaxBytes * KEEP_SHARE));
}
