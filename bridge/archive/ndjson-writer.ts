/** Rows as lines of JSON, for those who read them without a library. */
import {
  type ArchiveRow,
  type ByteSink,
  type FileFacts,
  jsonOf,
  type RowWriter,
  type WrittenFile,
} from './row.js';
import { isUtf8 } from 'node:buffer';

const CHUNK_CHARACTERS = 65_536;

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

  constructor(sink: ByteSink, { site, origin, epoch }: FileFacts) {
    this.#sink = sink;
    this.#common = JSON.stringify({ site, origin, epoch: epoch.counter }).slice(1, -1);
  }

  get pendingBytes(): number {
    return 2 * this.#pending.length;
  }

  add({ timeMs, sequence, topic, qos, retain, properties, payload }: ArchiveRow): void {
    // oxlint-disable-next-line eslint/no-restricted-globals -- it only writes the time down
    const time = new Date(timeMs).toISOString();
    const own = `"sequence":${sequence},"topic":${JSON.stringify(topic)},"qos":${qos},"retain":${retain}`;
    const more = properties === undefined ? '' : `,"properties":${properties}`;
    this.#pending += `{"time":"${time}",${this.#common},${own}${more},${payloadField(payload)}}\n`;
    this.#rows++;
    if (this.#pending.length >= CHUNK_CHARACTERS) this.flush();
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

function payloadField(payload: Uint8Array): string {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  const json = jsonOf(payload);
  // In JSON a line end is white space between two tokens, and here the end of the line.
  if (json !== undefined) return `"json":${json.text.replaceAll(/[\n\r]/g, ' ')}`;
  return isUtf8(payload)
    ? `"text":${JSON.stringify(bytes.toString('utf8'))}`
    : `"base64":"${bytes.toString('base64')}"`;
}
