/**
 * Sends this gateway's own messages to one other gateway. It lives longer than links and remembers nothing over a restart: where it
 * goes on is what the receiver says.
 *
 *     committed ─┬─ live: in memory ────────┬─▶ main lane, in order ─────────▶ link
 *                ├─ catchUp: from the log ──┘                                   ▲ ▲
 *                ├─ nothing of its topic is pending: express lane ──────────────┘ │
 *                └─ behind main, for a grown interest: backfill lane, main waits ─┘
 *
 * catchUp becomes live when main has read up to the newest message; near it messages are kept in memory already while the log is read,
 * so that nothing falls between the two. live becomes catchUp when too much waits.
 *
 * The file is long because the modes and the three lanes decide about one position of the log together; what a lane can do alone is in its own.
 */
import type { Lineage } from '../../lib/contracts/epoch.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { OwnMessages } from '../../lib/contracts/streams.js';
import type { Message } from '../../lib/message/message.js';
import { MalformedFrame } from '../wire/bytes.js';
import { BackfillLane } from './backfill-lane.js';
import { CoverLane, type LaneWatcher } from './cover-lane.js';
import { ExpressLane } from './express-lane.js';
import { type Ack, decodeAck, FrameKind, type ReceiverGreeting } from './frames.js';
import { carriageOf, type InterestMatcher, type PeerInterest, type WantedQoS } from './interest.js';
import * as limits from './limits.js';
import { MessageQueue } from './message-queue.js';
import { Outlet, type RefusedCounts } from './outlet.js';
import { PendingTopics } from './pending-topics.js';

export interface SenderPorts {
  /** On the channel `forward`. @returns false: enough is queued, `drained` is called when it has left */
  send(frame: Uint8Array): boolean;
  /** On the clock of `expiresAt`. */
  now(): number;
  /** Calls back later, once: see Store.readOwn. */
  readOwn(from: LogPosition, maxBytes: number, done: (own: OwnMessages) => void): void;
  /** Nothing of the log from here on may go. */
  setFloor(position: LogPosition): void;
  /** A message that the peer wants with QoS 0 only; on a link that is up. */
  pass(message: Message): void;
  /** The link takes messages and nothing comes back: it should be rebuilt. Once for each link. */
  stalled(): void;
}

export interface SenderOptions {
  /** The log is committed up to here. */
  readonly head: LogPosition;
  readonly lineage: Lineage;
  /** 0 (default): as fast as the link. */
  readonly bytesPerSecond?: number;
  readonly batchMaxBytes?: number;
  readonly readBytes?: number;
  readonly liveMaxBytes?: number;
  readonly liveMaxCount?: number;
  readonly haveMax?: number;
  readonly pending?: PendingTopics;
}

export type SenderMode = 'down' | 'catchUp' | 'live';

export interface SenderStatus {
  readonly mode: SenderMode;
  /** That wait; in catchUp the positions that do, wanted or not. */
  readonly pendingMessages: number;
  /** In memory, and on their way. */
  readonly pendingBytes: number;
  readonly oldestUnackedMs: number;
  readonly sent: LogPosition;
  readonly acked: LogPosition;
  readonly sentMessages: number;
  readonly ackedMessages: number;
  readonly expressMessages: number;
  readonly aheadCount: number;
  readonly pendingTopics: number;
  readonly isBackfilling: boolean;
  readonly unackedBytes: number;
  readonly overflows: number;
  readonly switchesToLive: number;
  /** Messages that were not sent, by reason. */
  readonly refused: Readonly<RefusedCounts>;
}

const NOBODY: PeerInterest = { version: 0, matcher: () => -1 };

export class StreamSender {
  readonly #ports: SenderPorts;
  readonly #options: SenderOptions;
  readonly #outlet: Outlet;
  readonly #pending: PendingTopics;
  readonly #express: ExpressLane;
  readonly #main: CoverLane;
  #backfill: BackfillLane | undefined;
  #interest: PeerInterest = NOBODY;
  #isLive = false;
  /** Near the newest message while the log is read: everything wanted beyond `from`. */
  #joining: { readonly from: LogPosition; readonly queue: MessageQueue } | undefined;
  /** One read of the log at a time, whatever becomes of who asked for it. */
  #isReading = false;
  #isStarved = false;
  /** Where the link began, and where the backfill did that was not finished before it. */
  #start: LogPosition = 0;
  #resumedFrom: LogPosition = 0;
  #head: LogPosition;
  #acked: LogPosition = 0;
  /** What may be forgotten, as the receiver says. */
  #floor: LogPosition = 0;
  #coveredAt = 0;
  /** Where the log ended when the link began. */
  #backlogEnd: LogPosition = 0;
  /** Beyond it nothing stands in the log that the peer should hear of before long. */
  #worthUpTo: LogPosition = 0;
  #isStalled = false;
  #overflows = 0;
  #switchesToLive = 0;

  constructor(ports: SenderPorts, options: SenderOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#head = options.head;
    this.#outlet = new Outlet(ports, options.lineage, options.bytesPerSecond ?? 0, options.batchMaxBytes);
    this.#pending = options.pending ?? new PendingTopics(limits.PENDING_TOPICS_MAX);
    this.#pending.forget(options.head);
    this.#express = new ExpressLane(this.#outlet, this.#pending, options.haveMax ?? limits.HAVE_MAX);
    const watcher: LaneWatcher = {
      isSentAhead: (position) => this.#express.isAhead(position),
      passed: (message) => this.#passed(message),
    };
    this.#main = new CoverLane(FrameKind.main, this.#outlet, watcher, 0);
  }

  // Links.

  /**
   * @param interest in force for everything that the peer does not have yet
   * @param rolledBackTo the log here was put back to what it was, and of what the peer has only what is up to here is in it; undefined: it is what it was
   */
  linkUp(greeting: ReceiverGreeting, interest: PeerInterest, rolledBackTo?: LogPosition): void {
    if (this.#outlet.isUp) this.linkDown();
    const covered = greeting.covered ?? this.#head;
    // A log that ends before what the peer has of it was put back, even if nobody noticed.
    const rolledBack = rolledBackTo ?? (covered > this.#head ? this.#head : undefined);
    const start = Math.min(covered, rolledBack ?? covered);
    const limit = rolledBack ?? Infinity;
    this.#interest = interest;
    this.#start = start;
    this.#main.sent = start;
    this.#main.forget();
    this.#express.linkUp(greeting.have.filter((position) => position > start && position <= limit));
    this.#acked = greeting.covered === undefined ? start : Math.min(greeting.durable, start);
    this.#floor = greeting.covered === undefined ? start : Math.min(greeting.floor, start);
    this.#isStalled = false;
    this.#outlet.open(greeting);
    this.#outlet.begin(start, rolledBack);
    this.#backlogEnd = this.#head;
    this.#coveredAt = this.#outlet.now;
    this.#worthUpTo = this.#head;
    this.#resumeBackfill(greeting, start);
    this.#isLive = false;
    this.#joinWhereAllIsRead();
    this.#setFloor();
    this.#pump();
  }

  linkDown(): void {
    if (!this.#outlet.isUp) return;
    this.#trackQueue(this.#main.queue);
    this.#express.linkDown();
    this.#pending.linkLost(this.#head);
    this.#outlet.close();
    this.#main.forget();
    this.#backfill = undefined;
    this.#joining = undefined;
    this.#isLive = false;
  }

  /** An acknowledgement. Never throws for what a peer may send. @returns why the link has to be closed; undefined: all is well */
  onFrame(frame: Uint8Array): string | undefined {
    if (!this.#outlet.isUp) return 'a frame on a link that is down';
    try {
      const refusal = this.#acknowledged(decodeAck(frame));
      if (refusal === undefined) this.#pump();
      return refusal;
    } catch (error) {
      if (error instanceof MalformedFrame) return error.message;
      throw error;
    }
  }

  /** The link takes frames again. */
  drained(): void {
    this.#outlet.drained();
    this.#pump();
  }

  // Messages.

  /**
   * A message of this gateway was committed that the peer wants or that is retained; in the order of positions. `flush` follows at the
   * end of the turn.
   * @param wanted where it is known already
   */
  committed(message: Message, wanted?: WantedQoS): void {
    const { position } = message;
    if (position > this.#head) this.#head = position;
    if (position > this.#worthUpTo) this.#worthUpTo = position;
    const carriage = carriageOf(message, this.#interest.matcher, wanted);
    if (carriage === 'acknowledged') this.#accept(message);
    else this.notWanted(message);
    if (carriage === 'passing') {
      if (this.#outlet.isUp) this.#ports.pass(message);
      else this.#outlet.refused.passingDown++;
    }
    if (this.#isLive && position > this.#main.through) this.#main.through = position;
  }

  /**
   * The same of one that the peer does not want, or not acknowledged. While it is behind it may come to want it: then nothing newer of the topic may
   * overtake it.
   */
  notWanted({ topic, position }: Message): void {
    if (this.#isLive && this.#backfill === undefined) return;
    if (position > this.#main.sent || !this.#outlet.isUp) this.#pending.add(topic, position);
  }

  /**
   * The log is committed up to here, and `committed` was called for all of it.
   * @param isOfOthers what is new only says how much of other logs is here, or is of the archive alone: it is covered with what comes next
   */
  headMoved(position: LogPosition, isOfOthers = false): void {
    if (position > this.#head) this.#head = position;
    if (!isOfOthers) this.#worthUpTo = position;
    this.#isStarved = false;
    if (this.#isLive) this.#main.through = this.#head;
  }

  /** The end of a turn: what was collected leaves. */
  flush(): void {
    this.#pump();
  }

  // Interest.

  /**
   * The peer's interest changed while the link is up.
   * @param since what its receiver said (StreamReceiver.interestGrows): what it newly wants of what was sent since then is back-filled; 0: since the link began; undefined: it only shrank
   */
  interestChanged(version: number, matcher: InterestMatcher, since?: LogPosition): void {
    const old = this.#interest.matcher;
    if (!this.#outlet.isUp) {
      this.#interest = { version, matcher };
      return;
    }
    this.#pump();
    if (since === undefined) {
      this.#interest = { version, matcher };
      this.#keepWanted();
      return;
    }
    this.#closeMain();
    this.#interest = { version, matcher };
    // What a live peer did not want was not noted.
    if (this.#isLive) this.#pending.forget(this.#head);
    const { sent } = this.#main;
    const start = since === 0 ? Math.min(this.#resumedFrom, this.#start) : Math.min(since, sent);
    const known = this.#backfill === undefined ? old : undefined;
    this.#backfill = new BackfillLane(version, this.#outlet, start, sent, matcher, known);
    this.#pump();
  }

  // Time.

  /** Some times a second. */
  tick(now: number): void {
    if (!this.#outlet.isUp) return;
    this.#isStarved = false;
    if (!this.#isStalled && this.#outlet.window.idleMs(now) >= limits.STALL_MS) {
      this.#isStalled = true;
      this.#ports.stalled();
    }
    this.#pump();
  }

  /** When `tick` has something to do at the latest; undefined: nothing waits for time. */
  get nextDeadlineMs(): number | undefined {
    if (!this.#outlet.isUp) return undefined;
    const refill = this.#outlet.window.refillAt(this.#outlet.now);
    if (refill !== undefined) return refill;
    const { sent, through, queue } = this.#main;
    // What waits for credit does not wait for time.
    if (
      through <= sent ||
      this.#worthUpTo <= sent ||
      queue.count > 0 ||
      this.#outlet.budget(!this.#isLive) < 0
    )
      return undefined;
    return this.#coveredAt + limits.IDLE_COVER_MS;
  }

  /** Whether the link may carry something else now, with a limit of bytes in a second. */
  get hasSpareRate(): boolean {
    return this.#outlet.window.hasSpare(this.#outlet.now);
  }

  /** The link carries something else. */
  spend(bytes: number): void {
    this.#outlet.window.spend(bytes);
  }

  get status(): SenderStatus {
    const { window, isUp, now, sentMessages, refused } = this.#outlet;
    const { queue, sent } = this.#main;
    return {
      mode: isUp ? (this.#isLive ? 'live' : 'catchUp') : 'down',
      pendingMessages: isUp && this.#isLive ? queue.count : this.#head - (isUp ? sent : this.#acked),
      pendingBytes: this.#heldBytes + (isUp ? window.unackedBytes : 0),
      oldestUnackedMs: isUp ? window.oldestUnackedMs(now) : 0,
      sent,
      acked: this.#acked,
      sentMessages,
      ackedMessages: window.ackedMessages,
      expressMessages: this.#express.sentMessages,
      aheadCount: this.#express.aheadCount,
      pendingTopics: this.#pending.size,
      isBackfilling: this.#backfill !== undefined || this.#floor < this.#acked,
      unackedBytes: isUp ? window.unackedBytes : 0,
      overflows: this.#overflows,
      switchesToLive: this.#switchesToLive,
      refused,
    };
  }

  /** Weight of the messages in memory. */
  get #heldBytes(): number {
    const { bytes } = this.#main.queue;
    const joining = this.#joining?.queue.bytes ?? 0;
    return bytes + joining + this.#express.queuedBytes + (this.#backfill?.queue.bytes ?? 0);
  }

  #accept(message: Message): void {
    const main = this.#main;
    const { position, topic } = message;
    if (!this.#outlet.isUp) {
      this.#pending.add(topic, position);
      return;
    }
    // The log gave it to main before it was told.
    if (position <= main.through) {
      if (position > main.sent) this.#pending.add(topic, position);
      return;
    }
    const isBehind = !this.#isLive || this.#backfill !== undefined;
    if (isBehind && !this.#mayGoAhead(message)) this.#pending.add(topic, position);
    if (this.#isLive) {
      main.queue.push(message);
      main.through = position;
      if (this.#isTooMuch(main.queue)) this.#overflow();
    } else if (this.#joining !== undefined) {
      this.#joining.queue.push(message);
      if (this.#isTooMuch(this.#joining.queue)) this.#joining = undefined;
    }
  }

  #mayGoAhead(message: Message): boolean {
    if (this.#backfill?.blocks(message.topic) === true) return false;
    return this.#express.offer(message, this.#main.sent);
  }

  #isTooMuch(queue: MessageQueue): boolean {
    const maxBytes = this.#options.liveMaxBytes ?? limits.LIVE_MAX_BYTES;
    const maxCount = this.#options.liveMaxCount ?? limits.LIVE_MAX_COUNT;
    if (queue.count <= maxCount && queue.bytes <= maxBytes) return false;
    // What was collected in this turn has not had its chance to leave.
    this.#pump();
    return queue.count > maxCount || queue.bytes > maxBytes;
  }

  #overflow(): void {
    this.#overflows++;
    this.#leaveLive();
  }

  /** What waits in memory is read from the log when it is its turn. */
  #leaveLive(): void {
    if (this.#isLive) {
      this.#trackQueue(this.#main.queue);
      this.#pending.unknownTo(this.#head);
    }
    this.#isLive = false;
    this.#joining = undefined;
    this.#main.forget();
  }

  #trackQueue(queue: MessageQueue): void {
    for (let i = 0; i < queue.count; i++) {
      const message = queue.at(i);
      if (message !== undefined && !this.#express.isAhead(message.position))
        this.#pending.add(message.topic, message.position);
    }
  }

  #passed({ topic, position }: Message): void {
    this.#express.passed(position);
    if (this.#pending.size > 0) this.#pending.passed(topic, position);
  }

  #pump(): void {
    if (!this.#outlet.isUp) return;
    this.#express.flush();
    if (this.#backfill !== undefined && !this.#pumpBackfill(this.#backfill)) return;
    const main = this.#main;
    while (main.queue.count > 0) if (!this.#cover()) return;
    if (!this.#coverIfDue() || this.#isLive) return;
    this.#read(main);
  }

  /** @returns whether a batch left. */
  #cover(): boolean {
    if (!this.#main.sendBatch(this.#interest.version, !this.#isLive)) return false;
    this.#coveredAt = this.#outlet.now;
    if (this.#main.sent >= this.#head) this.#allSent();
    return true;
  }

  #allSent(): void {
    this.#pending.clear();
    this.#express.allPassed();
  }

  /** @returns false: a cover is due, and has to wait. */
  #coverIfDue(): boolean {
    const { sent, through, hasHole } = this.#main;
    if (through <= sent) return true;
    const unknown = this.#pending.unknownUpTo;
    const isDue =
      hasHole ||
      through - sent > limits.IDLE_COVER_POSITIONS ||
      // The other side waits for the end of the backlog.
      (sent < this.#backlogEnd && through >= this.#backlogEnd) ||
      (this.#worthUpTo > sent && this.#outlet.now - this.#coveredAt >= limits.IDLE_COVER_MS) ||
      // From here on messages may go ahead again.
      (sent < unknown && through >= unknown);
    if (!isDue) return true;
    return this.#cover() || !hasHole;
  }

  #read(lane: CoverLane): void {
    if (this.#isReading || this.#isStarved) return;
    if (lane === this.#main && this.#joinWhereAllIsRead()) return;
    this.#isReading = true;
    const from = lane.through + 1;
    this.#ports.readOwn(from, this.#options.readBytes ?? limits.READ_BYTES, (own) => {
      this.#isReading = false;
      this.#readCame(from, own);
      this.#pump();
    });
  }

  /**
   * The interest may have changed since, or the link: what was read is taken where it is what is read next now. Were it thrown away, a disk that
   * is slower than interest grows would never be done.
   */
  #readCame(from: LogPosition, own: OwnMessages): void {
    const backfill = this.#backfill;
    const lane = backfill ?? this.#main;
    if (!this.#outlet.isUp || (this.#isLive && backfill === undefined) || from > lane.through + 1) return;
    if (Math.max(own.next - 1, own.lostTo) > lane.through)
      if (backfill === undefined) this.#mainRead(own);
      else this.#backfillRead(backfill, own);
    // Nothing of it yet: asked again when there is more.
    else if (from === lane.through + 1) this.#isStarved = true;
  }

  /** @returns whether main has come to the newest message. */
  #joinWhereAllIsRead(): boolean {
    if (this.#main.through >= this.#head) {
      this.#becomeLive();
      return true;
    }
    const near = this.#options.liveMaxCount ?? limits.LIVE_MAX_COUNT;
    if (this.#joining === undefined && this.#head - this.#main.through <= near)
      this.#joining = { from: this.#head, queue: new MessageQueue() };
    return false;
  }

  #mainRead({ messages, next, lostFrom, lostTo }: OwnMessages): void {
    const main = this.#main;
    for (const message of messages) {
      if (message.position <= main.through) continue;
      if (carriageOf(message, this.#interest.matcher) === 'acknowledged') main.queue.push(message);
    }
    if (lostTo > main.through) main.lost(Math.max(lostFrom, main.through + 1), lostTo);
    main.through = Math.max(main.through, next - 1, lostTo);
    // The log may be ahead of what was told of it.
    if (main.through > this.#head) this.#head = main.through;
    if (main.through >= this.#head || main.through >= (this.#joining?.from ?? Infinity)) this.#becomeLive();
  }

  #becomeLive(): void {
    const main = this.#main;
    const queue = this.#joining?.queue;
    for (let i = 0; queue !== undefined && i < queue.count; i++) {
      const message = queue.at(i);
      if (message !== undefined && message.position > main.through) main.queue.push(message);
    }
    this.#joining = undefined;
    main.through = Math.max(main.through, this.#head);
    this.#isLive = true;
    this.#switchesToLive++;
    if (main.sent >= this.#head) this.#allSent();
  }

  /** @returns whether all of it is sent. */
  #pumpBackfill(lane: BackfillLane): boolean {
    while (lane.queue.count > 0 || lane.hasHole || lane.through >= lane.end) {
      if (!lane.sendBatch(lane.id, true, lane.end)) return false;
      if (lane.sent < lane.end) continue;
      this.#backfill = undefined;
      return true;
    }
    this.#read(lane);
    return false;
  }

  #backfillRead(lane: BackfillLane, { messages, next, lostFrom, lostTo }: OwnMessages): void {
    for (const message of messages)
      if (message.position > lane.through && message.position <= lane.end && lane.wants(message))
        lane.queue.push(message);
    const from = Math.max(lostFrom, lane.through + 1);
    const to = Math.min(lostTo, lane.end);
    if (from <= to) lane.lost(from, to);
    lane.through = Math.min(lane.end, Math.max(lane.through, next - 1, lostTo));
  }

  #resumeBackfill({ backfill }: ReceiverGreeting, start: LogPosition): void {
    this.#backfill = undefined;
    this.#resumedFrom = start;
    if (backfill === undefined) return;
    const cursor = Math.min(backfill.cursor, start);
    const { matcher } = this.#interest;
    this.#backfill = new BackfillLane(backfill.id, this.#outlet, cursor, start, matcher, undefined);
    this.#resumedFrom = cursor;
  }

  /** Were a part of a topic's messages sent that is not wanted any more, the rest would come behind it when it is wanted again. */
  #keepWanted(): void {
    const { matcher } = this.#interest;
    const isWanted = (message: Message): boolean => carriageOf(message, matcher) === 'acknowledged';
    this.#main.queue.keep(isWanted);
    this.#joining?.queue.keep(isWanted);
  }

  /** Everything that main has sent was by the old interest; all that it has not goes by the new one. */
  #closeMain(): void {
    const main = this.#main;
    if (this.#isLive && main.queue.count === 0 && this.#backfill === undefined && main.through > main.sent)
      this.#cover();
    if (!this.#isLive || main.through > main.sent) this.#leaveLive();
  }

  #acknowledged(ack: Ack): string | undefined {
    const { covered, floor, creditBytes, express } = ack;
    if (covered > this.#main.sent) return `${covered} is acknowledged, and only ${this.#main.sent} was sent`;
    if (express > this.#express.number) return `express batch ${express} was not sent`;
    if (!this.#outlet.window.returned(creditBytes, this.#outlet.now)) return 'credit that was not used';
    if (covered > this.#acked) this.#acked = covered;
    this.#floor = floor;
    this.#setFloor();
    return undefined;
  }

  #setFloor(): void {
    this.#ports.setFloor(this.#floor + 1);
  }
}
