/**
 * Rows that wait to be written, as columns. A row is no object in here, and its payload no view: thousands of them are a handful of arrays, which
 * a collector of garbage has not to carry along until they are written.
 */
import { isJson } from './json-text.js';
import type { ArchiveRow, ColumnValue } from './row.js';

/** In bits 0 and 1 of a flag. */
const QOS = 3;
const RETAIN = 4;
const JSON_TEXT = 8;
const FIRST_ROWS = 64;
const FIRST_BYTES = 16_384;
/** Of a row besides its payload. */
const ROW_BYTES = 48;

export class RowGroup {
  #count = 0;
  #bytes = 0;
  #times = new Float64Array(FIRST_ROWS);
  #sequences = new Float64Array(FIRST_ROWS);
  #flags = new Uint8Array(FIRST_ROWS);
  /** Where each payload ends. */
  #ends = new Uint32Array(FIRST_ROWS);
  #payloads = new Uint8Array(FIRST_BYTES);
  #topics: string[] = [];
  #properties: (string | undefined)[] = [];
  #extracted: (readonly ColumnValue[] | undefined)[] = [];

  get count(): number {
    return this.#count;
  }

  /** Of all payloads. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What it takes of memory, about. */
  get heldBytes(): number {
    return this.#payloads.length + this.#flags.length * ROW_BYTES;
  }

  get topics(): readonly string[] {
    return this.#topics;
  }

  get properties(): readonly (string | undefined)[] {
    return this.#properties;
  }

  /** Values of the columns that the rows brought along; undefined: they are to be looked for. */
  get extracted(): readonly (readonly ColumnValue[] | undefined)[] {
    return this.#extracted;
  }

  /** The payload is copied. */
  add({ timeMs, sequence, topic, qos, retain, properties, payload, extracted }: ArchiveRow): void {
    const i = this.#count++;
    if (i === this.#flags.length) this.#growRows();
    const end = this.#bytes + payload.length;
    if (end > this.#payloads.length) this.#payloads = grown(this.#payloads, end);
    this.#times[i] = timeMs;
    this.#sequences[i] = sequence;
    this.#flags[i] = (qos & QOS) | (retain ? RETAIN : 0) | (isJson(payload) ? JSON_TEXT : 0);
    this.#payloads.set(payload, this.#bytes);
    this.#ends[i] = end;
    this.#bytes = end;
    this.#topics.push(topic);
    this.#properties.push(properties);
    this.#extracted.push(extracted);
  }

  /** What was added is forgotten, and its room is kept. */
  clear(): void {
    this.#count = 0;
    this.#bytes = 0;
    this.#topics = [];
    this.#properties = [];
    this.#extracted = [];
  }

  /** Milliseconds since 1970. */
  timeOf(i: number): number {
    return this.#times[i] as number;
  }

  sequenceOf(i: number): number {
    return this.#sequences[i] as number;
  }

  qosOf(i: number): number {
    return (this.#flags[i] as number) & QOS;
  }

  retainOf(i: number): boolean {
    return ((this.#flags[i] as number) & RETAIN) !== 0;
  }

  isJsonAt(i: number): boolean {
    return ((this.#flags[i] as number) & JSON_TEXT) !== 0;
  }

  /** Lent until something is added. */
  payloadOf(i: number): Uint8Array {
    return this.#payloads.subarray(i === 0 ? 0 : this.#ends[i - 1], this.#ends[i]);
  }

  #growRows(): void {
    const length = 2 * this.#flags.length;
    this.#times = grown(this.#times, length);
    this.#sequences = grown(this.#sequences, length);
    this.#flags = grown(this.#flags, length);
    this.#ends = grown(this.#ends, length);
  }
}

function grown<T extends Float64Array | Uint32Array | Uint8Array>(array: T, atLeast: number): T {
  const larger = new (array.constructor as new (length: number) => T)(Math.max(atLeast, 2 * array.length));
  larger.set(array);
  return larger;
}
