/** What a gateway holds, at one moment: memory as it and the system see it, files that are open, bytes of its data folder. */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { GatewayProcess, LogLine } from '../gateway-process.js';
import { type HeapKinds, readHeapKinds } from './heap-kinds.js';
import type { Point } from './trend.js';

export interface Sample {
  readonly hours: number;
  /** After a collection. */
  readonly heapBytes: number;
  /** Of the heap: bytecode and machine code. What the compiler learns of the code and its data is as much again, and is not in here: see `HeapKinds`. */
  readonly codeBytes: number;
  /** Outside the heap, after a collection. */
  readonly bufferBytes: number;
  readonly rssBytes: number;
  readonly fileDescriptors: number;
  readonly dataBytes: number;
}

export interface HeapSample extends HeapKinds {
  readonly hours: number;
}

const KIB = 1024;
const MB = 1_000_000;

/** @returns undefined: the gateway ended */
export async function takeSample(
  gateway: GatewayProcess,
  dataDir: string,
  hours: number,
): Promise<Sample | undefined> {
  const line = await answerOf(gateway, 'SIGUSR2', 'collected');
  if (line === undefined) return undefined;
  const process = `/proc/${gateway.child.pid}`;
  const status = await readFile(`${process}/status`, 'utf8');
  const descriptors = await readdir(`${process}/fd`);
  return {
    hours,
    heapBytes: Number(line['heapBytes']),
    codeBytes: Number(line['codeBytes']),
    bufferBytes: Number(line['bufferBytes']),
    rssBytes: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * KIB,
    fileDescriptors: descriptors.length,
    dataBytes: await bytesBelow(dataDir),
  };
}

/** It stands still for a second or two, and its resident memory stays larger. @returns undefined: the gateway ended */
export async function takeHeapKinds(gateway: GatewayProcess, hours: number): Promise<HeapSample | undefined> {
  const line = await answerOf(gateway, 'SIGWINCH', 'heap snapshot');
  if (line === undefined) return undefined;
  const file = String(line['file']);
  try {
    return { hours, ...(await readHeapKinds(file)) };
  } finally {
    await rm(file, { force: true });
  }
}

/** What the collector says behind a signal. */
async function answerOf(
  gateway: GatewayProcess,
  signal: NodeJS.Signals,
  message: string,
): Promise<LogLine | undefined> {
  const before = gateway.lines.length;
  gateway.child.kill(signal);
  const isNew = (line: LogLine): boolean => line.message === message && gateway.lines.indexOf(line) >= before;
  return (await gateway.told(isNew)) ? gateway.lines.find(isNew) : undefined;
}

/** Files go while they are counted. */
async function bytesBelow(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true });
  const sizes = names.map((name) =>
    stat(join(folder, name)).then(
      (found) => (found.isFile() ? found.size : 0),
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** By what they count; in megabytes but for the file descriptors. */
export const SERIES = {
  'heap, MB': ({ heapBytes }: Sample) => heapBytes / MB,
  'heap without code, MB': ({ heapBytes, codeBytes }: Sample) => (heapBytes - codeBytes) / MB,
  'buffers, MB': ({ bufferBytes }: Sample) => bufferBytes / MB,
  'resident, MB': ({ rssBytes }: Sample) => rssBytes / MB,
  'file descriptors': ({ fileDescriptors }: Sample) => fileDescriptors,
  'data folder, MB': ({ dataBytes }: Sample) => dataBytes / MB,
} as const;

export function pointsOf(samples: readonly Sample[], valueOf: (sample: Sample) => number): Point[] {
  return samples.map((sample) => ({ hours: sample.hours, value: valueOf(sample) }));
}
