/** A database of a data folder, read to its last byte: what it holds, what is damaged, and who waits for given positions. */
import { type LogPosition, OWED_FLAG } from '../../lib/contracts/store.js';
import {
  LOADED_PREFIX,
  parseQueueBlockKey,
  RETAINED_PREFIX,
  SessionDecoder,
  type StoredSession,
} from '../disk/session-table.js';
import { TOPIC_PREFIX } from '../disk/topic-index.js';
import { readU48 } from '../log/record.js';
import { decodePostings, type Posting } from '../queue/posting-block.js';
import { inspectState, type StateInspection } from '../state/checked-store.js';
import type { KeyValueStore } from '../state/key-value-store.js';
import { type PositionRange, rangesOf } from './fault.js';

/** What positions that are lost were to somebody. */
export interface Reference {
  /** `retained`: the database has a copy of the message. */
  readonly kind: 'waiting' | 'inFlight' | 'retained';
  /** Client id, or topic. */
  readonly of: string;
  readonly positions: readonly PositionRange[];
}

export interface StateSurvey {
  readonly inspection: StateInspection;
  readonly sessions: number;
  readonly parked: number;
  readonly subscriptions: number;
  /** Messages in the queues of sessions. */
  readonly waiting: number;
  readonly inFlight: number;
  readonly retained: number;
  readonly blocks: number;
  readonly blockBytes: number;
  /** Keys of the index by topic and time. */
  readonly topicKeys: number;
  /** Blocks of queues that are missing or damaged. */
  readonly lostBlocks: readonly LostBlock[];
  /** The oldest position that a session needs; Infinity: none. */
  readonly floor: LogPosition;
  readonly references: readonly Reference[];
}

export interface LostBlock {
  readonly session: StoredSession;
  /** Numbers of the blocks. */
  readonly blocks: readonly number[];
  /** Messages, and their weight, that were in them together. */
  readonly count: number;
  readonly bytes: number;
}

interface FoundBlock {
  readonly count: number;
  readonly bytes: number;
}

/** @param lost positions whose owners are looked for. @throws SprawlError STORAGE_FORMAT_NEWER */
export async function surveyState(
  store: KeyValueStore,
  lost: readonly PositionRange[],
): Promise<StateSurvey> {
  const surveyor = new Surveyor(lost);
  const inspection = await inspectState(store, LOADED_PREFIX, (key, value) => surveyor.visit(key, value));
  return surveyor.survey(inspection);
}

class Surveyor {
  readonly #lost: readonly PositionRange[];
  readonly #decoder = new SessionDecoder();
  readonly #blocks = new Map<number, Map<number, FoundBlock>>();
  /** By session number, until the sessions are known. */
  readonly #lostInBlocks = new Map<number, LogPosition[]>();
  readonly #found = new Map<string, Pick<Reference, 'kind' | 'of'> & { readonly positions: LogPosition[] }>();
  #retained = 0;
  #blockCount = 0;
  #blockBytes = 0;
  #topicKeys = 0;
  readonly #blockFloors = new Map<number, LogPosition>();

  constructor(lost: readonly PositionRange[]) {
    this.#lost = lost;
  }

  visit(key: string, value: Uint8Array): void {
    if (this.#decoder.visit(key, value)) return;
    if (key.startsWith(RETAINED_PREFIX)) {
      this.#retained++;
      this.#look(readU48(value, 0), 'retained', key.slice(RETAINED_PREFIX.length));
      return;
    }
    if (key.startsWith(TOPIC_PREFIX)) {
      this.#topicKeys++;
      return;
    }
    const block = parseQueueBlockKey(key);
    if (block !== undefined) this.#visitBlock(block.session, block.block, value);
  }

  #visitBlock(number: number, block: number, value: Uint8Array): void {
    const postings = decodePostings(value);
    this.#blockCount++;
    this.#blockBytes += value.length;
    let bytes = 0;
    for (const { position, weight } of postings) {
      bytes += weight;
      this.#blockFloors.set(number, Math.min(this.#blockFloors.get(number) ?? Infinity, position));
      if (!this.#isLost(position)) continue;
      const known = this.#lostInBlocks.get(number);
      if (known === undefined) this.#lostInBlocks.set(number, [position]);
      else known.push(position);
    }
    const blocks = this.#blocks.get(number) ?? new Map<number, FoundBlock>();
    this.#blocks.set(number, blocks);
    blocks.set(block, { count: postings.length, bytes });
  }

  survey(inspection: StateInspection): StateSurvey {
    const lostBlocks: LostBlock[] = [];
    const totals = { sessions: 0, parked: 0, subscriptions: 0, waiting: 0, inFlight: 0 };
    let floor = Infinity;
    for (const session of this.#decoder.sessions()) {
      const { number, image, queue } = session;
      totals.sessions++;
      if (image.parkedAt !== undefined) totals.parked++;
      totals.subscriptions += image.subscriptions.length;
      totals.waiting += queue.head.length + queue.storedCount + queue.tail.length;
      totals.inFlight += image.inFlight.length;
      floor = Math.min(floor, this.#lookAtQueue(session), this.#lookAtInFlight(session));
      if (queue.from < queue.to) floor = Math.min(floor, this.#blockFloors.get(number) ?? Infinity);
      const lostBlock = this.#lostBlockOf(session);
      if (lostBlock !== undefined) lostBlocks.push(lostBlock);
    }
    return {
      inspection,
      ...totals,
      retained: this.#retained,
      blocks: this.#blockCount,
      blockBytes: this.#blockBytes,
      topicKeys: this.#topicKeys,
      lostBlocks,
      floor,
      references: [...this.#found.values()].map(({ kind, of, positions }) => ({
        kind,
        of,
        positions: rangesOf(positions),
      })),
    };
  }

  /** @returns the oldest position that waits outside of blocks. */
  #lookAtQueue({ number, image, queue }: StoredSession): LogPosition {
    let floor = Infinity;
    const look = ({ position }: Posting): void => {
      if (position < floor) floor = position;
      this.#look(position, 'waiting', image.clientId);
    };
    queue.head.forEach(look);
    for (const position of this.#lostInBlocks.get(number) ?? [])
      this.#look(position, 'waiting', image.clientId);
    queue.tail.forEach(look);
    return floor;
  }

  #lookAtInFlight({ image }: StoredSession): LogPosition {
    let floor = Infinity;
    for (const { position, released, flags } of image.inFlight) {
      if (position === 0 || released || (flags & OWED_FLAG) !== 0) continue;
      if (position < floor) floor = position;
      this.#look(position, 'inFlight', image.clientId);
    }
    return floor;
  }

  #lostBlockOf(session: StoredSession): LostBlock | undefined {
    const { number, queue } = session;
    const found = this.#blocks.get(number);
    const blocks: number[] = [];
    let count = queue.storedCount;
    let bytes = queue.storedBytes;
    for (let block = queue.from; block < queue.to; block++) {
      const one = found?.get(block);
      if (one === undefined) blocks.push(block);
      count -= one?.count ?? 0;
      bytes -= one?.bytes ?? 0;
    }
    return blocks.length === 0 ? undefined : { session, blocks, count, bytes };
  }

  #isLost(position: LogPosition): boolean {
    return this.#lost.some(({ first, last }) => position >= first && position <= last);
  }

  #look(position: LogPosition, kind: Reference['kind'], of: string): void {
    if (position === 0 || !this.#isLost(position)) return;
    const key = `${kind}\0${of}`;
    const reference = this.#found.get(key) ?? { kind, of, positions: [] };
    this.#found.set(key, reference);
    reference.positions.push(position);
  }
}
