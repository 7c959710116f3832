/**
 * Takes the messages of one other gateway into the log here, each exactly once and in order. It lives longer than links, and is the only
 * one of the two sides that remembers anything over a restart: see stream-state.ts.
 *
 *     frame ─▶ append what is new, in order ─▶ record what is covered ─▶ (committed) ─▶ acknowledge, give the bytes back
 *       └─ no room: waits ─▲
 *
 * What waits is within the credit of the sender, who gets none of it back: it stops, and keeps what it has. With the link it is forgotten, and
 * comes again.
 *
 * Whatever a frame brought is in the log before the record that says so, and a log keeps its beginning: no acknowledgement is of
 * something that a crash can take back.
 */
import { type Epoch, isSameEpoch } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type {
  BackfillImage,
  BackfillRecord,
  MessageSource,
  StreamImage,
  StreamRecord,
} from '../../lib/contracts/streams.js';
import type { Message } from '../../lib/message/message.js';
import { ByteWriter, MalformedFrame } from '../wire/bytes.js';
import { AckQueue } from './ack-queue.js';
import {
  type BeginFrame,
  type CoverFrame,
  decodeStreamFrame,
  encodeAck,
  type ExpressFrame,
  FrameKind,
  PartAssembly,
  type ReceiverGreeting,
} from './frames.js';
import { CREDIT_BYTES, HAVE_MAX, SINCE_MAX, SOON_POSITIONS, TEXT_SLOTS, WHOLE_MAX_BYTES } from './limits.js';
import { StreamState } from './stream-state.js';
import { TextCache } from './text-cache.js';

export interface ReceiverPorts {
  /** On the channel `forward` of the link that was greeted last. */
  send(frame: Uint8Array): void;
  /** On the clock of `expiresAt`. */
  now(): number;
  /** Whether `append` may be called; what came waits meanwhile, and its sender with it. */
  hasRoom(): boolean;
  /** Its source, sequence and counter are set. @returns its position in the log here; 0: it needs no commit */
  append(message: Message): LogPosition;
  record(record: StreamRecord | BackfillRecord): LogPosition;
  /** The origin has lost positions of its log, both included. */
  reportHole(origin: GatewayId, from: LogPosition, to: LogPosition): void;
}

export interface ReceiverOptions {
  readonly creditBytes?: number;
  readonly wholeMaxBytes?: number;
  readonly haveMax?: number;
  /** Where the stream stands; default: nothing is known of it. */
  readonly state?: StreamState;
}

export interface ReceiverStatus {
  readonly covered: LogPosition;
  readonly durable: LogPosition;
  readonly aheadCount: number;
  readonly sinceCount: number;
  /** Arrived and not committed. */
  readonly heldBytes: number;
  readonly received: number;
  /** Came again. */
  readonly duplicates: number;
  readonly duplicateBatches: number;
  readonly holes: number;
}

type MessageFrame = CoverFrame | ExpressFrame;

/** @param bytes of the credit */
interface Waiting {
  readonly frame: MessageFrame;
  readonly bytes: number;
}

/** Why a link has to be closed; undefined: all is well. */
export type Refusal = string | undefined;

export class StreamReceiver {
  readonly #ports: ReceiverPorts;
  readonly #state: StreamState;
  readonly #creditBytes: number;
  readonly #wholeMaxBytes: number;
  readonly #haveMax: number;
  readonly #texts: TextCache;
  readonly #writer = new ByteWriter(64);
  readonly #sources: MessageSource[] = [];
  readonly #owed = new AckQueue();
  #parts: PartAssembly;
  /** Counts the links; what is owed to an older one is not given back on this one. */
  #link = 0;
  #isUp = false;
  #hasBegun = false;
  /** Where the log of the origin ended when the link began. */
  #backlogEnd: LogPosition = 0;
  /** Frames with messages for which there is no room, and what came behind them. */
  readonly #waiting: Waiting[] = [];
  /** Version of an interest that grew between the greeting and the beginning of a link; 0: none. */
  #grown = 0;
  #express = 0;
  #heldBytes = 0;
  #committed: LogPosition = 0;
  #lastPosition: LogPosition = 0;
  #durable: LogPosition = 0;
  /** Where a backfill would go on after a crash; undefined: there would be none. */
  #durableCursor: LogPosition | undefined;
  #counts = { received: 0, duplicates: 0, duplicateBatches: 0, holes: 0 };

  /** @param texts may be shared by the receivers of a gateway */
  constructor(origin: GatewayId, ports: ReceiverPorts, options: ReceiverOptions = {}, texts?: TextCache) {
    this.#ports = ports;
    this.#state = options.state ?? new StreamState(origin);
    this.#creditBytes = options.creditBytes ?? CREDIT_BYTES;
    this.#wholeMaxBytes = options.wholeMaxBytes ?? WHOLE_MAX_BYTES;
    this.#haveMax = options.haveMax ?? HAVE_MAX;
    this.#texts = texts ?? new TextCache(TEXT_SLOTS);
    this.#parts = new PartAssembly(this.#wholeMaxBytes);
  }

  // What is remembered over a restart.

  /** As it stands, with what is not committed yet; undefined: nothing is known of the origin. */
  get image(): StreamImage | undefined {
    return this.#state.image;
  }

  restore(image: StreamImage): void {
    this.#state.restore(image);
    this.#durable = this.#state.covered;
    this.#durableCursor = this.#state.backfill?.cursor;
  }

  replay(record: StreamRecord | BackfillRecord): void {
    this.#state.replay(record);
    this.#durable = this.#state.covered;
    this.#durableCursor = this.#state.backfill?.cursor;
  }

  replayForwarded(sequence: LogPosition): void {
    this.#state.note(sequence);
  }

  // Links.

  /** A new link begins; no frame of an older one may be handed in any more. @returns what the other side begins with */
  greet(): ReceiverGreeting {
    this.#link++;
    this.#isUp = true;
    this.#hasBegun = false;
    this.#grown = 0;
    this.#express = 0;
    this.#heldBytes = 0;
    this.#parts.clear();
    this.#waiting.length = 0;
    const { epoch, covered, have, backfill } = this.#state;
    return {
      covered: epoch === undefined ? undefined : covered,
      durable: this.#durable,
      floor: this.#floor,
      have,
      backfill,
      creditBytes: this.#creditBytes,
      wholeMaxBytes: this.#wholeMaxBytes,
    };
  }

  linkDown(): void {
    this.#isUp = false;
    this.#parts.clear();
    this.#waiting.length = 0;
  }

  /** Never throws for what a peer may send. @param frame stays the caller's */
  onFrame(frame: Uint8Array): Refusal {
    if (!this.#isUp) return 'a frame on a link that is down';
    const refusal = this.#tryFrame(frame);
    if (refusal !== undefined) this.linkDown();
    return refusal;
  }

  /** The log is committed up to here: what is owed leaves. */
  committed(position: LogPosition): void {
    if (position > this.#committed) this.#committed = position;
    this.#acknowledge();
  }

  /** There may be room again: some times a second. @returns why the link has to be closed, as `onFrame` */
  tick(): Refusal {
    while (this.#waiting.length > 0 && this.#ports.hasRoom()) {
      const [{ frame, bytes }] = this.#waiting.splice(0, 1) as [Waiting];
      const refusal = this.#take(frame, bytes);
      if (refusal === undefined) continue;
      this.linkDown();
      return refusal;
    }
    return undefined;
  }

  /**
   * The interest of this gateway grows: before the other one is told. What came in between is back-filled.
   * @param version the new one, greater than any before
   * @returns `since` of StreamSender.interestChanged; 0: where the link begins; undefined: no link is up, and the next one begins with the new interest
   */
  interestGrows(version: number): LogPosition | undefined {
    if (!this.#isUp) return undefined;
    if (!this.#hasBegun) {
      this.#grown = version;
      return 0;
    }
    const { covered, backfill } = this.#state;
    const since = backfill?.cursor ?? covered;
    this.#moveBackfill(version, since, false);
    this.#owe(0, 0, this.#state.backfill, false);
    return since;
  }

  /** The origin was put back to what it was: nothing beyond `upTo` is of the lives that it knows. @returns where that is in the log here */
  reset(upTo: LogPosition, epoch: Epoch): LogPosition {
    const { origin } = this.#state;
    this.#state.reset(upTo, epoch);
    this.#durable = Math.min(this.#durable, this.#state.covered);
    if (this.#durableCursor !== undefined) this.#durableCursor = Math.min(this.#durableCursor, upTo);
    this.#owed.cap(this.#state.covered);
    const position = this.#ports.record({ kind: 'reset', origin, epoch, upTo });
    this.#recorded(position);
    this.#owe(0, 0, undefined, false);
    return position;
  }

  /** Whether its origin was ever met. */
  get isMet(): boolean {
    return this.#state.epoch !== undefined;
  }

  /** Everything of the origin up to here that was wanted is in the log for good. */
  get durable(): LogPosition {
    return this.#durable;
  }

  /** @param end of the log of the origin when the link began, as it says */
  linkBegan(end: LogPosition): void {
    this.#backlogEnd = end;
  }

  /** What was there when the link began is still to come, and not so much of it that it takes long. */
  get isCatchingUp(): boolean {
    const missing = this.#isUp ? this.#backlogEnd - this.#durable : 0;
    return missing > 0 && missing <= SOON_POSITIONS;
  }

  get status(): ReceiverStatus {
    const { covered, aheadCount, sinceCount } = this.#state;
    return {
      covered,
      durable: this.#durable,
      aheadCount,
      sinceCount,
      heldBytes: this.#heldBytes,
      ...this.#counts,
    };
  }

  /** Nothing up to here is asked for again, whatever a crash takes back. */
  get #floor(): LogPosition {
    const cursor = this.#state.backfill?.cursor ?? Infinity;
    return Math.min(this.#durable, this.#durableCursor ?? Infinity, cursor);
  }

  #tryFrame(frame: Uint8Array): Refusal {
    try {
      const kind = frame[0];
      if (kind === FrameKind.part || kind === FrameKind.lastPart) {
        const whole = this.#parts.add(frame);
        return whole === undefined ? undefined : this.#handle(whole);
      }
      if (!this.#parts.isEmpty) return 'a frame between the parts of another';
      // The messages are views of it and stay.
      return this.#handle(Uint8Array.prototype.slice.call(frame));
    } catch (error) {
      if (error instanceof MalformedFrame) return error.message;
      throw error;
    }
  }

  #handle(frame: Uint8Array): Refusal {
    const decoded = decodeStreamFrame(frame, this.#ports.now(), this.#texts);
    if (decoded.kind === FrameKind.begin) return this.#begin(decoded);
    if (!this.#hasBegun) return 'messages before the beginning';
    if (this.#heldBytes > 0 && this.#heldBytes + frame.length > this.#creditBytes)
      return `more than the ${this.#creditBytes} bytes that were granted`;
    this.#heldBytes += frame.length;
    if (this.#waiting.length > 0 || (decoded.messages.length > 0 && !this.#ports.hasRoom())) {
      this.#waiting.push({ frame: decoded, bytes: frame.length });
      return undefined;
    }
    return this.#take(decoded, frame.length);
  }

  #take(frame: MessageFrame, bytes: number): Refusal {
    const refusal =
      frame.kind === FrameKind.express
        ? this.#takeExpress(frame, bytes)
        : frame.kind === FrameKind.main
          ? this.#takeMain(frame, bytes)
          : this.#takeBackfill(frame, bytes);
    if (refusal === undefined) this.#acknowledge();
    return refusal;
  }

  #begin({ epoch, from, rolledBackTo }: BeginFrame): Refusal {
    if (this.#hasBegun) return 'a link begins twice';
    this.#hasBegun = true;
    if (rolledBackTo > 0) this.reset(rolledBackTo - 1, epoch);
    if (this.#state.epoch === undefined) this.reset(from, epoch);
    const { covered } = this.#state;
    if (from !== covered) return `begins behind ${from}, and everything up to ${covered} is here`;
    this.#state.setEpoch(epoch);
    if (this.#grown !== 0) this.#moveBackfill(this.#grown, this.#state.backfill?.cursor ?? covered, false);
    this.#owe(0, 0, this.#grown === 0 ? undefined : this.#state.backfill, false);
    this.#grown = 0;
    this.#acknowledge();
    return undefined;
  }

  #takeMain(batch: CoverFrame, bytes: number): Refusal {
    const { covered, origin } = this.#state;
    const epoch = this.#state.epoch ?? batch.epoch;
    if (batch.to <= covered) {
      this.#counts.duplicateBatches++;
      this.#owe(bytes, 0, undefined, false);
      return undefined;
    }
    if (batch.from > covered) return `covers from ${batch.from} on, and ${covered} is where it has to begin`;
    const source = this.#sourceOf(batch.epoch);
    for (const message of batch.messages) {
      if (this.#state.isNewInMain(message.sequence)) {
        this.#state.noteMain(message.sequence);
        this.#append(message, source);
      } else this.#counts.duplicates++;
    }
    if (this.#state.sinceCount > SINCE_MAX) return 'too many messages while a backfill goes on';
    this.#reportHole(batch, covered);
    this.#state.cover(batch.to, epoch);
    this.#recorded(this.#ports.record({ kind: 'covered', origin, epoch, upTo: batch.to }));
    this.#owe(bytes, 0, undefined, false);
    return undefined;
  }

  #takeExpress(batch: ExpressFrame, bytes: number): Refusal {
    if (batch.number !== this.#express + 1)
      return `express batch ${batch.number} behind batch ${this.#express}`;
    this.#express = batch.number;
    if (this.#state.aheadCount + batch.messages.length > this.#haveMax)
      return `more than ${this.#haveMax} messages ahead`;
    const source = this.#sourceOf(batch.epoch);
    for (const message of batch.messages) {
      if (this.#isHere(message.sequence)) this.#counts.duplicates++;
      else this.#appendAhead(message, source);
    }
    this.#owe(bytes, batch.number, undefined, false);
    return undefined;
  }

  #takeBackfill(batch: CoverFrame, bytes: number): Refusal {
    const { backfill, covered } = this.#state;
    if (backfill === undefined || batch.version > backfill.id)
      return `backfill ${batch.version} was not asked for`;
    if (batch.to > covered) return `a backfill up to ${batch.to}, and only ${covered} is covered`;
    const isCurrent = batch.version === backfill.id;
    if (isCurrent && batch.from > backfill.cursor)
      return `a backfill from ${batch.from} on, and ${backfill.cursor} is where it has to begin`;
    const source = this.#sourceOf(batch.epoch);
    for (const message of batch.messages) {
      if (this.#isHere(message.sequence)) this.#counts.duplicates++;
      else this.#appendAhead(message, source);
    }
    this.#reportHole(batch, backfill.cursor);
    // One that was overtaken by the next change brings what it was asked for; the next one begins where this one stood.
    if (isCurrent) this.#moveBackfill(batch.version, Math.max(backfill.cursor, batch.to), batch.done);
    this.#owe(
      bytes,
      0,
      isCurrent ? { id: batch.version, cursor: Math.max(backfill.cursor, batch.to) } : undefined,
      batch.done,
    );
    return undefined;
  }

  /** Whether a message that may come in more than one way is in the log. */
  #isHere(sequence: LogPosition): boolean {
    return this.#state.has(sequence);
  }

  #appendAhead(message: Message, source: MessageSource): void {
    this.#state.note(message.sequence);
    this.#append(message, source);
  }

  #append(message: Message, source: MessageSource): void {
    message.source = source;
    this.#counts.received++;
    this.#recorded(this.#ports.append(message));
  }

  #moveBackfill(id: number, upTo: LogPosition, done: boolean): void {
    const { origin, epoch } = this.#state;
    if (epoch === undefined) return;
    this.#state.moveBackfill(id, upTo, done);
    this.#recorded(this.#ports.record({ kind: 'backfill', origin, epoch, id, upTo, done }));
  }

  /** @param known up to where its holes were reported already */
  #reportHole({ lostFrom, lostTo }: CoverFrame, known: LogPosition): void {
    if (lostTo === 0 || lostTo <= known) return;
    this.#counts.holes++;
    this.#ports.reportHole(this.#state.origin, Math.max(lostFrom, known + 1), lostTo);
  }

  #sourceOf(epoch: Epoch): MessageSource {
    const known = this.#sources.find((source) => isSameEpoch(source.epoch, epoch));
    if (known !== undefined) return known;
    const source: MessageSource = { origin: this.#state.origin, epoch };
    if (this.#sources.length >= 64) this.#sources.shift();
    this.#sources.push(source);
    return source;
  }

  #recorded(position: LogPosition): void {
    if (position > this.#lastPosition) this.#lastPosition = position;
  }

  #owe(bytes: number, express: number, backfill: BackfillImage | undefined, done: boolean): void {
    this.#owed.push({
      position: this.#lastPosition,
      link: this.#link,
      bytes,
      express,
      covered: this.#state.covered,
      backfill,
      backfillDone: done,
    });
  }

  #acknowledge(): void {
    let bytes = 0;
    let express = 0;
    let isOwed = false;
    for (let owed = this.#owed.take(this.#committed); owed; owed = this.#owed.take(this.#committed)) {
      this.#durable = Math.max(this.#durable, owed.covered);
      if (owed.backfill !== undefined)
        this.#durableCursor = owed.backfillDone ? undefined : owed.backfill.cursor;
      isOwed = true;
      if (owed.link !== this.#link) continue;
      bytes += owed.bytes;
      express = Math.max(express, owed.express);
    }
    // Before the beginning the origin may have been put back to before what would be acknowledged.
    if (!isOwed || !this.#hasBegun || !this.#isUp) return;
    this.#heldBytes -= bytes;
    const ack = { covered: this.#durable, floor: this.#floor, creditBytes: bytes, express };
    this.#ports.send(encodeAck(this.#writer, ack));
  }
}
