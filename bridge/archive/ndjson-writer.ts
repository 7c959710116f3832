/** Rows as lines of JSON, for those who read them without a library. */
import { type ArchiveRow, type ByteSink, jsonOf, type RowWriter, type WrittenFile } from './row.js';
import { isUtf8 } from 'node:buffer';

const CHUNK_CHARACTERS = 65_536;
const MS_PER_S = 1000;
/** Topics whose text is remembered. */
const TOPICS_MAX_COUNT = 4096;

/** What all lines have in common. */
export interface LineFacts {
  readonly site: string;
  readonly origin: string;
  readonly epoch: { readonly counter: number };
}

/**
 * A line has the columns of Parquet. The payload is `json` where it is JSON (as it is, so that numbers keep their digits), `text` where it is UTF-8,
 * and else `base64`.
 */
export class NdjsonRows implements RowWriter {
  readonly #sink: ByteSink;
  /** What all lines have, without the brackets. */
  readonly #common: string;
  #pending = '';
  #rows = 0;
  #length = 0;
  #second = NaN;
  #secondText = '';
  readonly #topics = new Map<string, string>();

  constructor(sink: ByteSink, { site, origin, epoch }: LineFacts) {
    this.#sink = sink;
    this.#common = JSON.stringify({ site, origin, epoch: epoch.counter }).slice(1, -1);
  }

  get pendingBytes(): number {
    return 2 * this.#pending.length;
  }

  /** @param isJson whether the payload is JSON; undefined: that is not known yet */
  add({ timeMs, sequence, topic, qos, retain, properties, payload }: ArchiveRow, isJson?: boolean): void {
    const own = `"sequence":${sequence},"topic":${this.#topicText(topic)},"qos":${qos},"retain":${retain}`;
    const more = properties === undefined ? '' : `,"properties":${properties}`;
    this.#pending += `{"time":"${this.#timeText(timeMs)}",${this.#common},${own}${more},${payloadField(payload, isJson)}}\n`;
    this.#rows++;
    if (this.#pending.length >= CHUNK_CHARACTERS) this.flush();
  }

  /** Most topics come again. */
  #topicText(topic: string): string {
    let text = this.#topics.get(topic);
    if (text === undefined) {
      text = JSON.stringify(topic);
      if (this.#topics.size >= TOPICS_MAX_COUNT) this.#topics.clear();
      this.#topics.set(topic, text);
    }
    return text;
  }

  /** As `toISOString` writes it, which takes longer than all the rest of a line: only once a second. */
  #timeText(timeMs: number): string {
    const whole = Math.trunc(timeMs);
    const second = Math.floor(whole / MS_PER_S);
    if (second !== this.#second) {
      this.#second = second;
      // oxlint-disable-next-line eslint/no-restricted-globals -- it only writes the time down
      this.#secondText = new Date(second * MS_PER_S).toISOString().slice(0, -'000Z'.length);
    }
    return `${this.#secondText}${String(whole - second * MS_PER_S).padStart(3, '0')}Z`;
  }

  finish(): WrittenFile {
    this.flush();
    return { rows: this.#rows, length: this.#length };
  }

  flush(): void {
    if (this.#pending === '') return;
    const bytes = Buffer.from(this.#pending, 'utf8');
    this.#pending = '';
    this.#length += bytes.length;
    this.#sink(bytes);
  }
}

function payloadField(payload: Uint8Array, isJson: boolean | undefined): string {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  // In JSON a line end is white space between two tokens, and here the end of the line.
  if (isJson ?? jsonOf(payload) !== undefined)
    return `"json":${bytes.toString('utf8').replaceAll(/[\n\r]/g, ' ')}`;
  return isUtf8(payload)
    ? `"text":${JSON.stringify(bytes.toString('utf8'))}`
    : `"base64":"${bytes.toString('base64')}"`;
}
