/**
 * What this gateway keeps of the archive of one other: copies of what is not archived there yet, in the log here. See kept-state.ts for what they
 * are worth.
 *
 *     offer ─▶ want ─▶ chunk ─▶ log here ─▶ (committed) ─▶ state, ack
 *
 * What is remembered is written down with the next checkpoint. After a crash the copies that came since are found in the log.
 */
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import type { Logger } from '../../../lib/contracts/logger.js';
import {
  type KeptParts,
  type LogPosition,
  STANDBY_PREFIX,
  type Store,
} from '../../../lib/contracts/store.js';
import { HAS_ZSTD } from '../zstd.js';
import { decodeChunk, decodeChunkHead } from './copy-chunk.js';
import { type CopyFrame, encodeCopyAck, encodeWant } from './copy-frames.js';
import { decodeSaved, encodeSaved, type Finish } from './kept-note.js';
import { floorOf, isNextChunk, type KeptState, takeChunk, takeOffer } from './kept-state.js';
import { type ArchiveOffer, offerFields } from './offer.js';
import { RESTART_TEXT } from './restart-text.js';

export type KeeperStore = Pick<
  Store,
  | 'committed'
  | 'bytesBetween'
  | 'admit'
  | 'appendKept'
  | 'readKept'
  | 'floors'
  | 'setFloor'
  | 'setNote'
  | 'recordNote'
  | 'note'
>;

export interface KeeperPorts {
  readonly store: KeeperStore;
  readonly logger: Logger;
  send(frame: Uint8Array): void;
  /** Calls back when what the log has at this position is committed. */
  whenCommitted(done: () => void, position: LogPosition): void;
}

export interface KeeperOptions {
  /** Of the log here that is held for it. */
  readonly maxBytes: number;
  /** Of a chunk. */
  readonly chunkMaxBytes: number;
}

/** More than this share of what may be held is not asked for: the rest is for what comes into the log here beside it. */
const COPIES_SHARE = 0.5;
const READ_BYTES = 1_048_576;
/** A usual one. */
const CHUNK_BYTES = 65_536;
/** What is looked through after a crash for copies, beside what came since the last checkpoint. */
const SCANNED_AGAIN_MAX_COUNT = 10_000;
const NOTHING = new Uint8Array(0);

/** Why not all is kept that could be. */
type Lack = 'full' | 'no room' | undefined;

export class Keeper {
  readonly origin: GatewayId;
  readonly #ports: KeeperPorts;
  readonly #options: KeeperOptions;
  #state: KeptState | undefined;
  #finish: Finish | undefined;
  #isReady = false;
  #isLinked = false;
  #isWanting = false;
  /** Copies that are not committed. */
  #pending = 0;
  /** Up to where copies of this run came. */
  #claimed: LogPosition = 0;
  #lack: Lack;
  #withheld: string | undefined;
  #offered: ArchiveOffer | undefined;
  #parts: Uint8Array[] = [];
  #partsBytes = 0;

  constructor(origin: GatewayId, ports: KeeperPorts, options: KeeperOptions) {
    this.origin = origin;
    this.#ports = ports;
    this.#options = options;
  }

  /** What was kept by earlier processes is found. */
  async open(): Promise<void> {
    const { store } = this.#ports;
    const saved = decodeSaved(store.note(this.#noteName));
    this.#state = saved?.state;
    this.#finish = saved?.finish;
    if (this.#state !== undefined) this.#state = await this.#scanned(this.#state);
    this.#isReady = true;
    this.#remember();
    if (this.#offered !== undefined) this.#take(this.#offered);
  }

  /** Copies that came since it was written down. */
  async #scanned(state: KeptState): Promise<KeptState> {
    const { store } = this.#ports;
    const { committed } = store;
    for (let at = state.scanned + 1; at <= committed;) {
      const from = at;
      const { parts, next } = await new Promise<KeptParts>((resolve) =>
        store.readKept(from, READ_BYTES, resolve),
      );
      for (const { name, bytes, position } of parts) {
        const head = name === nameOf(this.origin, state.run) ? decodeChunkHead(bytes) : undefined;
        if (head !== undefined && isNextChunk(state, head))
          state = takeChunk(state, head, position, bytes.length);
      }
      at = next;
    }
    return { ...state, scanned: Math.max(state.scanned, committed) };
  }

  get state(): KeptState | undefined {
    return this.#state;
  }

  /** Of its copies in the log here. */
  get name(): string {
    return nameOf(this.origin, this.#state?.run ?? 0);
  }

  get finish(): Finish | undefined {
    return this.#finish;
  }

  /** The newest of its link; undefined: there is no link, or none came. */
  get offered(): ArchiveOffer | undefined {
    return this.#offered;
  }

  get isLinked(): boolean {
    return this.#isLinked;
  }

  /** Everything that came is durable. */
  get isSettled(): boolean {
    return this.#pending === 0;
  }

  get heldBytes(): number {
    const { store } = this.#ports;
    const floor = this.#state && floorOf(this.#state);
    return floor === undefined ? 0 : Math.round(store.bytesBetween(floor - 1, store.committed));
  }

  /** Why what it takes in is not all kept; undefined: it is. */
  get lack(): string | undefined {
    if (this.#withheld !== undefined) return this.#withheld;
    const { format, compression } = this.#state?.offer.config ?? {};
    if (format === 'parquet' && compression === 'zstd' && !HAS_ZSTD)
      return 'its files are packed with zstd, which needs Node.js 22.15 or later here: what is kept cannot be written';
    if (this.#lack === 'full')
      return `more waits there to be archived than is kept here: archive.standbyMaxBytes is ${this.#options.maxBytes}`;
    return this.#lack === 'no room' ? 'the disk of this gateway has no room for it' : undefined;
  }

  // Links.

  linkUp(): void {
    this.linkDown();
    this.#isLinked = true;
  }

  linkDown(): void {
    this.#isLinked = false;
    this.#isWanting = false;
    this.#offered = undefined;
    this.#withheld = undefined;
    this.#clearParts();
  }

  /** @returns why the link has to be closed; undefined: all is well */
  frame(frame: CopyFrame): string | undefined {
    if (!this.#isLinked) return undefined;
    if (frame.kind === 'part') return this.#takePart(frame.bytes, frame.isLast);
    if (frame.kind === 'withheld') {
      this.#withheld = frame.reason;
      this.#isWanting = false;
    } else if (frame.kind === 'offer') {
      this.#withheld = undefined;
      this.#take(frame.offer);
    }
    return undefined;
  }

  #take(offer: ArchiveOffer): void {
    this.#offered = offer;
    // What is being brought into its archive stays as it is.
    if (!this.#isReady || this.#finish !== undefined) return;
    const { store, logger } = this.#ports;
    const before = this.#state;
    const run = Math.max(store.committed, (before?.run ?? 0) + 1);
    const start = { run, scanned: store.committed, claimed: this.#claimed };
    const { state, restart } = takeOffer(before, offer, start);
    this.#state = state;
    const isNewRun = state.run === run;
    if (isNewRun) this.#claimed = 0;
    if (restart !== undefined && before !== undefined && before.upTo > before.after)
      logger.warn('what was kept of the archive of another gateway is of no use any more, and is kept anew', {
        gateway: this.origin,
        reason: RESTART_TEXT[restart],
        from: before.after + 1,
        to: before.upTo,
      });
    this.#remember();
    // In the log before the copies that are of it: after a crash they are found beside it.
    if (before === undefined || isOther(before.offer, offer)) store.recordNote(this.#noteName);
    if (isNewRun || !this.#isWanting) this.#want();
  }

  #want(): void {
    if (!this.#isLinked || this.#offered === undefined || this.#state === undefined) return;
    if (this.#finish !== undefined || this.#withheld !== undefined) return;
    this.#isWanting = true;
    this.#clearParts();
    this.#ports.send(encodeWant(this.#state.upTo, this.#options.chunkMaxBytes));
  }

  #takePart(bytes: Uint8Array, isLast: boolean): string | undefined {
    this.#partsBytes += bytes.length;
    if (this.#partsBytes > this.#options.chunkMaxBytes)
      return `a copy of more than ${this.#options.chunkMaxBytes} bytes`;
    this.#parts.push(Uint8Array.from(bytes));
    if (!isLast) return undefined;
    const whole = Buffer.concat(this.#parts);
    this.#clearParts();
    return this.#takeChunk(whole);
  }

  #clearParts(): void {
    this.#parts = [];
    this.#partsBytes = 0;
  }

  #takeChunk(bytes: Uint8Array): string | undefined {
    const chunk = decodeChunk(bytes);
    if (chunk === undefined) return 'a copy that cannot be read';
    const state = this.#state;
    if (!this.#isWanting || state === undefined) return undefined;
    const { store, whenCommitted, send } = this.#ports;
    if (chunk.from > state.upTo)
      return `a copy from ${chunk.from} on, and ${state.upTo} is where it has to begin`;
    if (chunk.to <= state.upTo) {
      send(encodeCopyAck(chunk.to));
      return undefined;
    }
    this.#lack = this.#lackFor(state, bytes.length);
    if (this.#lack !== undefined) {
      this.#isWanting = false;
      return undefined;
    }
    const { run } = state;
    this.#pending++;
    this.#claimed = Math.max(this.#claimed, chunk.to);
    const position = store.appendKept(nameOf(this.origin, run), bytes);
    whenCommitted(() => {
      this.#pending--;
      const present = this.#state;
      if (present?.run !== run) return;
      // One that came over an earlier link may have brought it.
      if (isNextChunk(present, chunk)) {
        this.#state = takeChunk(present, chunk, position, bytes.length);
        this.#remember();
      }
      send(encodeCopyAck(chunk.to));
    }, position);
    return undefined;
  }

  #lackFor(state: KeptState, bytes: number): Lack {
    if (state.bytes > 0 && state.bytes + bytes > COPIES_SHARE * this.#options.maxBytes) return 'full';
    return this.#ports.store.admit(bytes) === 0 ? undefined : 'no room';
  }

  // Time.

  /** Every second or so. */
  tick(): void {
    if (!this.#isReady) return;
    if (this.heldBytes > this.#options.maxBytes) this.#giveUp();
    const state = this.#state;
    const { committed } = this.#ports.store;
    if (state === undefined) return;
    if (this.#pending === 0 && committed - state.scanned > SCANNED_AGAIN_MAX_COUNT) {
      this.#state = { ...state, scanned: committed };
      this.#remember();
    }
    if (this.#isWanting) return;
    this.#lack = this.#lackFor(state, CHUNK_BYTES);
    if (this.#lack === undefined) this.#want();
  }

  #giveUp(): void {
    const { logger } = this.#ports;
    logger.error(
      'what is kept of the archive of another gateway is more than is kept for it: it is given up',
      {
        ...{ gateway: this.origin, from: (this.#state?.after ?? 0) + 1, to: this.#state?.upTo },
        ...{ maxBytes: this.#options.maxBytes, raise: 'archive.standbyMaxBytes' },
      },
    );
    const offer = this.#offered;
    this.forget();
    if (offer !== undefined) this.#take(offer);
  }

  // Finishing.

  /** What is here goes into its archive, and nothing more is asked for. Durable soon. */
  beginFinish(finish: Finish): void {
    this.#finish = finish;
    this.#isWanting = false;
    this.#remember();
    this.#ports.store.recordNote(this.#noteName);
  }

  /** Nothing is kept any more. */
  forget(): void {
    this.#state = undefined;
    this.#finish = undefined;
    this.#isWanting = false;
    this.#claimed = 0;
    this.#remember();
    this.#ports.store.recordNote(this.#noteName);
  }

  #remember(): void {
    const { store } = this.#ports;
    const state = this.#state;
    const note = state === undefined ? NOTHING : encodeSaved({ state, finish: this.#finish });
    store.setNote(this.#noteName, note);
    store.setFloor(this.#noteName, state && floorOf(state));
  }

  /** And of its floor. */
  get #noteName(): string {
    return STANDBY_PREFIX + this.origin;
  }
}

const nameOf = (origin: GatewayId, run: number): string => `${STANDBY_PREFIX}${origin}/${run}`;

/** Whether copies mean something else with it. Less that is known to be done does no harm. */
function isOther(before: ArchiveOffer, offer: ArchiveOffer): boolean {
  const textOf = (one: ArchiveOffer): string =>
    JSON.stringify(offerFields({ ...one, done: offer.done, tip: offer.tip }));
  return textOf(before) !== textOf(offer);
}
