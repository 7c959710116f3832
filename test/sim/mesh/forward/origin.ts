/** The gateway whose messages are forwarded: a model of its log, and one StreamSender for each receiver and life of the process. */
import type { EpochStart } from '../../../../lib/contracts/epoch.js';
import type { OwnMessages } from '../../../../lib/contracts/streams.js';
import { createMessage, type Message } from '../../../../lib/message/message.js';
import { carriageOf, type InterestMatcher } from '../../../../mesh/forward/interest.js';
import { PendingTopics } from '../../../../mesh/forward/pending-topics.js';
import { type SenderPorts, StreamSender } from '../../../../mesh/forward/stream-sender.js';
import type { Random } from '../../random.js';
import type { Agenda } from './agenda.js';
import type { ForwardPlan } from './plan.js';

/** How often the disk is one on which a read takes longer than interest to grow, and a link to break. */
const SLOW_DISK_CHANCE = 0.2;
const SLOW_READ_MAX_MS = 600;

/** A position of the log: a message, or a record of something else. */
export interface Entry {
  /** In the order of all that was ever published; 0: no message. */
  readonly id: number;
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly expires: boolean;
  readonly payload: Uint8Array;
  readonly expiresAt: number;
  lost: boolean;
}

export interface OriginHooks {
  readonly isMutantExpress: boolean;
  ports(index: number): Pick<SenderPorts, 'send' | 'stalled' | 'pass'>;
}

class NothingPending extends PendingTopics {
  override isFree(): boolean {
    return true;
  }
}

export class Origin {
  /** Position n is at n - 1. */
  readonly log: Entry[] = [];
  committed = 0;
  /** Of which the senders were told. */
  told = 0;
  pruned = 0;
  lineage: EpochStart[] = [];
  /** Epochs that are in no lineage any more, with the last position of theirs that is. */
  readonly dead = new Map<string, number>();
  senders: (StreamSender | undefined)[] = [];
  readonly matchers: (InterestMatcher | undefined)[] = [];
  readonly floors: number[] = [];
  isUp = false;
  /** Counts the lives of the process. */
  life = 0;
  #nextId = 0;
  #isNotified = false;

  constructor(
    private readonly agenda: Agenda,
    private readonly random: Random,
    private readonly plan: ForwardPlan,
    private readonly hooks: OriginHooks,
  ) {}

  start(): void {
    this.life++;
    this.isUp = true;
    this.#isNotified = false;
    const counter = (this.lineage.at(-1)?.counter ?? 0) + 1;
    const nonce = this.random.u32().toString(16).padStart(16, '0');
    this.lineage = [...this.lineage, { counter, nonce, after: this.committed }];
    this.told = this.committed;
    this.senders = [];
    for (let index = 0; index < this.plan.receivers; index++) this.#createSender(index);
    this.#notice(this.life);
  }

  /** What is not committed is lost. @param to the log is put back to what it was at this position */
  crash(to = this.committed): void {
    this.isUp = false;
    this.senders = [];
    this.log.length = to;
    if (to < this.committed) this.#rollBack(to);
    this.committed = to;
  }

  /** @param topic of a message; undefined: another record */
  append(topic: string | undefined): void {
    const { random, plan } = this;
    const expires = random.chance(0.03);
    const payload = new Uint8Array(
      4 + (random.chance(0.02) ? random.integer(0, 400) : random.integer(0, 40)),
    );
    const id = topic === undefined ? 0 : ++this.#nextId;
    new DataView(payload.buffer).setUint32(0, id);
    const retain = random.chance(plan.retainChance);
    this.log.push({
      id,
      topic: topic ?? '',
      qos: retain && random.chance(0.3) ? 0 : random.chance(0.5) ? 1 : 2,
      retain,
      expires,
      payload,
      expiresAt: expires ? this.agenda.now + random.integer(0, 2000) : Infinity,
      lost: false,
    });
    if (this.#isNotified) return;
    this.#isNotified = true;
    const { life } = this;
    this.agenda.after(random.delay(plan.commitMaxMs), () => this.#commit(life));
  }

  /** Forgets the oldest, whoever still needs it. */
  prune(): void {
    const upTo = Math.min(this.committed, this.pruned + this.random.integer(1, 20));
    this.#lose(this.pruned + 1, upTo);
    this.pruned = Math.max(this.pruned, upTo);
  }

  /** Forgets what nobody needs. */
  pruneToFloor(): void {
    const floor = Math.min(this.committed, ...this.floors.map((position) => position - 1));
    if (floor > this.pruned && this.floors.length === this.plan.receivers) {
      this.#lose(this.pruned + 1, floor);
      this.pruned = floor;
    }
  }

  /** A part of it cannot be read any more. */
  damage(): void {
    if (this.committed < 2) return;
    const from = this.random.integer(Math.max(1, this.committed - 30), this.committed);
    this.#lose(from, Math.min(this.committed, from + this.random.integer(0, 3)));
  }

  /** The last position of an epoch; undefined: it goes on. */
  endOf(nonce: string): number | undefined {
    const index = this.lineage.findIndex((start) => start.nonce === nonce);
    return index < 0 ? (this.dead.get(nonce) ?? 0) : this.lineage[index + 1]?.after;
  }

  tick(): void {
    for (const sender of this.senders) sender?.tick(this.agenda.now);
  }

  #createSender(index: number): void {
    const { plan, agenda } = this;
    const pending = this.hooks.isMutantExpress
      ? new NothingPending(plan.pendingTopicsMax)
      : new PendingTopics(plan.pendingTopicsMax);
    let isReading = false;
    const readMaxMs = this.random.chance(SLOW_DISK_CHANCE) ? SLOW_READ_MAX_MS : plan.commitMaxMs;
    const sender = new StreamSender(
      {
        ...this.hooks.ports(index),
        now: () => agenda.now,
        readOwn: (from, maxBytes, done) => {
          if (isReading) throw new Error('the log is read twice at once for one peer');
          isReading = true;
          this.#answerRead(
            readMaxMs,
            () => this.#read(from, maxBytes),
            (own) => {
              isReading = false;
              done(own);
            },
          );
        },
        setFloor: (position) => (this.floors[index] = position),
      },
      { ...plan, head: this.committed, lineage: this.lineage, pending },
    );
    this.senders[index] = sender;
  }

  /** The log is looked at some time between question and answer: what comes may be older than what has happened since. */
  #answerRead(maxMs: number, read: () => OwnMessages, done: (own: OwnMessages) => void): void {
    const { life, agenda } = this;
    const isOver = (): boolean => life !== this.life || !this.isUp;
    const takesMs = this.random.delay(maxMs);
    const lookedAtMs = this.random.delay(takesMs);
    agenda.after(lookedAtMs, () => {
      if (isOver()) return;
      const own = read();
      agenda.after(takesMs - lookedAtMs, () => {
        if (!isOver()) done(own);
      });
    });
  }

  #commit(life: number): void {
    if (life !== this.life || !this.isUp) return;
    this.#isNotified = false;
    this.committed = this.log.length;
    // The log may be read up to here before anybody is told.
    this.agenda.after(this.random.chance(0.3) ? this.random.delay(20) : 0, () => this.#notice(life));
  }

  #notice(life: number): void {
    if (life !== this.life || !this.isUp) return;
    const upTo = this.committed;
    for (let position = this.told + 1; position <= upTo; position++) {
      const message = this.#messageAt(position);
      if (message === undefined) continue;
      for (const [index, sender] of this.senders.entries()) {
        const matcher = this.matchers[index] ?? NOBODY;
        if (carriageOf(message, matcher) === 'none') {
          sender?.notWanted(message);
          continue;
        }
        if (this.random.chance(0.5)) sender?.committed(message);
        else sender?.committed(message, matcher(message.topic));
      }
    }
    this.told = Math.max(this.told, upTo);
    for (const sender of this.senders) {
      sender?.headMoved(this.told);
      sender?.flush();
    }
  }

  #read(from: number, maxBytes: number): OwnMessages {
    const messages: Message[] = [];
    let bytes = 0;
    let lostFrom = 0;
    let lostTo = 0;
    let position = from;
    for (; position <= this.committed && bytes < maxBytes; position++) {
      const entry = this.log[position - 1];
      if (entry === undefined) break;
      if (entry.lost || position <= this.pruned) {
        if (lostTo !== 0 && lostTo !== position - 1) break;
        lostFrom ||= position;
        lostTo = position;
        continue;
      }
      bytes += 20 + entry.payload.length;
      const message = this.#messageAt(position);
      if (message !== undefined) messages.push(message);
    }
    return { messages, wallMs: messages.map(() => 0), next: position, lostFrom, lostTo };
  }

  #messageAt(position: number): Message | undefined {
    const entry = this.log[position - 1];
    if (entry === undefined || entry.id === 0) return undefined;
    const { topic, payload, qos, retain, expiresAt, id } = entry;
    const topicBytes = topicBytesOf(topic);
    const publisher = `client-${id % 3}`;
    const message = createMessage({ topic, topicBytes, payload, qos, retain, expiresAt, publisher });
    message.position = position;
    message.retainedCounter = retain ? id : 0;
    return message;
  }

  #lose(from: number, to: number): void {
    for (let position = from; position <= to; position++) {
      const entry = this.log[position - 1];
      if (entry !== undefined) entry.lost = true;
    }
  }

  #rollBack(to: number): void {
    for (const [nonce, end] of this.dead) this.dead.set(nonce, Math.min(end, to));
    for (const { nonce, after } of this.lineage) if (after >= to) this.dead.set(nonce, to);
    this.lineage = this.lineage.filter(({ after }) => after < to);
    this.pruned = Math.min(this.pruned, to);
    this.told = Math.min(this.told, to);
    for (const [index, floor] of this.floors.entries()) this.floors[index] = Math.min(floor, to + 1);
  }
}

const NOBODY: InterestMatcher = () => -1;

function topicBytesOf(topic: string): Uint8Array {
  const text = Buffer.from(topic, 'utf8');
  return Uint8Array.of(text.length >> 8, text.length & 0xff, ...text);
}
