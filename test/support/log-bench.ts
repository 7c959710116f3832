/** A log over a file system in memory, and what was promised of it. */
import { type Log as LogType, Log, type LogOptions } from '../../storage/log/log.js';
import { RECORD_HEADER_BYTES } from '../../storage/log/record.js';
import { realClock } from '../../lib/real-clock.js';
import { nullLogger } from './null-logger.js';
import type { FaultyFiles } from './faulty-files.js';

export const IDENTITY = Buffer.from('a log of tests!!', 'latin1');
export const FOLDER = 'data/log';

/** Waits of a retry pass at once; those beyond are left as they are. */
const RETRY_MAX_MS = 2000;
export const quickTimers = {
  after(delayMs: number, fire: () => void): { cancel(): void } {
    const timer = setTimeout(fire, delayMs <= RETRY_MAX_MS ? 0 : delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

export function openLog(files: FaultyFiles, options: Partial<LogOptions> = {}): Promise<LogType> {
  return Log.open({
    files,
    folder: FOLDER,
    identity: IDENTITY,
    clock: realClock,
    timers: quickTimers,
    logger: nullLogger,
    schedule: setImmediate,
    segmentMaxBytes: 16_384,
    commitDelayMs: 0,
    ...options,
  });
}

export function append(log: LogType, type: number, body: Uint8Array): number {
  const chunk = log.reserve(body.length);
  chunk.buffer.set(body, chunk.length + RECORD_HEADER_BYTES);
  return log.append(chunk, type, body.length);
}

/** Resolves when `position` is committed. */
export function committed(log: LogType, position: number): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (log.committed >= position) resolve();
      else log.onCommitted = look;
    };
    look();
  });
}

export interface StoredRecord {
  readonly type: number;
  readonly body: string;
}

/** Everything that is committed, by position, and the positions that cannot be read. */
export async function readAll(
  log: LogType,
): Promise<{ readonly records: Map<number, StoredRecord>; readonly lost: number[] }> {
  const records = new Map<number, StoredRecord>();
  const lost: number[] = [];
  for (let at = log.reader.first; at <= log.committed;) {
    const result = await log.reader.read(at, Infinity, (position, type, bytes, start, end) => {
      records.set(position, { type, body: Buffer.from(bytes.subarray(start, end)).toString('latin1') });
    });
    for (const { first, last } of result.damage) for (let p = first; p <= last; p++) lost.push(p);
    at = result.next;
  }
  return { records, lost };
}
