/** A gateway that takes messages: a model of its log, its StreamReceiver, its interest, and what it may count on. */
import type { GatewayId } from '../../../../lib/contracts/gateway-id.js';
import type { BackfillRecord, StreamImage, StreamRecord } from '../../../../lib/contracts/streams.js';
import type { Message } from '../../../../lib/message/message.js';
import type { WantedQoS } from '../../../../mesh/forward/interest.js';
import { StreamReceiver } from '../../../../mesh/forward/stream-receiver.js';
import { StreamState } from '../../../../mesh/forward/stream-state.js';
import type { Random } from '../../random.js';
import { InvariantViolation } from '../../violation.js';
import type { Agenda } from './agenda.js';
import type { ForwardPlan } from './plan.js';

export type TopicInterest = ReadonlyMap<string, WantedQoS>;

type Item =
  | {
      readonly kind: 'message';
      readonly id: number;
      readonly topic: string;
      readonly sequence: number;
      readonly retain: boolean;
    }
  | { readonly kind: 'record'; readonly record: StreamRecord | BackfillRecord };

export interface ReceiverHooks {
  readonly isMutantAck: boolean;
  readonly isMutantHave: boolean;
  send(frame: Uint8Array): void;
}

/** Forgets what it has ahead. */
class ForgetfulState extends StreamState {
  override has(position: number): boolean {
    return position <= this.covered && this.backfill === undefined;
  }
  override isNewInMain(position: number): boolean {
    return position > this.covered;
  }
  override get have(): readonly number[] {
    return [];
  }
}

export class ReceivingGateway {
  readonly log: Item[] = [];
  committed = 0;
  isUp = false;
  life = 0;
  receiver: StreamReceiver;
  version = 1;
  interest: TopicInterest;
  /** By version. */
  readonly interests = new Map<number, TopicInterest>();
  helloVersion = 1;
  readonly holes: { readonly from: number; readonly to: number }[] = [];
  /** By topic: everything beyond is to arrive. */
  readonly promised = new Map<string, number>();
  retainedFrom = Infinity;
  /** Of the last acknowledgement of an interest. */
  acked = { version: 0, head: 0 };
  durableCovered = 0;
  lostByCrash = 0;
  #ids = new Set<number>();
  #lastIds = new Map<string, number>();
  #lastPlainIds = new Map<string, number>();
  /** Retained ones that came while their topic was not wanted all the time. */
  readonly #early = new Set<number>();
  #wantedSince = new Map<string, number>();
  #isKnown = false;
  #isDurablyKnown = false;
  #checkpoint: { at: number; image: StreamImage } | undefined;
  #willCommit = false;
  /** Of lives that ended. */
  ended = { duplicateBatches: 0, duplicates: 0, holes: 0 };

  constructor(
    private readonly origin: GatewayId,
    private readonly agenda: Agenda,
    private readonly random: Random,
    private readonly plan: ForwardPlan,
    private readonly hooks: ReceiverHooks,
  ) {
    this.interest = this.#randomInterest(new Map());
    this.#noteInterest(new Map());
    this.receiver = this.#create();
  }

  start(): void {
    this.life++;
    this.isUp = true;
    this.#willCommit = false;
    this.acked = { version: 0, head: 0 };
    this.receiver = this.#create();
    if (this.#checkpoint !== undefined) this.receiver.restore(this.#checkpoint.image);
    for (const item of this.log.slice(this.#checkpoint?.at ?? 0)) {
      if (item.kind === 'record') this.receiver.replay(item.record);
      else this.receiver.replayForwarded(item.sequence);
    }
    this.receiver.committed(this.committed);
    this.#isKnown = this.receiver.image !== undefined;
    this.#isDurablyKnown = this.#isKnown;
  }

  crash(): void {
    this.isUp = false;
    this.#countEnded();
    this.lostByCrash += this.log.length - this.committed;
    this.log.length = this.committed;
    this.#ids = new Set();
    this.#lastIds = new Map();
    this.#lastPlainIds = new Map();
    for (const item of this.log) {
      if (item.kind !== 'message') continue;
      this.#ids.add(item.id);
      this.#lastIds.set(item.topic, Math.max(this.#lastIds.get(item.topic) ?? 0, item.id));
      if (!item.retain) this.#lastPlainIds.set(item.topic, item.id);
    }
  }

  hasDurably(id: number): boolean {
    return this.#ids.has(id) && this.committed === this.log.length;
  }

  /** @returns what to tell the origin. */
  changeInterest(): { readonly since: number | undefined } {
    const before = this.interest;
    this.interest = this.#randomInterest(before);
    this.version++;
    const grew = [...this.interest].some(([topic, qos]) => qos >= 0 && (before.get(topic) ?? -1) < 0);
    this.#noteInterest(before);
    return { since: grew && this.isUp ? this.receiver.interestGrows(this.version) : undefined };
  }

  interestAcked(version: number, head: number): void {
    this.acked = { version, head };
    if (this.#isDurablyKnown) this.#promiseAcked();
  }

  /** The log of the origin was put back. */
  rolledBack(to: number): void {
    if (!this.#isKnown) return;
    for (const [topic, from] of this.promised) this.promised.set(topic, Math.min(from, to));
    this.retainedFrom = Math.min(this.retainedFrom, to);
  }

  checkpoint(): void {
    const { image } = this.receiver;
    if (this.committed === this.log.length && image !== undefined)
      this.#checkpoint = { at: this.committed, image };
  }

  commit(): void {
    this.#willCommit = false;
    for (const item of this.log.slice(this.committed)) {
      if (item.kind !== 'record' || item.record.kind === 'backfill') continue;
      this.durableCovered = item.record.upTo;
      this.#isDurablyKnown = true;
    }
    this.committed = this.log.length;
    if (this.#isDurablyKnown) this.#promiseAcked();
    this.receiver.committed(this.committed);
  }

  #countEnded(): void {
    const { duplicateBatches, duplicates, holes } = this.receiver.status;
    this.ended.duplicateBatches += duplicateBatches;
    this.ended.duplicates += duplicates;
    this.ended.holes += holes;
  }

  close(): void {
    this.#countEnded();
  }

  #create(): StreamReceiver {
    const { plan, hooks, agenda, origin } = this;
    const state = hooks.isMutantHave ? new ForgetfulState(origin) : new StreamState(origin);
    return new StreamReceiver(
      origin,
      {
        send: (frame) => hooks.send(frame),
        now: () => agenda.now,
        hasRoom: () => true,
        append: (message) => this.#append(message),
        record: (record) => this.#record(record),
        reportHole: (_, from, to) => this.#reportHole(from, to),
      },
      { creditBytes: plan.creditBytes, haveMax: plan.haveMax, state },
    );
  }

  #reportHole(from: number, to: number): void {
    if (this.plan.pruneChance === 0) throw new InvariantViolation('floor', `${from}-${to} was still needed`);
    this.holes.push({ from, to });
  }

  #append(message: Message): number {
    const { topic, sequence, payload, source } = message;
    const id = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
    this.agenda.note(id, sequence);
    if (source?.origin !== this.origin) throw new InvariantViolation('source', `message ${id} has none`);
    if (this.#ids.has(id)) throw new InvariantViolation('once', `message ${id} (${topic}) came twice`);
    const last = this.#lastIds.get(topic) ?? 0;
    const lastPlain = this.#lastPlainIds.get(topic) ?? 0;
    // One that is retained goes to everybody: it may be here before older ones that became wanted later.
    const mayBeLate = !message.retain && last !== lastPlain && this.#early.has(last);
    if (lastPlain > id || (last > id && !mayBeLate))
      throw new InvariantViolation('order', `message ${id} of ${topic} came behind ${last}`);
    if (!message.retain && !this.#mayWant(topic))
      throw new InvariantViolation('wanted', `message ${id}: nobody wants ${topic}`);
    if (message.retain && message.retainedCounter !== id)
      throw new InvariantViolation('counter', `message ${id} has ${message.retainedCounter}`);
    this.#ids.add(id);
    this.#lastIds.set(topic, Math.max(last, id));
    if (!message.retain) this.#lastPlainIds.set(topic, id);
    else if (!this.#wasAlwaysWanted(topic)) this.#early.add(id);
    return this.#push({ kind: 'message', id, topic, sequence, retain: message.retain });
  }

  #record(record: StreamRecord | BackfillRecord): number {
    this.agenda.note(record.upTo);
    if (record.kind === 'reset') {
      this.retainedFrom = this.#isKnown ? Math.min(this.retainedFrom, record.upTo) : record.upTo;
      this.#isKnown = true;
    }
    return this.#push({ kind: 'record', record });
  }

  #push(item: Item): number {
    this.log.push(item);
    if (!this.#willCommit) {
      this.#willCommit = true;
      const { life } = this;
      this.agenda.after(this.random.delay(this.plan.commitMaxMs), () => {
        if (life === this.life && this.isUp) this.commit();
      });
    }
    if (this.hooks.isMutantAck)
      this.agenda.after(0, () => {
        if (this.isUp) this.receiver.committed(this.log.length);
      });
    return this.log.length;
  }

  #mayWant(topic: string): boolean {
    for (let version = this.helloVersion; version <= this.version; version++)
      if ((this.interests.get(version)?.get(topic) ?? -1) >= 0) return true;
    return false;
  }

  #wasAlwaysWanted(topic: string): boolean {
    for (let version = this.helloVersion; version <= this.version; version++)
      if ((this.interests.get(version)?.get(topic) ?? -1) < 0) return false;
    return true;
  }

  #promiseAcked(): void {
    for (const [topic, since] of this.#wantedSince)
      if (since <= this.acked.version && !this.promised.has(topic)) this.promised.set(topic, this.acked.head);
  }

  #noteInterest(before: TopicInterest): void {
    this.interests.set(this.version, this.interest);
    for (let n = 0; n < this.plan.topics; n++) {
      const topic = `t/${n}`;
      const isWanted = (this.interest.get(topic) ?? -1) >= 0;
      const wasWanted = (before.get(topic) ?? -1) >= 0;
      if (isWanted === wasWanted) continue;
      this.promised.delete(topic);
      this.#wantedSince.delete(topic);
      if (!isWanted) continue;
      this.#wantedSince.set(topic, this.version);
      // From where the stream stands on nothing is missed.
      if (this.#isDurablyKnown) this.promised.set(topic, this.receiver.status.covered);
    }
  }

  #randomInterest(before: TopicInterest): TopicInterest {
    const interest = new Map(before);
    const changes = this.random.integer(1, 3);
    for (let n = 0; n < changes; n++) {
      const topic = `t/${this.random.integer(0, this.plan.topics - 1)}`;
      const qos = this.random.pick<WantedQoS>([-1, 0, 1, 2, 2, 2]);
      if (qos < 0) interest.delete(topic);
      else interest.set(topic, qos);
    }
    return interest;
  }
}
