/**
 * What the store keeps for the mesh beside the messages: which gateways they come from, how much of each one's log is here, and from
 * where on this gateway's own log is still wanted.
 *
 *     l/o/<position>       a gateway in one of its lives: messages name it by the position of its record
 *     l/m/<gateway>        how much of its log is here
 *     l/f/<name>           nothing of this log from here on is to go
 *     l/n/<name>           bytes that are somebody's own
 */
import { type Epoch, isSameEpoch } from '../../lib/contracts/epoch.js';
import { type GatewayId, parseGatewayId } from '../../lib/contracts/gateway-id.js';
import { isArchiveFloor, LOG_POSITION_MAX, type LogPosition } from '../../lib/contracts/store.js';
import type { MessageSource, StreamImage, StreamRecord } from '../../lib/contracts/streams.js';
import { readU48, writeU48 } from '../log/record.js';
import { decodePositions, encodePositions } from '../queue/posting-block.js';
import { RecordType } from '../records/record-type.js';
import { LOADED_PREFIX } from './session-table.js';
import type { Changes } from './state-index.js';

const SOURCE_PREFIX = `${LOADED_PREFIX}o/`;
const STREAM_PREFIX = `${LOADED_PREFIX}m/`;
const FLOOR_PREFIX = `${LOADED_PREFIX}f/`;
const NOTE_PREFIX = `${LOADED_PREFIX}n/`;
const POSITION_BYTES = 6;

export class MeshState {
  /** Whoever asks may do so with an object of its own each time. */
  #numbers = new WeakMap<MessageSource, LogPosition>();
  readonly #byNumber = new Map<LogPosition, MessageSource>();
  /** By number: nothing in the log behind it names the source. */
  readonly #lastUsed = new Map<LogPosition, LogPosition>();
  readonly #droppedSources = new Set<LogPosition>();
  readonly #forgottenStreams = new Set<GatewayId>();
  readonly #unwrittenSources = new Map<LogPosition, MessageSource>();
  readonly #floors = new Map<string, LogPosition>();
  readonly #changedFloors = new Set<string>();
  readonly #notes = new Map<string, Uint8Array>();
  readonly #changedNotes = new Set<string>();
  #images: StreamImage[] = [];

  /** Undefined: no record names it yet. */
  numberOf(source: MessageSource): LogPosition | undefined {
    const known = this.#numbers.get(source);
    if (known !== undefined) {
      if (this.#byNumber.has(known)) return known;
      // Nothing named it for a time. Once a checkpoint takes it away neither the log nor the database knows the number: it has a new one.
      if (this.#droppedSources.delete(known)) {
        this.begin(source, known);
        return known;
      }
    }
    for (const [number, other] of this.#byNumber)
      if (other.origin === source.origin && isSameEpoch(other.epoch, source.epoch)) {
        this.#numbers.set(source, number);
        return number;
      }
    return undefined;
  }

  source(number: LogPosition): MessageSource | undefined {
    return this.#byNumber.get(number);
  }

  /** Its record is at this position. */
  begin(source: MessageSource, number: LogPosition): void {
    this.#byNumber.set(number, source);
    this.#numbers.set(source, number);
    this.#unwrittenSources.set(number, source);
    this.used(number, number);
  }

  /** Whatever is appended next names it. @param position the last of the log */
  used(number: LogPosition, position: LogPosition): void {
    this.#lastUsed.set(number, position + 1);
  }

  /**
   * Lives that nothing names any more: over years every start of every gateway is one.
   * @param first position of the log @param retained where their messages and removals come from
   */
  dropUnused(first: LogPosition, retained: () => Iterable<MessageSource | undefined>): void {
    const unused = new Set<LogPosition>();
    for (const number of this.#byNumber.keys())
      if ((this.#lastUsed.get(number) ?? Infinity) < first) unused.add(number);
    if (unused.size === 0) return;
    for (const source of retained()) {
      const number = source === undefined ? undefined : this.numberOf(source);
      if (number !== undefined) unused.delete(number);
    }
    for (const number of unused) {
      this.#byNumber.delete(number);
      this.#lastUsed.delete(number);
      this.#unwrittenSources.delete(number);
      this.#droppedSources.add(number);
    }
  }

  /** Those that were restored are named somewhere up to `position`, as far as anybody knows. */
  opened(position: LogPosition): void {
    for (const number of this.#byNumber.keys()) this.used(number, position);
  }

  forgetStream(origin: GatewayId): void {
    this.#forgottenStreams.add(origin);
  }

  get floors(): ReadonlyMap<string, LogPosition> {
    return this.#floors;
  }

  /** Nobody may need what is before it; Infinity: nobody needs anything. */
  get floor(): LogPosition {
    let floor = Infinity;
    for (const [name, position] of this.#floors) if (!isArchiveFloor(name)) floor = Math.min(floor, position);
    return floor;
  }

  /** What is to be archived begins here. */
  get archiveFloor(): LogPosition {
    let floor = Infinity;
    for (const [name, position] of this.#floors) if (isArchiveFloor(name)) floor = Math.min(floor, position);
    return floor;
  }

  setFloor(name: string, position: LogPosition | undefined): void {
    if (this.#floors.get(name) === position) return;
    if (position === undefined) this.#floors.delete(name);
    else this.#floors.set(name, position);
    this.#changedFloors.add(name);
  }

  note(name: string): Uint8Array | undefined {
    return this.#notes.get(name);
  }

  setNote(name: string, value: Uint8Array): void {
    this.#notes.set(name, value);
    this.#changedNotes.add(name);
  }

  /** As it was recorded. */
  replayNote(bytes: Uint8Array, start: number, end: number): void {
    const { name, value } = decodeNote(bytes, start, end);
    this.setNote(name, value);
  }

  /** @returns whether the key is one of these. */
  restore(key: string, value: Uint8Array): boolean {
    if (key.startsWith(SOURCE_PREFIX)) {
      const number = Number(key.slice(SOURCE_PREFIX.length));
      const source = parseSource(value, 0, value.length);
      if (source !== undefined) this.begin(source, number);
      this.#unwrittenSources.delete(number);
    } else if (key.startsWith(STREAM_PREFIX)) {
      const image = decodeStream(key.slice(STREAM_PREFIX.length), value);
      if (image !== undefined) this.#images.push(image);
    } else if (key.startsWith(FLOOR_PREFIX)) {
      this.#floors.set(key.slice(FLOOR_PREFIX.length), readU48(value, 0));
    } else if (key.startsWith(NOTE_PREFIX)) {
      this.#notes.set(key.slice(NOTE_PREFIX.length), Uint8Array.from(value));
    } else return false;
    return true;
  }

  /** Nothing was restored after all. */
  reset(): void {
    this.#numbers = new WeakMap();
    for (const map of [this.#byNumber, this.#unwrittenSources, this.#lastUsed, this.#floors, this.#notes])
      map.clear();
    this.#droppedSources.clear();
    this.#forgottenStreams.clear();
    this.#changedFloors.clear();
    this.#changedNotes.clear();
    this.#images = [];
  }

  /** As they were written down; once. */
  takeImages(): readonly StreamImage[] {
    const images = this.#images;
    this.#images = [];
    return images;
  }

  /** Puts into `changes` what is to be written. @returns to be called where it was not */
  addChanges(changes: Changes, images: Iterable<StreamImage>): () => void {
    const dropped = [...this.#droppedSources];
    const forgotten = [...this.#forgottenStreams];
    for (const number of dropped) changes.set(SOURCE_PREFIX + String(number), null);
    for (const origin of forgotten) changes.set(STREAM_PREFIX + origin, null);
    this.#droppedSources.clear();
    this.#forgottenStreams.clear();
    const sources = new Map(this.#unwrittenSources);
    const floors = [...this.#changedFloors];
    const notes = [...this.#changedNotes];
    for (const name of notes) changes.set(NOTE_PREFIX + name, this.#notes.get(name) ?? null);
    this.#changedNotes.clear();
    for (const [number, source] of sources) changes.set(SOURCE_PREFIX + String(number), encodeSource(source));
    for (const image of images) changes.set(STREAM_PREFIX + image.origin, encodeStream(image));
    for (const name of floors) {
      const position = this.#floors.get(name);
      changes.set(FLOOR_PREFIX + name, position === undefined ? null : encodePosition(position));
    }
    this.#unwrittenSources.clear();
    this.#changedFloors.clear();
    return () => {
      for (const [number, source] of sources) this.#unwrittenSources.set(number, source);
      for (const name of floors) this.#changedFloors.add(name);
      for (const name of notes) this.#changedNotes.add(name);
      for (const number of dropped) this.#droppedSources.add(number);
      for (const origin of forgotten) this.#forgottenStreams.add(origin);
    };
  }
}

/** u8 length of the name · name · value. @param name ASCII, at most 255 characters */
export function encodeNote(name: string, value: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(name.length), Buffer.from(name, 'latin1'), value]);
}

/** The value is the caller's own. */
export function decodeNote(
  bytes: Uint8Array,
  start: number,
  end: number,
): { readonly name: string; readonly value: Uint8Array } {
  const valueAt = start + 1 + (bytes[start] ?? 0);
  return {
    name: Buffer.from(bytes.subarray(start + 1, valueAt)).toString('latin1'),
    value: Uint8Array.from(bytes.subarray(valueAt, end)),
  };
}

export function encodeSource({ origin, epoch }: MessageSource): Uint8Array {
  return Buffer.from(JSON.stringify([origin, epoch.counter, epoch.nonce]), 'utf8');
}

export function parseSource(bytes: Uint8Array, start: number, end: number): MessageSource | undefined {
  const [origin, counter, nonce] = parseArray(bytes, start, end);
  const id = typeof origin === 'string' ? parseGatewayId(origin) : undefined;
  if (id === undefined || typeof counter !== 'number' || typeof nonce !== 'string') return undefined;
  return { origin: id, epoch: { counter, nonce } };
}

const RECORD_TYPES = {
  covered: RecordType.covered,
  reset: RecordType.streamReset,
  backfill: RecordType.backfill,
} as const;
const KINDS = new Map<number, StreamRecord['kind']>([
  [RecordType.covered, 'covered'],
  [RecordType.streamReset, 'reset'],
  [RecordType.backfill, 'backfill'],
]);

export function streamRecordType({ kind }: StreamRecord): RecordType {
  return RECORD_TYPES[kind];
}

/** Numbers of 6 bytes each: its source, how far; of a backfill its id, and whether all of it is here in one more byte. */
export function encodeStreamRecord(record: StreamRecord, sourceNumber: LogPosition): Uint8Array {
  const isBackfill = record.kind === 'backfill';
  const bytes = Buffer.allocUnsafe(isBackfill ? 3 * POSITION_BYTES + 1 : 2 * POSITION_BYTES);
  writeU48(bytes, 0, sourceNumber);
  writeU48(bytes, POSITION_BYTES, record.upTo);
  if (isBackfill) {
    writeU48(bytes, 2 * POSITION_BYTES, record.id);
    bytes[3 * POSITION_BYTES] = record.done ? 1 : 0;
  }
  return bytes;
}

/** undefined: the record is of another type, or of a gateway that no record names. */
export function parseStreamRecord(
  type: number,
  bytes: Uint8Array,
  start: number,
  sources: MeshState,
): StreamRecord | undefined {
  const kind = KINDS.get(type);
  const source = sources.source(readU48(bytes, start));
  if (kind === undefined || source === undefined) return undefined;
  const { origin, epoch } = source;
  const upTo = readU48(bytes, start + POSITION_BYTES);
  if (kind !== 'backfill') return { kind, origin, epoch, upTo };
  const id = readU48(bytes, start + 2 * POSITION_BYTES);
  return { kind, origin, epoch, upTo, id, done: bytes[start + 3 * POSITION_BYTES] === 1 };
}

function encodeStream({ epoch, covered, have, backfill }: StreamImage): Uint8Array {
  const rest = backfill === undefined ? [] : [backfill.id, backfill.cursor];
  const header = Buffer.from(JSON.stringify([epoch.counter, epoch.nonce, covered, ...rest]), 'utf8');
  return Buffer.concat([Uint8Array.of(header.length), header, encodePositions(have)]);
}

function decodeStream(gateway: string, value: Uint8Array): StreamImage | undefined {
  const origin: GatewayId | undefined = parseGatewayId(gateway);
  const end = 1 + (value[0] ?? 0);
  const [counter, nonce, covered, id, cursor] = parseArray(value, 1, end);
  if (origin === undefined || typeof counter !== 'number' || typeof nonce !== 'string') return undefined;
  if (typeof covered !== 'number') return undefined;
  const epoch: Epoch = { counter, nonce };
  const backfill =
    typeof id === 'number' && typeof cursor === 'number' ? { id, cursor: possible(cursor) } : undefined;
  const have = decodePositions(value.subarray(end)).filter((position) => position <= LOG_POSITION_MAX);
  return { origin, epoch, covered: possible(covered), have, backfill };
}

/** Earlier versions took whatever a member said; others would not take it from here. */
function possible(position: LogPosition): LogPosition {
  return Math.min(position, LOG_POSITION_MAX);
}

function parseArray(bytes: Uint8Array, start: number, end: number): readonly unknown[] {
  const parsed: unknown = JSON.parse(Buffer.from(bytes.subarray(start, end)).toString('utf8'));
  return Array.isArray(parsed) ? parsed : [];
}

function encodePosition(position: LogPosition): Uint8Array {
  const bytes = Buffer.allocUnsafe(POSITION_BYTES);
  writeU48(bytes, 0, position);
  return bytes;
}
