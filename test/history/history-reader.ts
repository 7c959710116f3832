/** Histories of several processes as one, in the order of time. */
import { closeSync, openSync, readSync } from 'node:fs';
import { parseEvent, type HistoryEvent } from './event.js';

const CHUNK_BYTES = 256 * 1024;
const LINE_FEED = 0x0a;

/** Can be read several times. Events of equal time keep the order of the files. */
export class HistoryFiles implements Iterable<HistoryEvent> {
  readonly #paths: readonly string[];
  /** Lines without an end, as a killed writer leaves them; they are left out. Of the last reading. */
  tornLines = 0;

  constructor(paths: readonly string[]) {
    this.#paths = paths;
  }

  /** @throws TypeError for a line that is no event, and for a file with a hole or with time that goes back. */
  *[Symbol.iterator](): Generator<HistoryEvent> {
    this.tornLines = 0;
    const readers = this.#paths.map((path) => this.#read(path));
    try {
      yield* merge(readers);
    } finally {
      for (const reader of readers) reader.return(undefined);
    }
  }

  *#read(path: string): Generator<HistoryEvent> {
    let last: HistoryEvent | undefined;
    for (const line of this.#lines(path)) {
      const event = parseEvent(line);
      if (event.i !== (last?.i ?? -1) + 1)
        throw new TypeError(`${path} has event ${event.i} after ${last?.i ?? 'nothing'}`);
      if (last !== undefined && event.t < last.t) throw new TypeError(`${path} goes back in time: ${line}`);
      last = event;
      yield event;
    }
  }

  *#lines(path: string): Generator<string> {
    const file = openSync(path, 'r');
    try {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      let rest: Buffer = Buffer.alloc(0);
      for (;;) {
        const length = readSync(file, chunk);
        if (length === 0) break;
        const end = chunk.lastIndexOf(LINE_FEED, length - 1) + 1;
        if (end === 0) {
          rest = Buffer.concat([rest, chunk.subarray(0, length)]);
          continue;
        }
        const text = Buffer.concat([rest, chunk.subarray(0, end - 1)]).toString();
        rest = Buffer.from(chunk.subarray(end, length));
        yield* text.split('\n');
      }
      if (rest.length > 0) this.tornLines++;
    } finally {
      closeSync(file);
    }
  }
}

interface Head {
  readonly reader: Iterator<HistoryEvent>;
  event: HistoryEvent;
}

function* merge(readers: readonly Iterator<HistoryEvent>[]): Generator<HistoryEvent> {
  const heads: Head[] = [];
  for (const reader of readers) {
    const { value, done } = reader.next();
    if (done !== true) heads.push({ reader, event: value });
  }
  for (;;) {
    // Few files: a look at each costs less than a heap.
    let [next] = heads;
    if (next === undefined) return;
    for (const head of heads) {
      if (head.event.t < next.event.t) next = head;
    }
    yield next.event;
    const { value, done } = next.reader.next();
    if (done === true) heads.splice(heads.indexOf(next), 1);
    else next.event = value;
  }
}
