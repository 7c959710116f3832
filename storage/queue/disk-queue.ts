/**
 * The queue of one session over the log: any number of messages in a constant amount of memory.
 *
 *     head ◀── blocks on disk ◀── tail ◀── push
 *     messages  postings only     postings, and messages while there are no blocks
 *     in memory
 *
 * While the backlog is short everything is in memory and nothing is written. Beyond that the tail is put away block by
 * block, and a block is read back with its messages before the head has run out.
 */
import type { DeliveryQueue, LogPosition, RoutedMessage } from '../../lib/contracts/store.js';
import type { Message } from '../../lib/message/message.js';
import type { QoS } from '../../lib/protocol/packet.js';
import { LatePositions, type LateState } from './late-positions.js';
import { decodePostings, encodePostings, type Posting } from './posting-block.js';

/** Messages in memory beyond which a block is put away even where it is not full; and the most that is read back at a time. */
const BLOCK_MAX_BYTES = 262_144;

/** Where blocks are put away, and messages read. */
export interface QueueBacking {
  /** Postings of a block; the next one is read when half as many messages are left in front of it. */
  readonly blockMaxCount: number;
  putBlock(block: number, bytes: Uint8Array): void;
  getBlock(block: number): Promise<Uint8Array>;
  /** The block was read and is not wanted any more. */
  dropBlock(block: number): void;
  /** In the order of the positions; undefined for each that is damaged or gone. */
  readMessages(positions: readonly LogPosition[]): Promise<(Message | undefined)[]>;
  /** What comes next is not the same as before: it has to be written down again. */
  changed(): void;
  /** A message that waits for the session cannot be had. */
  lost(position: LogPosition): void;
  /** A read failed with `error`: calls `again` after a while. */
  retryLater(error: unknown, again: () => void): void;
}

/** What has to be remembered of a queue besides its blocks. */
export interface QueueState {
  /** Blocks `from` up to below `to` are put away. */
  readonly from: number;
  readonly to: number;
  readonly storedCount: number;
  readonly storedBytes: number;
  /** Without what is in no log. */
  readonly head: readonly Posting[];
  readonly tail: readonly Posting[];
  /** Messages up to this position came in, as far as they were for the session. */
  readonly upTo: LogPosition;
  /** No message before it is needed, where there are any. */
  readonly floor: LogPosition;
  /** Positions that left while their blocks were put away, each as often as it did; those of a range as its first and its last. */
  readonly removed: readonly LogPosition[];
  readonly removedRanges: readonly LogPosition[];
  /** Earlier versions did not know of them. */
  readonly late?: LateState | undefined;
}

export class DiskQueue implements DeliveryQueue {
  onReady: (() => void) | undefined;
  readonly #backing: QueueBacking;
  /** Messages that are next, from `#headAt` on. */
  #head: Posting[] = [];
  #headAt = 0;
  #tail: Posting[] = [];
  #tailBytes = 0;
  /** Whether a message of the tail is in no log, so that the tail has to stay. */
  #tailIsPinned = false;
  #from = 0;
  #to = 0;
  #storedCount = 0;
  #storedBytes = 0;
  #bytes = 0;
  #heldBytes = 0;
  #reading = false;
  /** Rises when what is being read is not wanted any more. */
  #generation = 0;
  /** Everything before it has left. */
  #floor: LogPosition = 0;
  readonly #upTo: LogPosition;
  /**
   * Positions that left, by the log, while their blocks were put away, with how often: a session that has a topic by itself and as a member
   * of a shared subscription gets its messages twice.
   */
  #removed: Map<LogPosition, number> | undefined;
  /** The same for what left many at a time: first and last, in turn. */
  #removedRanges: LogPosition[] = [];
  readonly #late: LatePositions;

  constructor(backing: QueueBacking, state?: QueueState) {
    this.#backing = backing;
    this.#upTo = state?.upTo ?? 0;
    if (state === undefined) {
      this.#late = new LatePositions(0, 0, undefined);
      return;
    }
    this.#head = [...state.head];
    this.#tail = [...state.tail];
    this.#from = state.from;
    this.#to = state.to;
    this.#storedCount = state.storedCount;
    this.#storedBytes = state.storedBytes;
    this.#tailBytes = weightOf(this.#tail);
    this.#bytes = weightOf(this.#head) + this.#storedBytes + this.#tailBytes;
    this.#floor = state.floor;
    for (const position of state.removed) this.#noteRemoved(position);
    this.#removedRanges = [...state.removedRanges];
    this.#late = new LatePositions(state.upTo, this.count, state.late);
  }

  get count(): number {
    return this.#head.length - this.#headAt + this.#storedCount + this.#tail.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** No message before this position is needed; Infinity: none at all. */
  get floor(): LogPosition {
    if (this.count === 0) return Infinity;
    const first = this.#head[this.#headAt] ?? (this.#storedCount === 0 ? this.#tail[0] : undefined);
    if (first !== undefined && first.position > 0) this.#floor = first.position;
    return Math.min(this.#floor, this.#late.floor);
  }

  get ready(): boolean {
    if (this.#headIsThere) return true;
    this.#read();
    return this.#headIsThere;
  }

  get headMessage(): Message {
    return this.#headPosting.message as Message;
  }

  get headFlags(): number {
    return this.#headPosting.flags;
  }

  get headIdentifiers(): readonly number[] | undefined {
    return this.#headPosting.identifiers;
  }

  /** @param upTo the last position that was given to the queues of all sessions. */
  stateAt(upTo: LogPosition): QueueState {
    const isLogged = ({ position }: Posting): boolean => position > 0;
    return {
      from: this.#from,
      to: this.#to,
      storedCount: this.#storedCount,
      storedBytes: this.#storedBytes,
      head: this.#head.slice(this.#headAt).filter(isLogged),
      tail: this.#tail.filter(isLogged),
      upTo,
      floor: this.count === 0 ? 0 : this.floor,
      removed: [...(this.#removed ?? [])].flatMap(([position, count]) =>
        new Array<LogPosition>(count).fill(position),
      ),
      removedRanges: [...this.#removedRanges],
      late: this.#late.state,
    };
  }

  replay(message: RoutedMessage, flags: number, identifiers: readonly number[] | undefined): void {
    const { weight, position } = message;
    // It came in before the state was written down; by now it may have left.
    if (position > this.#upTo) this.#add({ position, flags, identifiers, weight, message: undefined });
  }

  replayAssigned(message: RoutedMessage, flags: number, identifiers: readonly number[] | undefined): void {
    const { weight, position } = message;
    this.#add({ position, flags, identifiers, weight, message: undefined });
  }

  push(message: Message, flags: number, identifiers: readonly number[] | undefined): void {
    const { weight, position } = message;
    this.#heldBytes += weight;
    this.#add({ position, flags, identifiers, weight, message });
  }

  #add(posting: Posting): void {
    const { weight, position } = posting;
    this.#bytes += weight;
    if (position > 0) {
      this.#backing.changed();
      this.#late.came(position, this.count + 1);
    }
    const isShort = this.#storedCount === 0 && this.#tail.length === 0;
    if (isShort && this.#head.length - this.#headAt < this.#backing.blockMaxCount && !this.#reading) {
      this.#head.push(posting);
      return;
    }
    this.#tail.push(posting);
    this.#tailBytes += weight;
    this.#tailIsPinned ||= position === 0;
    if (this.#tailIsPinned) return;
    if (this.#tail.length >= this.#backing.blockMaxCount || this.#tailBytes >= BLOCK_MAX_BYTES)
      this.#putAway();
  }

  shift(): void {
    const posting = this.#head[this.#headAt];
    if (posting === undefined) return;
    this.#discount(posting);
    if (posting.position > 0) {
      this.#floor = posting.position;
      this.#backing.changed();
    }
    this.#late.shifted();
    this.#headAt++;
    if (this.#headAt === this.#head.length) {
      this.#head = [];
      this.#headAt = 0;
    } else if (this.#headAt >= this.#backing.blockMaxCount) {
      this.#head = this.#head.slice(this.#headAt);
      this.#headAt = 0;
    }
    if (this.#head.length - this.#headAt < this.#backing.blockMaxCount / 2) this.#read();
  }

  release(): void {
    for (let i = this.#headAt; i < this.#head.length; i++) this.#releaseOne(this.#head[i] as Posting);
    for (const posting of this.#tail) this.#releaseOne(posting);
  }

  remove(from: LogPosition, to: LogPosition, qos?: QoS): void {
    this.#remove(from, to, qos);
    this.#late.cut(this.count);
  }

  #remove(from: LogPosition, to: LogPosition, qos: QoS | undefined): void {
    if (from === to) {
      if (qos !== undefined && this.#removeOne(from, qos)) return;
      if (this.#removeOne(from, undefined)) return;
      if (this.#from < this.#to) this.#noteRemoved(from);
      return;
    }
    this.#head = this.#without(this.#head.slice(this.#headAt), from, to);
    this.#headAt = 0;
    this.#tail = this.#without(this.#tail, from, to);
    this.#tailBytes = weightOf(this.#tail);
    if (this.#from < this.#to) this.#removedRanges.push(from, to);
  }

  /**
   * Adds the positions from `first` to below `next` that wait here. Messages go from the tail to blocks to the head: looking at them in
   * this order, and at the head last, misses none that moves meanwhile.
   */
  async collect(first: LogPosition, next: LogPosition, into: Set<LogPosition>): Promise<void> {
    const take = (postings: readonly Posting[]): void => {
      for (const { position } of postings) if (position >= first && position < next) into.add(position);
    };
    for (let block = this.#from; block < this.#to; block++) {
      if (block < this.#from) continue;
      let postings: Posting[];
      try {
        postings = decodePostings(await this.#backing.getBlock(block));
      } catch (error) {
        // The queue itself has read it meanwhile: its messages are in the head.
        if (block < this.#from) continue;
        throw error;
      }
      take(postings);
      if ((postings[0]?.position ?? 0) >= next && this.#late.floor >= next) break;
    }
    take(this.#tail);
    take(this.#head);
  }

  clear(): void {
    for (let block = this.#from; block < this.#to; block++) this.#backing.dropBlock(block);
    if (this.count > 0) this.#backing.changed();
    this.#from = this.#to;
    this.#generation++;
    this.#reading = false;
    this.#head = [];
    this.#headAt = 0;
    this.#tail = [];
    this.#tailBytes = 0;
    this.#tailIsPinned = false;
    this.#storedCount = 0;
    this.#storedBytes = 0;
    this.#bytes = 0;
    this.#heldBytes = 0;
    this.#removed = undefined;
    this.#removedRanges = [];
    this.#late.cut(0);
  }

  get #headIsThere(): boolean {
    return this.#head[this.#headAt]?.message !== undefined;
  }

  get #headPosting(): Posting {
    const posting = this.#head[this.#headAt];
    if (posting?.message === undefined) throw new Error('the head of a queue was read before it was ready');
    return posting;
  }

  #putAway(): void {
    this.#backing.putBlock(this.#to++, encodePostings(this.#tail));
    this.#storedCount += this.#tail.length;
    this.#storedBytes += this.#tailBytes;
    for (const posting of this.#tail) this.#releaseOne(posting);
    this.#tail = [];
    this.#tailBytes = 0;
  }

  /** Makes the next messages ready, where they are not. */
  #read(): void {
    if (this.#reading || this.count === 0) return;
    if (this.#head[this.#headAt] !== undefined) {
      if (!this.#headIsThere) this.#start(() => this.#fillHead());
      else if (this.#from < this.#to) this.#start(() => this.#readBlock());
    } else if (this.#from < this.#to) {
      this.#start(() => this.#readBlock());
    } else if (this.#tail.length > 0) {
      this.#head = this.#tail;
      this.#headAt = 0;
      this.#tail = [];
      this.#tailBytes = 0;
      this.#tailIsPinned = false;
      if (!this.#headIsThere) this.#start(() => this.#fillHead());
    }
  }

  #start(read: () => Promise<void>): void {
    this.#reading = true;
    const generation = this.#generation;
    const isWanted = (): boolean => generation === this.#generation;
    read().then(
      () => {
        if (!isWanted()) return;
        this.#reading = false;
        if (!this.#headIsThere) this.#read();
        if (this.#headIsThere) this.onReady?.();
      },
      (error: unknown) =>
        this.#backing.retryLater(error, () => {
          if (!isWanted()) return;
          this.#reading = false;
          this.#read();
        }),
    );
  }

  async #readBlock(): Promise<void> {
    const generation = this.#generation;
    const block = this.#from;
    const postings = decodePostings(await this.#backing.getBlock(block));
    if (generation !== this.#generation) return;
    this.#backing.dropBlock(block);
    this.#backing.changed();
    this.#from++;
    this.#storedCount -= postings.length;
    this.#storedBytes -= weightOf(postings);
    for (const posting of postings) {
      if (this.#takeRemoved(posting.position) || this.#isInRange(posting.position))
        this.#bytes -= posting.weight;
      else this.#head.push(posting);
    }
    if (this.#from === this.#to) {
      this.#removed = undefined;
      this.#removedRanges = [];
    }
    this.#late.cut(this.count);
    if (!this.#headIsThere) await this.#fillHead();
  }

  /** Reads the messages that are next, as many as are reasonable to hold. */
  async #fillHead(): Promise<void> {
    const generation = this.#generation;
    const lacking: Posting[] = [];
    let bytes = 0;
    for (let i = this.#headAt; i < this.#head.length && bytes < BLOCK_MAX_BYTES; i++) {
      const posting = this.#head[i] as Posting;
      if (posting.message !== undefined) break;
      lacking.push(posting);
      bytes += posting.weight;
    }
    const messages = await this.#backing.readMessages(lacking.map(({ position }) => position));
    if (generation !== this.#generation) return;
    const lost = new Set<Posting>();
    for (const [i, posting] of lacking.entries()) {
      posting.message = messages[i];
      if (posting.message === undefined) lost.add(posting);
      else this.#heldBytes += posting.weight;
    }
    if (lost.size > 0) this.#dropLost(lost);
  }

  /** What could not be read is gone: it may not keep back what is behind it. */
  #dropLost(lost: ReadonlySet<Posting>): void {
    this.#head = this.#head.filter((posting, i) => i >= this.#headAt && !lost.has(posting));
    this.#headAt = 0;
    this.#backing.changed();
    for (const { weight, position } of lost) {
      this.#bytes -= weight;
      this.#backing.lost(position);
    }
    this.#late.cut(this.count);
  }

  /** @returns whether there was one that is in memory. */
  #removeOne(position: LogPosition, qos: QoS | undefined): boolean {
    return (
      this.#removeFrom(this.#head, position, this.#headAt, qos) ||
      this.#removeFrom(this.#tail, position, 0, qos)
    );
  }

  #removeFrom(postings: Posting[], position: LogPosition, from: number, qos: QoS | undefined): boolean {
    const at = postings.findIndex(
      (posting, i) =>
        i >= from && posting.position === position && (qos === undefined || (posting.flags & 3) === qos),
    );
    const posting = postings[at];
    if (posting === undefined) return false;
    postings.splice(at, 1);
    this.#discount(posting);
    if (postings === this.#tail) this.#tailBytes -= posting.weight;
    return true;
  }

  #without(postings: Posting[], from: LogPosition, to: LogPosition): Posting[] {
    return postings.filter((posting) => {
      const stays = posting.position < from || posting.position > to;
      if (!stays) this.#discount(posting);
      return stays;
    });
  }

  #noteRemoved(position: LogPosition): void {
    const removed = (this.#removed ??= new Map());
    removed.set(position, (removed.get(position) ?? 0) + 1);
  }

  /** @returns whether one of this position has left that was not met yet. */
  #takeRemoved(position: LogPosition): boolean {
    const count = this.#removed?.get(position);
    if (count === undefined) return false;
    if (count === 1) this.#removed?.delete(position);
    else this.#removed?.set(position, count - 1);
    return true;
  }

  #isInRange(position: LogPosition): boolean {
    const ranges = this.#removedRanges;
    for (let i = 0; i < ranges.length; i += 2)
      if (position >= (ranges[i] as LogPosition) && position <= (ranges[i + 1] as LogPosition)) return true;
    return false;
  }

  #discount({ message, weight }: Posting): void {
    this.#bytes -= weight;
    if (message !== undefined) this.#heldBytes -= weight;
  }

  #releaseOne(posting: Posting): void {
    if (posting.message === undefined || posting.position === 0) return;
    posting.message = undefined;
    this.#heldBytes -= posting.weight;
  }
}

function weightOf(postings: readonly Posting[]): number {
  let bytes = 0;
  for (const { weight } of postings) bytes += weight;
  return bytes;
}
