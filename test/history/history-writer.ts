/** Where the actors of one process write what they do and see. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { formatBody, type ActorId, type EventBody, type HistoryEvent } from './event.js';

/** Takes events in the order in which they happen; the stamp is its own. */
export interface HistorySink {
  readonly run: string;
  write(actor: ActorId, body: EventBody): void;
}

export type NanosecondClock = () => bigint;

/** Lines are gathered up to this many characters: a system call for some hundred events. */
const BUFFER_MAX_CHARACTERS = 64 * 1024;

/**
 * The file of one process. Its last events reach the file with `close`, or when its buffer is full: a client process must be
 * asked to leave, not killed, or what it acknowledged last looks lost.
 */
export class HistoryWriter implements HistorySink {
  readonly run: string;
  readonly #now: NanosecondClock;
  #file: number | undefined;
  #buffer = '';
  #count = 0;

  constructor(path: string, run: string, now: NanosecondClock = process.hrtime.bigint) {
    this.run = run;
    this.#now = now;
    this.#file = openSync(path, 'wx');
  }

  write(actor: ActorId, body: EventBody): void {
    if (this.#file === undefined) throw new TypeError(`the history is closed: ${JSON.stringify(body)}`);
    const stamp = { t: this.#now(), run: this.run, p: actor, i: this.#count++ };
    this.#buffer += `${formatBody(stamp, body)}\n`;
    if (this.#buffer.length >= BUFFER_MAX_CHARACTERS) this.flush();
  }

  flush(): void {
    if (this.#file === undefined || this.#buffer === '') return;
    const bytes = Buffer.from(this.#buffer);
    this.#buffer = '';
    for (let at = 0; at < bytes.length;) at += writeSync(this.#file, bytes, at);
  }

  /** Idempotent. */
  close(): void {
    if (this.#file === undefined) return;
    this.flush();
    closeSync(this.#file);
    this.#file = undefined;
  }
}

/** A history that stays in memory. */
export class MemoryHistory implements HistorySink {
  readonly run: string;
  readonly events: HistoryEvent[] = [];
  readonly #now: NanosecondClock;

  constructor(run: string, now: NanosecondClock = process.hrtime.bigint) {
    this.run = run;
    this.#now = now;
  }

  write(actor: ActorId, body: EventBody): void {
    this.events.push({ t: this.#now(), run: this.run, p: actor, i: this.events.length, ...body });
  }
}
