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
import type { DeliveryQueue, LogPosition } from '../../lib/contracts/store.js';
import type { Message } from '../../lib/message/message.js';
import { BLOCK_MAX_COUNT, decodePostings, encodePostings, type Posting } from './posting-block.js';

/** The next block is read when so few messages are left in front of it. */
const READ_BELOW_COUNT = BLOCK_MAX_COUNT / 2;
/** Messages in memory beyond which a block is put away even where it is not full. */
const BLOCK_MAX_BYTES = 262_144;

/** Where blocks are put away, and messages read. */
export interface QueueBacking {
  putBlock(block: number, bytes: Uint8Array): void;
  getBlock(block: number): Promise<Uint8Array>;
  /** The block was read and is not wanted any more. */
  dropBlock(block: number): void;
  /** In the order of the positions; undefined for each that is damaged or gone. */
  readMessages(positions: readonly LogPosition[]): Promise<(Message | undefined)[]>;
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
  readonly head: readonly Posting[];
  readonly tail: readonly Posting[];
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
  #reading = false;
  /** Rises when what is being read is not wanted any more. */
  #generation = 0;

  constructor(backing: QueueBacking, state?: QueueState) {
    this.#backing = backing;
    if (state === undefined) return;
    this.#head = [...state.head];
    this.#tail = [...state.tail];
    this.#from = state.from;
    this.#to = state.to;
    this.#storedCount = state.storedCount;
    this.#storedBytes = state.storedBytes;
    this.#tailBytes = weightOf(this.#tail);
    this.#bytes = weightOf(this.#head) + this.#storedBytes + this.#tailBytes;
  }

  get count(): number {
    return this.#head.length - this.#headAt + this.#storedCount + this.#tail.length;
  }

  /** Of all messages that wait, wherever they are. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Of the messages that are in memory. */
  get heldBytes(): number {
    let bytes = 0;
    for (let i = this.#headAt; i < this.#head.length; i++) bytes += heldBytes(this.#head[i] as Posting);
    for (const posting of this.#tail) bytes += heldBytes(posting);
    return bytes;
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

  get state(): QueueState {
    return {
      from: this.#from,
      to: this.#to,
      storedCount: this.#storedCount,
      storedBytes: this.#storedBytes,
      head: this.#head.slice(this.#headAt),
      tail: [...this.#tail],
    };
  }

  push(message: Message, flags: number, identifiers: readonly number[] | undefined): void {
    const weight = message.weight;
    const posting: Posting = { position: message.position, flags, identifiers, weight, message };
    this.#bytes += weight;
    const isShort = this.#storedCount === 0 && this.#tail.length === 0;
    if (isShort && this.#head.length - this.#headAt < BLOCK_MAX_COUNT && !this.#reading) {
      this.#head.push(posting);
      return;
    }
    this.#tail.push(posting);
    this.#tailBytes += weight;
    this.#tailIsPinned ||= posting.position === 0;
    if (this.#tailIsPinned) return;
    if (this.#tail.length >= BLOCK_MAX_COUNT || this.#tailBytes >= BLOCK_MAX_BYTES) this.#putAway();
  }

  shift(): void {
    const posting = this.#head[this.#headAt];
    if (posting === undefined) return;
    this.#bytes -= posting.weight;
    this.#headAt++;
    if (this.#headAt === this.#head.length) {
      this.#head = [];
      this.#headAt = 0;
    } else if (this.#headAt >= BLOCK_MAX_COUNT) {
      this.#head = this.#head.slice(this.#headAt);
      this.#headAt = 0;
    }
    if (this.#head.length - this.#headAt < READ_BELOW_COUNT) this.#read();
  }

  /** A message that was delivered in an earlier life, wherever it stands; for the replay of the log. */
  remove(position: LogPosition): boolean {
    return this.#removeFrom(this.#head, position, this.#headAt) || this.#removeFrom(this.#tail, position, 0);
  }

  clear(): void {
    for (let block = this.#from; block < this.#to; block++) this.#backing.dropBlock(block);
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
    this.#tail = [];
    this.#tailBytes = 0;
  }

  /** Makes the next messages ready, where they are not. */
  #read(): void {
    if (this.#reading || this.count === 0) return;
    if (this.#headLacksMessages()) {
      this.#start(() => this.#fill(this.#head));
    } else if (this.#from < this.#to) {
      this.#start(async (isWanted) => {
        const postings = decodePostings(await this.#backing.getBlock(this.#from));
        await this.#fill(postings);
        if (!isWanted()) return;
        this.#backing.dropBlock(this.#from++);
        this.#storedCount -= postings.length;
        this.#storedBytes -= weightOf(postings);
        this.#append(postings);
      });
    } else if (this.#tail.length > 0) {
      const postings = this.#tail;
      this.#tail = [];
      this.#tailBytes = 0;
      this.#tailIsPinned = false;
      this.#append(postings);
      if (this.#headLacksMessages()) this.#start(() => this.#fill(this.#head));
    }
  }

  #start(read: (isWanted: () => boolean) => Promise<void>): void {
    this.#reading = true;
    const generation = this.#generation;
    const isWanted = (): boolean => generation === this.#generation;
    read(isWanted).then(
      () => {
        if (!isWanted()) return;
        this.#reading = false;
        this.#dropLost();
        if (this.#head[this.#headAt] === undefined) this.#read();
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

  #headLacksMessages(): boolean {
    return this.#head[this.#headAt] !== undefined && this.#head[this.#headAt]?.message === undefined;
  }

  /** Reads the messages of postings that lack them. */
  async #fill(postings: readonly Posting[]): Promise<void> {
    const lacking = postings.filter(({ message }) => message === undefined);
    const messages = await this.#backing.readMessages(lacking.map(({ position }) => position));
    for (const [i, posting] of lacking.entries()) posting.message = messages[i];
  }

  #append(postings: readonly Posting[]): void {
    for (const posting of postings) this.#head.push(posting);
  }

  /** What could not be read is gone: it may not keep back what is behind it. */
  #dropLost(): void {
    if (this.#head.every(({ message }, i) => i < this.#headAt || message !== undefined)) return;
    const rest = this.#head.slice(this.#headAt);
    this.#head = [];
    this.#headAt = 0;
    for (const posting of rest) {
      if (posting.message !== undefined) {
        this.#head.push(posting);
      } else {
        this.#bytes -= posting.weight;
        this.#backing.lost(posting.position);
      }
    }
  }

  #removeFrom(postings: Posting[], position: LogPosition, from: number): boolean {
    const at = postings.findIndex((posting, i) => i >= from && posting.position === position);
    const posting = postings[at];
    if (posting === undefined) return false;
    postings.splice(at, 1);
    this.#bytes -= posting.weight;
    if (postings === this.#tail) this.#tailBytes -= posting.weight;
    return true;
  }
}

function weightOf(postings: readonly Posting[]): number {
  let bytes = 0;
  for (const { weight } of postings) bytes += weight;
  return bytes;
}

function heldBytes({ message, weight }: Posting): number {
  return message === undefined ? 0 : weight;
}
