/** One seed: an origin, its receivers, links that get lost, and what has to be true all the time and at the end. */
import { gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';
import {
  addresseeOf,
  decodeAck,
  FrameKind,
  readGreeting,
  writeGreeting,
} from '../../../../mesh/forward/frames.js';
import type { InterestMatcher } from '../../../../mesh/forward/interest.js';
import { ByteReader, ByteWriter } from '../../../../mesh/wire/bytes.js';
import { Random } from '../../random.js';
import { InvariantViolation } from '../../violation.js';
import { Agenda } from './agenda.js';
import { Origin } from './origin.js';
import { type ForwardPlan, planOf } from './plan.js';
import { ReceivingGateway, type TopicInterest } from './receiving-gateway.js';
import { SimLink } from './sim-link.js';

export const FORWARD_SITUATIONS = [
  'sent express',
  'backfilled',
  'backfill resumed',
  'switched to live',
  'memory overflowed',
  'duplicate batch',
  'duplicate message',
  'hole reported',
  'receiver lost what was not committed',
  'origin rolled back',
  'stalled link rebuilt',
  'refused a frame',
] as const;
export type ForwardSituation = (typeof FORWARD_SITUATIONS)[number];

/** A mistake that is made on purpose. */
export type ForwardMutant = 'ack before commit' | 'no have' | 'express unblocked';

export interface ForwardResult {
  readonly digest: string;
  readonly delivered: number;
  readonly met: ReadonlyMap<ForwardSituation, number>;
}

const DRAIN_MS = 900_000;
const ORIGIN = gatewayIdOf(new Uint8Array(32).fill(7));

/** Runs a seed to its end. @throws InvariantViolation */
export function runForward(
  seed: number,
  mutant?: ForwardMutant,
  change: Partial<ForwardPlan> = {},
): ForwardResult {
  return new ForwardWorld(seed, mutant, change).run();
}

class ForwardWorld {
  readonly agenda = new Agenda();
  readonly random: Random;
  readonly plan: ForwardPlan;
  readonly origin: Origin;
  readonly receivers: ReceivingGateway[] = [];
  readonly links: (SimLink | undefined)[] = [];
  /** That the origin believes in. */
  readonly #originLinks: (SimLink | undefined)[] = [];
  readonly #onTheWay: number[] = [];
  readonly #met = new Map<ForwardSituation, number>();
  #isEnding = false;

  constructor(seed: number, mutant: ForwardMutant | undefined, change: Partial<ForwardPlan>) {
    this.random = new Random(seed, 'forward');
    this.plan = { ...planOf(this.random.fork('plan')), ...change };
    this.origin = new Origin(this.agenda, this.random.fork('origin'), this.plan, {
      isMutantExpress: mutant === 'express unblocked',
      ports: (index) => ({
        send: (frame) => this.#sendToReceiver(index, frame),
        stalled: () => this.#stalled(index),
        pass: () => undefined,
      }),
    });
    for (let index = 0; index < this.plan.receivers; index++) {
      const hooks = {
        isMutantAck: mutant === 'ack before commit',
        isMutantHave: mutant === 'no have',
        send: (frame: Uint8Array) => this.#sendToOrigin(index, frame),
      };
      const random = this.random.fork(`receiver ${index}`);
      this.receivers.push(new ReceivingGateway(ORIGIN, this.agenda, random, this.plan, hooks));
    }
  }

  run(): ForwardResult {
    const { agenda, plan } = this;
    this.origin.start();
    for (const [index, receiver] of this.receivers.entries()) {
      receiver.start();
      this.#connectLater(index);
    }
    this.#everySoOften();
    agenda.runUntil(agenda.now + plan.durationMs);
    this.#isEnding = true;
    if (!this.origin.isUp) this.#startOrigin();
    for (const receiver of this.receivers) if (!receiver.isUp) receiver.start();
    const end = agenda.now + DRAIN_MS;
    while (agenda.now < end && !this.#isDrained) agenda.runUntil(agenda.now + 500);
    this.#judge();
    let delivered = 0;
    for (const receiver of this.receivers) delivered += receiver.log.length;
    return { digest: agenda.digest, delivered, met: this.#met };
  }

  // What happens.

  #everySoOften(): void {
    const { plan, random } = this;
    this.#repeat(plan.publishEveryMs, () => this.#publish());
    this.#repeat(plan.originCrashEveryMs, () => this.#crashOrigin());
    for (const index of this.receivers.keys()) {
      this.#repeat(plan.linkLossEveryMs, () => {
        const link = this.links[index];
        if (random.chance(0.9) || link === undefined) this.#lose(index);
        else this.#mute(index, link);
      });
      this.#repeat(plan.interestEveryMs, () => this.#changeInterest(index));
      this.#repeat(plan.receiverCrashEveryMs, () => this.#crashReceiver(index));
      this.#repeat(300, () => this.receivers[index]?.isUp === true && this.receivers[index]?.checkpoint());
    }
    this.#tick();
  }

  #repeat(everyMs: number, act: () => void): void {
    this.agenda.after(2 * everyMs * this.random.float(), () => {
      if (this.#isEnding) return;
      act();
      this.#repeat(everyMs, act);
    });
  }

  #tick(): void {
    this.agenda.after(100, () => {
      if (this.origin.isUp) this.origin.tick();
      this.#checkCaps();
      this.#tick();
    });
  }

  #publish(): void {
    const { origin, random, plan } = this;
    if (!origin.isUp) return;
    const burst = random.chance(0.03) ? random.integer(5, 80) : 1;
    const busy = `t/${random.integer(0, plan.topics - 1)}`;
    for (let n = 0; n < burst; n++)
      origin.append(random.chance(0.2) ? undefined : burst > 1 ? busy : this.#anyTopic());
    if (random.chance(plan.pruneChance)) {
      if (random.chance(0.5)) origin.prune();
      else origin.damage();
    } else if (random.chance(0.05)) origin.pruneToFloor();
  }

  #anyTopic(): string {
    return `t/${this.random.integer(0, this.plan.topics - 1)}`;
  }

  #crashOrigin(): void {
    const { origin, random, plan } = this;
    if (!origin.isUp) return;
    this.#countSenders();
    const back = random.chance(plan.rollbackChance) ? random.integer(1, 20) : 0;
    const to = Math.max(0, origin.committed - back);
    if (to < origin.committed) {
      this.#saw('origin rolled back');
      for (const receiver of this.receivers) receiver.rolledBack(to);
    }
    origin.crash(to);
    for (const index of this.receivers.keys()) this.#lose(index);
    this.agenda.after(random.delay(500), () => {
      if (!origin.isUp) this.#startOrigin();
    });
  }

  #startOrigin(): void {
    this.origin.start();
  }

  #crashReceiver(index: number): void {
    const receiver = this.receivers[index];
    if (receiver?.isUp !== true) return;
    const before = receiver.lostByCrash;
    receiver.crash();
    this.#saw('receiver lost what was not committed', receiver.lostByCrash - before);
    this.#lose(index);
    this.agenda.after(this.random.delay(500), () => {
      if (!receiver.isUp) receiver.start();
    });
  }

  #changeInterest(index: number): void {
    const receiver = this.receivers[index];
    if (receiver === undefined) return;
    const { since } = receiver.changeInterest();
    const { version, interest } = receiver;
    const link = this.links[index];
    if (since !== undefined) this.#saw('backfilled');
    if (!receiver.isUp) return;
    link?.send('origin', () => {
      const sender = this.origin.senders[index];
      const matcher = matcherOf(interest);
      this.origin.matchers[index] = matcher;
      sender?.interestChanged(version, matcher, since);
      this.#ackInterest(index, link, version);
    });
  }

  #ackInterest(index: number, link: SimLink, version: number): void {
    const head = this.origin.committed;
    link.send('receiver', () => this.receivers[index]?.interestAcked(version, head));
  }

  // Links.

  #connectLater(index: number): void {
    this.agenda.after(this.random.delay(300), () => {
      if (this.links[index] !== undefined) return;
      if (this.origin.isUp && this.receivers[index]?.isUp === true) this.#connect(index);
      else this.#connectLater(index);
    });
  }

  #connect(index: number): void {
    const receiver = this.receivers[index];
    if (receiver === undefined) return;
    const link = new SimLink(this.agenda, this.random.fork(`link ${this.agenda.now}`), this.plan.delayMaxMs);
    this.links[index] = link;
    const greeting = receiver.receiver.greet();
    if (greeting.durable > receiver.durableCovered && receiver.receiver.image !== undefined)
      throw new InvariantViolation('durable', `a greeting of ${greeting.durable}`);
    const writer = new ByteWriter();
    writeGreeting(writer, greeting);
    const hello = writer.finish();
    const { version, interest } = receiver;
    receiver.helloVersion = version;
    const epoch = receiver.receiver.image?.epoch;
    link.send('origin', () => {
      const matcher = matcherOf(interest);
      this.origin.matchers[index] = matcher;
      if (greeting.backfill !== undefined) this.#saw('backfill resumed');
      const rolledBackTo = epoch === undefined ? undefined : this.origin.endOf(epoch.nonce);
      this.#onTheWay[index] = 0;
      this.#originLinks[index] = link;
      this.origin.senders[index]?.linkUp(
        readGreeting(new ByteReader(hello)),
        { version, matcher },
        rolledBackTo,
      );
      this.#ackInterest(index, link, version);
    });
  }

  #lose(index: number): void {
    const link = this.links[index];
    if (link === undefined) return;
    link.isOpen = false;
    this.links[index] = undefined;
    const receiver = this.receivers[index]?.receiver;
    const sender = this.origin.senders[index];
    receiver?.linkDown();
    // The other side may notice with the next link only.
    if (this.random.chance(0.8)) sender?.linkDown();
    this.#connectLater(index);
  }

  #mute(index: number, link: SimLink): void {
    link.isMute = true;
    // Where there is nothing to acknowledge, somebody else notices.
    this.agenda.after(12_000, () => {
      if (this.links[index] === link) this.#lose(index);
    });
  }

  #stalled(index: number): void {
    this.#saw('stalled link rebuilt');
    this.agenda.after(0, () => this.#lose(index));
  }

  #sendToReceiver(index: number, frame: Uint8Array): boolean {
    const link = this.#originLinks[index];
    if (link === undefined) return true;
    const kind = frame[0] ?? 0;
    this.agenda.note(kind, frame.length);
    if (kind !== FrameKind.begin) this.#checkCredit(index, frame.length);
    if (addresseeOf(frame) !== 'receiver') throw new InvariantViolation('frame', `kind ${kind}`);
    link.send('receiver', () => this.#arrive(index, link, frame));
    if (kind === FrameKind.main && this.random.chance(this.plan.duplicateChance))
      link.send('receiver', () => this.#arrive(index, link, frame));
    if (!this.random.chance(0.1)) return true;
    const sender = this.origin.senders[index];
    this.agenda.after(this.random.delay(100), () => {
      if (link.isOpen && this.origin.senders[index] === sender) sender?.drained();
    });
    return false;
  }

  #arrive(index: number, link: SimLink, frame: Uint8Array): void {
    const refusal = this.receivers[index]?.receiver.onFrame(frame);
    if (refusal !== undefined) this.#refused(index, link, refusal);
  }

  #sendToOrigin(index: number, frame: Uint8Array): void {
    const link = this.links[index];
    const receiver = this.receivers[index];
    if (link === undefined || receiver === undefined) return;
    const ack = decodeAck(frame);
    if (ack.covered > receiver.durableCovered)
      throw new InvariantViolation('durable', `${ack.covered} of ${receiver.durableCovered} acknowledged`);
    link.send('origin', () => {
      this.#onTheWay[index] = (this.#onTheWay[index] ?? 0) - ack.creditBytes;
      const refusal = this.origin.senders[index]?.onFrame(frame);
      if (refusal !== undefined) this.#refused(index, link, refusal);
    });
  }

  #refused(index: number, link: SimLink, refusal: string): void {
    // Only a frame that came twice may be refused.
    if (this.plan.duplicateChance === 0) throw new InvariantViolation('protocol', refusal);
    this.#saw('refused a frame');
    if (this.links[index] === link) this.#lose(index);
  }

  // What has to be true.

  #checkCredit(index: number, bytes: number): void {
    const before = this.#onTheWay[index] ?? 0;
    this.#onTheWay[index] = before + bytes;
    // One that is larger than all that is granted goes alone.
    if (before > 0 && before + bytes > this.plan.creditBytes)
      throw new InvariantViolation(
        'credit',
        `${JSON.stringify(this.origin.senders[index]?.status)} ${before + bytes} bytes of ${this.plan.creditBytes}`,
      );
  }

  #checkCaps(): void {
    const { plan } = this;
    // Three places, each with one message more than its limit, and what one reading brings.
    const maxBytes = 3 * (plan.liveMaxBytes + 700) + 2 * (plan.readBytes * 15 + 700);
    for (const sender of this.origin.senders) {
      const status = sender?.status;
      if (status === undefined) continue;
      const held = status.pendingBytes - status.unackedBytes;
      if (held > maxBytes) throw new InvariantViolation('memory', `${held} bytes are held`);
      if (status.pendingTopics > plan.pendingTopicsMax)
        throw new InvariantViolation('memory', `${status.pendingTopics} topics are pending`);
    }
    for (const { receiver } of this.receivers)
      if (receiver.status.aheadCount > plan.haveMax + 2000) throw new InvariantViolation('memory', 'ahead');
  }

  get #isDrained(): boolean {
    const { origin } = this;
    return this.receivers.every(
      (receiver, index) =>
        origin.senders[index]?.status.acked === origin.log.length &&
        origin.senders[index]?.status.isBackfilling === false &&
        receiver.committed === receiver.log.length,
    );
  }

  #judge(): void {
    this.#countSenders();
    const { origin } = this;
    if (!this.#isDrained) {
      const status = JSON.stringify(origin.senders.map((sender) => sender?.status));
      throw new InvariantViolation('drained', `not within ${DRAIN_MS} ms: ${status} of ${origin.log.length}`);
    }
    for (const receiver of this.receivers) {
      receiver.close();
      this.#saw('duplicate batch', receiver.ended.duplicateBatches);
      this.#saw('duplicate message', receiver.ended.duplicates);
      this.#saw('hole reported', receiver.ended.holes);
      for (const [index, entry] of origin.log.entries()) {
        const position = index + 1;
        if (entry.id === 0 || entry.expires || receiver.hasDurably(entry.id)) continue;
        const from = entry.retain ? receiver.retainedFrom : (receiver.promised.get(entry.topic) ?? Infinity);
        if (position <= from) continue;
        const isTold = receiver.holes.some((hole) => hole.from <= position && position <= hole.to);
        if (entry.lost && isTold) continue;
        throw new InvariantViolation(
          'arrived',
          `message ${entry.id} at ${position} (${entry.topic}) did not; promised beyond ${from}`,
        );
      }
    }
  }

  #countSenders(): void {
    for (const sender of this.origin.senders) {
      if (sender === undefined) continue;
      const { expressMessages, switchesToLive, overflows } = sender.status;
      this.#saw('sent express', expressMessages);
      this.#saw('switched to live', switchesToLive);
      this.#saw('memory overflowed', overflows);
    }
  }

  #saw(situation: ForwardSituation, times = 1): void {
    if (times > 0) this.#met.set(situation, (this.#met.get(situation) ?? 0) + times);
  }
}

const matchers = new WeakMap<TopicInterest, InterestMatcher>();

/** The same for the same interest. */
function matcherOf(interest: TopicInterest): InterestMatcher {
  const matcher = matchers.get(interest) ?? ((topic) => interest.get(topic) ?? -1);
  matchers.set(interest, matcher);
  return matcher;
}
