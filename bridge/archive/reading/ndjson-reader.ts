/**
 * Rows of lines of JSON as ndjson-writer.ts makes them, some of the lines at a time. Only the beginning of a line is taken apart: what is the
 * payload is handed on as it is, so that numbers keep their digits.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type CheckedObject, ObjectDamage } from './checked-object.js';
import { FactsOf, type RowBatch, type RowFilter, type StoredRow } from './stored-row.js';

const CHUNK_BYTES = 1024 * 1024;
const LINE_END = 0x0a;
const [QUOTE, BACKSLASH, OPEN, CLOSE] = [0x22, 0x5c, 0x7b, 0x7d];
const HEAD =
  /^\{"time":"([-+\d]+T[\d:]+\.\d{3}Z)","site":("(?:[^"\\]|\\.)*"),"origin":"([0-9a-f]{64})","epoch":(\d+),"sequence":(\d+),"topic":("(?:[^"\\]|\\.)*"),"qos":([012]),"retain":(true|false),/;
const PROPERTIES = '"properties":';
const PAYLOAD = /^"(json|text|base64)":/;
/** Texts of JSON whose value is remembered. */
const KNOWN_MAX_COUNT = 10_000;
const SECOND_CHARACTERS = '2026-11-29T07:30:00'.length;

/** @throws ObjectDamage where a line is no row; ObjectFault */
export async function* readNdjson(object: CheckedObject, filter: RowFilter): AsyncGenerator<RowBatch> {
  const parser = new LineParser(filter);
  let number = 0;
  for await (const lines of linesOf(object)) {
    const rows: StoredRow[] = [];
    for (const line of lines) {
      number++;
      const row = parser.parse(line);
      if (row === undefined) throw new ObjectDamage(object.key, `has no row in line ${number}`);
      if (row !== 'unwanted') rows.push(row);
    }
    if (rows.length > 0) yield rows;
  }
}

/** Lines without their ends, those of a chunk at once. */
async function* linesOf(object: CheckedObject): AsyncGenerator<string[]> {
  let rest: Uint8Array = new Uint8Array(0);
  for (let offset = 0; offset < object.length; offset += CHUNK_BYTES) {
    const read = await object.read(offset, Math.min(CHUNK_BYTES, object.length - offset));
    // Others have a turn between two of them.
    await nextTurn();
    const chunk = rest.length === 0 ? read : Buffer.concat([rest, read]);
    const end = chunk.lastIndexOf(LINE_END) + 1;
    rest = chunk.subarray(end);
    if (end > 0) yield textOf(chunk.subarray(0, end - 1)).split('\n');
  }
  if (rest.length > 0) yield [textOf(rest)];
}

function textOf({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString('utf8');
}

class LineParser {
  readonly #filter: RowFilter;
  readonly #facts = new FactsOf();
  readonly #known = new Map<string, string>();
  #second = '';
  #secondMs = NaN;

  constructor(filter: RowFilter) {
    this.#filter = filter;
  }

  /** @returns undefined: it is no row */
  parse(line: string): StoredRow | 'unwanted' | undefined {
    const head = HEAD.exec(line);
    if (head === null) return undefined;
    const [begin, time = '', siteText = '', origin = '', epoch, sequence, topicText = '', qos, retain] = head;
    const timeMs = this.#timeOf(time);
    const topic = this.#stringOf(topicText);
    const site = this.#stringOf(siteText);
    if (Number.isNaN(timeMs) || topic === undefined || site === undefined) return undefined;
    const { fromMs, toMs, isWanted } = this.#filter;
    if (timeMs < fromMs || timeMs >= toMs || isWanted?.(topic) === false) return 'unwanted';
    const rest = restOf(line, begin.length);
    if (rest === undefined) return undefined;
    const facts = this.#facts.get(site, origin, Number(epoch));
    return {
      facts,
      timeMs,
      sequence: Number(sequence),
      topic,
      qos: Number(qos),
      retain: retain === 'true',
      properties: rest.properties,
      payload: rest.payload,
      isJson: rest.isJson,
    };
  }

  /** `Date.parse` takes longer than all the rest of a line: only once a second. */
  #timeOf(text: string): number {
    const second = text.slice(0, SECOND_CHARACTERS);
    if (second !== this.#second) {
      this.#second = second;
      // oxlint-disable-next-line eslint/no-restricted-globals -- it only reads what is written down
      this.#secondMs = Date.parse(`${second}Z`);
    }
    return this.#secondMs + Number(text.slice(SECOND_CHARACTERS + 1, -1));
  }

  /** A string of JSON; most come again. */
  #stringOf(text: string): string | undefined {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const value = parsedString(text);
    if (this.#known.size >= KNOWN_MAX_COUNT) this.#known.clear();
    if (value !== undefined) this.#known.set(text, value);
    return value;
  }
}

type Rest = Pick<StoredRow, 'properties' | 'payload' | 'isJson'>;

/** What is behind the beginning of a line. */
function restOf(line: string, at: number): Rest | undefined {
  let properties: string | undefined;
  if (line.startsWith(PROPERTIES, at)) {
    const start = at + PROPERTIES.length;
    const end = objectEnd(line, start);
    if (line[end] !== ',') return undefined;
    properties = line.slice(start, end);
    at = end + 1;
  }
  const rest = line.slice(at);
  const [name = '', kind] = PAYLOAD.exec(rest) ?? [];
  if (kind === undefined || !rest.endsWith('}')) return undefined;
  const value = rest.slice(name.length, -1);
  if (kind === 'json') return { properties, payload: Buffer.from(value, 'utf8'), isJson: true };
  const text = parsedString(value);
  if (text === undefined) return undefined;
  return { properties, payload: Buffer.from(text, kind === 'text' ? 'utf8' : 'base64'), isJson: false };
}

function parsedString(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Where an object of JSON ends that begins at `start`; behind the text: nowhere. */
function objectEnd(text: string, start: number): number {
  let depth = 0;
  let isInString = false;
  for (let i = start; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (isInString) {
      if (unit === BACKSLASH) i++;
      else if (unit === QUOTE) isInString = false;
    } else if (unit === QUOTE) isInString = true;
    else if (unit === OPEN) depth++;
    else if (unit === CLOSE && --depth === 0) return i + 1;
  }
  return text.length;
}
