/**
 * Where the log has the messages of a topic, and from when they are. One block for each checkpoint: LevelDB takes a key for a topic
 * and some hundred messages, never one for each.
 *
 *     b/<first position>                   last position, earliest and latest time
 *     t/<first position>/<topic>\0<n>      positions and times of up to KEY_MAX_COUNT messages
 *
 * Keys of a block lie together: they are written in order, and go as one range with the segments that they are about.
 */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import { readU48, writeU48 } from '../log/record.js';
import { pushSigned, pushVarint, VarintReader } from '../queue/varint.js';
import { LOADED_PREFIX } from './session-table.js';

export const TOPIC_BLOCK_PREFIX = `${LOADED_PREFIX}b/`;
export const TOPIC_PREFIX = 't/';
const KEY_MAX_COUNT = 512;
const BLOCK_BYTES = 18;

export interface TopicBlock {
  readonly first: LogPosition;
  readonly last: LogPosition;
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly to: number;
}

/** Positions and times in turn. */
type Postings = number[];

/** What the index needs of the database. */
export interface TopicIndexSource {
  entries(prefix: string): AsyncIterable<readonly [string, Uint8Array]>;
  removeAll(prefix: string): Promise<void>;
}

export interface Found {
  readonly position: LogPosition;
  /** Milliseconds since 1970, as good as the gateway knew. */
  readonly wallMs: number;
}

/** What a block says of a topic cannot be read; the log has it still. */
export class DamagedTopicBlock extends SprawlError {
  constructor(
    readonly block: TopicBlock,
    cause: SprawlError,
  ) {
    super('STORAGE_CORRUPT', `the index of topics is damaged (${cause.message})`, { cause });
  }
}

export class TopicIndex {
  /** Oldest first. */
  #blocks: TopicBlock[] = [];
  #open = new Map<string, Postings>();
  /** Blocks that are being written. */
  #writing = new Map<string, Postings>();
  #first: LogPosition = 0;
  #last: LogPosition = 0;
  #from = Infinity;
  #to = -Infinity;
  #writingBlock: TopicBlock | undefined;
  /** Of the one block that it is made for. */
  #bounds: Pick<TopicBlock, 'first' | 'last'> | undefined;

  /** One that has a block again, to be filled from the log and written over it. */
  static inPlaceOf({ first, last }: TopicBlock): TopicIndex {
    const index = new TopicIndex();
    index.#bounds = { first, last };
    return index;
  }

  /** From the database. */
  restore(key: string, value: Uint8Array): void {
    this.#blocks.push({
      first: positionOf(key),
      last: readU48(value, 0),
      from: readU48(value, 6),
      to: readU48(value, 12),
    });
    this.#last = Math.max(this.#last, readU48(value, 0));
  }

  reset(): void {
    this.#blocks = [];
    this.#last = 0;
  }

  /** A message that is in the log. One that the index has from an earlier life is left out. */
  add(topic: string, position: LogPosition, wallMs: number): void {
    if (position <= this.#last) return;
    if (this.#open.size === 0) this.#first = position;
    this.#last = position;
    if (wallMs < this.#from) this.#from = wallMs;
    if (wallMs > this.#to) this.#to = wallMs;
    const postings = this.#open.get(topic);
    if (postings === undefined) this.#open.set(topic, [position, wallMs]);
    else postings.push(position, wallMs);
  }

  /** Ends the block: what comes now is in the next one. Its keys come from `encode`, until `written`. */
  beginCheckpoint(): void {
    if (this.#open.size === 0) return;
    if (this.#writingBlock !== undefined) {
      // The last checkpoint failed: this one writes both.
      this.#first = this.#writingBlock.first;
      this.#from = Math.min(this.#from, this.#writingBlock.from);
      this.#to = Math.max(this.#to, this.#writingBlock.to);
      for (const [topic, postings] of this.#open) {
        const older = this.#writing.get(topic);
        if (older === undefined) this.#writing.set(topic, postings);
        else for (const number of postings) older.push(number);
      }
    } else {
      this.#writing = this.#open;
    }
    const { first, last } = this.#bounds ?? { first: this.#first, last: this.#last };
    this.#writingBlock = { first, last, from: this.#from, to: this.#to };
    this.#open = new Map();
    this.#from = Infinity;
    this.#to = -Infinity;
  }

  /** Puts the keys of the ended block into `changes`. @param pause between two parts of the work */
  async encode(changes: Map<string, Uint8Array | null>, pause: () => Promise<void>): Promise<void> {
    const block = this.#writingBlock;
    if (block === undefined) return;
    const value = Buffer.allocUnsafe(BLOCK_BYTES);
    writeU48(value, 0, block.last);
    writeU48(value, 6, block.from);
    writeU48(value, 12, block.to);
    changes.set(TOPIC_BLOCK_PREFIX + digits(block.first), value);
    let encoded = 0;
    for (const [topic, postings] of this.#writing) {
      for (let at = 0, n = 0; at < postings.length; at += 2 * KEY_MAX_COUNT, n++) {
        const part = postings.slice(at, at + 2 * KEY_MAX_COUNT);
        changes.set(keyOf(block.first, topic, n), encodePostings(part));
        encoded += part.length;
        if (encoded < 4 * KEY_MAX_COUNT) continue;
        encoded = 0;
        await pause();
      }
    }
  }

  written(): void {
    if (this.#writingBlock !== undefined) this.#blocks.push(this.#writingBlock);
    this.#writingBlock = undefined;
    this.#writing = new Map();
  }

  /** Messages of the topic from `fromMs` to `toMs`, both included, in the order of the log; at most `limit`. */
  async find(
    source: TopicIndexSource,
    topic: string,
    fromMs: number,
    toMs: number,
    limit: number,
  ): Promise<Found[]> {
    const found: Found[] = [];
    const take = (postings: Postings): void => {
      for (let i = 0; i < postings.length && found.length < limit; i += 2) {
        const wallMs = postings[i + 1] as number;
        if (wallMs >= fromMs && wallMs <= toMs) found.push({ position: postings[i] as number, wallMs });
      }
    };
    for (const block of [...this.#blocks]) {
      if (found.length >= limit) return found;
      if (block.to < fromMs || block.from > toMs) continue;
      for (const postings of await postingsOf(source, block, topic)) {
        take(postings);
        if (found.length >= limit) return found;
      }
    }
    take(this.#writing.get(topic) ?? []);
    take(this.#open.get(topic) ?? []);
    return found;
  }

  /** Removes the blocks that are only about positions below `floor`. @returns what has to go with the next checkpoint */
  async dropBefore(source: TopicIndexSource, floor: LogPosition): Promise<string[]> {
    const keys: string[] = [];
    const gone = this.#blocks.filter(({ last }) => last < floor);
    for (const { first } of gone) {
      await source.removeAll(`${TOPIC_PREFIX}${digits(first)}/`);
      keys.push(TOPIC_BLOCK_PREFIX + digits(first));
    }
    this.#blocks = this.#blocks.filter((block) => !gone.includes(block));
    return keys;
  }

  /** Blocks of what is older than all blocks here. */
  putBefore(older: TopicIndex): void {
    this.#blocks = [...older.#blocks, ...this.#blocks];
  }

  /** The time of the newest message at or before `position`, as far as blocks tell; undefined: unknown. */
  timeOf(position: LogPosition): number | undefined {
    return this.#blocks.findLast(({ first }) => first <= position)?.to;
  }
}

async function postingsOf(source: TopicIndexSource, block: TopicBlock, topic: string): Promise<Postings[]> {
  const parts: Postings[] = [];
  try {
    for await (const [, value] of source.entries(`${TOPIC_PREFIX}${digits(block.first)}/${topic}\0`))
      parts.push(decodePostings(value));
  } catch (error) {
    if (error instanceof SprawlError && error.code === 'STORAGE_CORRUPT')
      throw new DamagedTopicBlock(block, error);
    throw error;
  }
  return parts;
}

function digits(position: LogPosition): string {
  return String(position).padStart(16, '0');
}

function positionOf(key: string): LogPosition {
  return Number(key.slice(TOPIC_BLOCK_PREFIX.length));
}

function keyOf(first: LogPosition, topic: string, n: number): string {
  return `${TOPIC_PREFIX}${digits(first)}/${topic}\0${String(n).padStart(8, '0')}`;
}

function encodePostings(postings: Postings): Uint8Array {
  const out: number[] = [];
  let position = 0;
  let wallMs = 0;
  for (let i = 0; i < postings.length; i += 2) {
    pushVarint(out, (postings[i] as number) - position);
    // A clock may have been set back.
    pushSigned(out, (postings[i + 1] as number) - wallMs);
    position = postings[i] as number;
    wallMs = postings[i + 1] as number;
  }
  return Uint8Array.from(out);
}

function decodePostings(bytes: Uint8Array): Postings {
  const reader = new VarintReader(bytes);
  const postings: Postings = [];
  let position = 0;
  let wallMs = 0;
  while (!reader.done) {
    position += reader.varint();
    wallMs += reader.signed();
    postings.push(position, wallMs);
  }
  return postings;
}
