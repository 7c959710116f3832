import { Check, type Delivery } from '../model/check.js';
import type { Connection } from '../model/connection.js';
import { sessionName } from '../model/obligations.js';
import type { Publisher } from '../model/publisher.js';
import type { Session } from '../model/session.js';
import type { Span } from '../model/span.js';
import type { Topic } from '../model/topic.js';
import { RetainedTopic, type RetainedValue } from './retained-topic.js';

interface TakenValue extends RetainedValue {
  /** QoS and time at which it came. */
  readonly q: number;
  readonly atMs: number;
}

/** A SUBSCRIBE asks for what is retained: one value of each topic that its filter matches. */
interface Reading {
  readonly session: Session;
  readonly connection: Connection;
  readonly span: Span;
  readonly pid: number;
  /** That it asked for. */
  readonly qos: number;
  /** Retain Handling 0 and not No Local: what is retained must come. */
  readonly complete: boolean;
  readonly askedAtMs: number;
  /** SUBACK. */
  answeredAtMs: number;
  readonly taken: Map<RetainedTopic, TakenValue>;
  /** Topics whose value came with DUP, which may have been another reading's once more. */
  readonly perhaps: Set<RetainedTopic>;
  /** Topics that had a value for certain. */
  expected: readonly RetainedTopic[];
}

/**
 * C7: a SUBSCRIBE gets, of every topic, a value that may have been the retained one between SUBSCRIBE and its delivery: not one that
 * another acknowledged publish had followed by then, and nothing where that cleared it. When a topic has come to rest all readers agree,
 * wherever they are connected.
 */
export class Retained extends Check {
  readonly #topics = new Map<Topic, RetainedTopic>();
  readonly #readings: Reading[] = [];
  readonly #bySession = new Map<Session, Reading[]>();

  override published(publisher: Publisher, seq: number, atMs: number): void {
    if (publisher.retain(seq))
      this.#topic(this.model.topic(publisher.topicId(seq))).published({ publisher, seq }, atMs);
  }

  override publishedAgain(publisher: Publisher, seq: number, atMs: number): void {
    if (publisher.retain(seq)) this.#topic(this.model.topic(publisher.topicId(seq))).moved(atMs);
  }

  override settled(publisher: Publisher, seq: number, atMs: number): void {
    if (publisher.retain(seq))
      this.#topic(this.model.topic(publisher.topicId(seq))).settled({ publisher, seq }, atMs);
  }

  override subscribing(
    connection: Connection,
    span: Span,
    retainHandling: number,
    pid: number,
    atMs: number,
  ): void {
    const { session } = connection;
    if (session === undefined || span.group !== undefined || retainHandling === 2) return;
    const reading: Reading = {
      ...{ session, connection, span, pid, askedAtMs: atMs, answeredAtMs: Infinity },
      qos: connection.asked.get(`${pid} ${span.filter}`)?.options?.q ?? span.qosMost,
      complete: retainHandling === 0 && span.promise(atMs, atMs).noLocal === false,
      taken: new Map(),
      perhaps: new Set(),
      expected: [],
    };
    this.#readings.push(reading);
    const readings = this.#bySession.get(session) ?? [];
    this.#bySession.set(session, readings);
    readings.push(reading);
  }

  override subscribed(connection: Connection, filter: string, pid: number, atMs: number): void {
    const { session } = connection;
    const reading =
      session &&
      this.#bySession
        .get(session)
        ?.findLast((one) => one.connection === connection && one.pid === pid && one.span.filter === filter);
    if (reading === undefined) return;
    reading.answeredAtMs = atMs;
    if (!reading.complete) return;
    reading.expected = [...this.#topics.values()].filter(
      (topic) =>
        topic.topic.judged && reading.span.matches(topic.name) && this.#mustHave(reading, topic, atMs),
    );
  }

  override received(delivery: Delivery): void {
    const { session, topic, publisher, seq, form, event } = delivery;
    if (form === 'live') return;
    const retained = this.#topic(topic);
    const value = { publisher, seq, q: event.q, atMs: delivery.atMs };
    const readings = (this.#bySession.get(session) ?? []).filter(({ span }) => span.matches(topic.name));
    const again = readings.some(({ taken }) => isSame(taken.get(retained), value));
    if (event.dup && again) {
      for (const { perhaps } of readings) perhaps.add(retained);
      return;
    }
    // What comes with DUP was sent on an earlier connection, so that no SUBSCRIBE of this one has asked for it.
    const open = readings.filter(
      (one) =>
        !one.taken.has(retained) &&
        !(event.dup && one.connection === delivery.connection) &&
        this.#mayBe(one, retained, value),
    );
    // A value comes at the lesser of its own QoS and the one that was granted [MQTT-3.8.4-8].
    const qosFor = ({ qos }: Reading): number => Math.min(qos, publisher.qos(seq));
    // What came at QoS 1 a broker that was broken may owe still, as no PUBLISH of QoS 1 waits for a record; what is owed is a topic, so that
    // a newer value may come in its place, at a QoS of its own [docs/architecture.md].
    const mayComeAgain =
      this.model.faults.all.length > 0 &&
      readings.some((one) => one.taken.get(retained)?.q === 1 && event.q <= qosFor(one));
    const fitting = open.filter((one) => qosFor(one) === event.q);
    const candidates = fitting.length > 0 ? fitting : mayComeAgain ? [] : open;
    // Who is due one comes first, in the order of asking: what comes between the SUBACKs of two is not for the second while the first has
    // none. Of the others nobody can tell.
    const reading =
      candidates.find((one) => this.#isDue(one, retained, delivery)) ??
      candidates.findLast(({ complete }) => complete) ??
      candidates.at(-1);
    if (reading !== undefined) {
      reading.taken.set(retained, value);
      // What a subscription with Retain As Published had waiting may be older than what is retained, and says nothing of it.
      // What may be for an earlier reading says nothing of this one.
      const isOnlyFor = candidates.every(
        (one) => one === reading || one.askedAtMs >= reading.askedAtMs || this.#isOver(one),
      );
      if (form === 'stored' && isOnlyFor) this.#agree(reading, retained, value, delivery.atMs);
      return;
    }
    if (form === 'either' || session.inherits || mayComeAgain) return;
    const asked = readings.findLast(({ taken }) => !taken.has(retained));
    // It got a wrong one, and not none.
    asked?.taken.set(retained, value);
    const overwritten = asked && retained.successorOf(value);
    this.report.violation({
      check: 'C7',
      rule: asked === undefined ? 'nobody asked' : 'overwritten value',
      text: `${sessionName(session)} got message ${seq} of publisher ${publisher.number} as retained on ${topic.name} at ${delivery.atMs.toFixed(1)} ms, ${asked === undefined ? 'without a SUBSCRIBE that asks for it' : 'which another one had followed before it asked'}`,
      atMs: delivery.atMs,
      cids: [session.cid],
      mids: [publisher.mid(seq), ...(overwritten === undefined ? [] : [overwritten])],
      count: 1,
    });
  }

  override finish(): void {
    for (const reading of this.#readings) {
      if (!this.#isOver(reading)) continue;
      this.#complete(reading);
      this.#agreeOnNothing(reading);
    }
  }

  /** Its connection stayed for as long as values may take. */
  #isOver({ connection, answeredAtMs, span }: Reading): boolean {
    const endMs = answeredAtMs + this.model.options.retainedMs;
    // After UNSUBSCRIBE nothing new has to come.
    return (
      span.untilMs > endMs &&
      connection.spans(answeredAtMs, endMs) &&
      endMs <= (this.model.drainedAtMs ?? this.model.nowMs)
    );
  }

  /** It has been answered, lacks a value of the topic, and nothing excuses that so far. */
  #lacks({ session, expected, taken, perhaps, askedAtMs }: Reading, topic: RetainedTopic): boolean {
    return (
      expected.includes(topic) &&
      !taken.has(topic) &&
      !perhaps.has(topic) &&
      !topic.mayBeErasedAfter(askedAtMs) &&
      (session.unreadable.get(topic.topic) ?? 0) === 0 &&
      !this.model.drops.excuse(session.cid, topic.name, askedAtMs)
    );
  }

  /** It lacks a value, and one may still come: a later one would hide that it never did. */
  #isDue(reading: Reading, topic: RetainedTopic, { connection, atMs }: Delivery): boolean {
    return (
      reading.connection === connection &&
      reading.span.untilMs === Infinity &&
      atMs <= reading.answeredAtMs + this.model.options.retainedMs &&
      this.#lacks(reading, topic)
    );
  }

  #complete(reading: Reading): void {
    const { session, span, askedAtMs, answeredAtMs } = reading;
    const missing = reading.expected.filter((topic) => this.#lacks(reading, topic));
    const [first] = missing;
    if (first === undefined) return;
    const newest = first.newest();
    this.report.violation({
      check: 'C7',
      rule: 'missing value',
      text: `${sessionName(session)} subscribed to ${span.filter} at ${askedAtMs.toFixed(1)} ms and got no retained message of ${first.name} (and of ${missing.length - 1} topics more)`,
      atMs: answeredAtMs,
      cids: [session.cid],
      mids: newest === undefined ? [] : [newest],
      count: missing.length,
    });
  }

  /** Nodes may not have heard of each other's newest values yet. */
  #isBehind({ connection, askedAtMs }: Reading, nodes: Iterable<string>): boolean {
    const { retainedElsewhereFromMs } = this.model.options;
    if (retainedElsewhereFromMs === undefined || askedAtMs >= retainedElsewhereFromMs) return false;
    for (const node of nodes) if (node !== connection.node) return true;
    return false;
  }

  #mayBe(reading: Reading, topic: RetainedTopic, value: RetainedValue): boolean {
    const isBehind = topic.topic.concurrent || this.#isBehind(reading, [value.publisher.node]);
    return topic.mayBe(value, isBehind ? -Infinity : reading.askedAtMs);
  }

  #mustHave(reading: Reading, topic: RetainedTopic, answeredAtMs: number): boolean {
    if (topic.topic.concurrent) return false;
    return !this.#isBehind(reading, topic.nodes) && topic.mustHaveValue(reading.askedAtMs, answeredAtMs);
  }

  #isAtRest({ askedAtMs }: Reading, topic: RetainedTopic): boolean {
    const { faults, options } = this.model;
    const { quiescenceMs, retainedElsewhereFromMs = -Infinity } = options;
    if (topic.hasWill || askedAtMs <= Math.max(topic.movedAtMs + quiescenceMs, retainedElsewhereFromMs))
      return false;
    // What nobody has answered a broker holds for as long as its disk is full, whatever becomes of its publisher.
    return topic.unanswered === 0 || !faults.overlaps(askedAtMs - quiescenceMs, askedAtMs);
  }

  #agree(reading: Reading, topic: RetainedTopic, value: RetainedValue, atMs: number): void {
    if (!this.#isAtRest(reading, topic)) return;
    const { agreed } = topic;
    if (agreed?.version !== topic.version) topic.agreed = { version: topic.version, value };
    else if (!isSame(agreed.value, value)) this.#disagree(reading, topic, value, atMs);
  }

  /** Where others found a value after everything had come to rest, this reader must have. */
  #agreeOnNothing(reading: Reading): void {
    if (!reading.complete) return;
    for (const topic of this.#topics.values()) {
      if (topic.agreed?.version !== topic.version || topic.mayExpire) continue;
      if (reading.taken.has(topic) || reading.perhaps.has(topic) || reading.expected.includes(topic))
        continue;
      if (
        this.#isAtRest(reading, topic) &&
        reading.span.matches(topic.name) &&
        !this.#mayHave(reading, topic)
      )
        this.#disagree(reading, topic, undefined, reading.answeredAtMs);
    }
  }

  /** What was taken for that of another reading, which need not have got one any more, may have been this one's. */
  #mayHave({ session, connection, askedAtMs }: Reading, topic: RetainedTopic): boolean {
    return (this.#bySession.get(session) ?? []).some((one) => {
      const value = one.taken.get(topic);
      return (
        value !== undefined && value.atMs >= askedAtMs && one.connection === connection && !this.#isOver(one)
      );
    });
  }

  #disagree(
    { session, connection }: Reading,
    topic: RetainedTopic,
    value: RetainedValue | undefined,
    atMs: number,
  ): void {
    const other = topic.agreed?.value;
    const mids = [value, other].flatMap((one) => (one === undefined ? [] : [one.publisher.mid(one.seq)]));
    this.report.violation({
      check: 'C7',
      rule: 'readers disagree',
      text: `${sessionName(session)} at ${connection.node} found ${value === undefined ? 'nothing' : `message ${value.seq} of publisher ${value.publisher.number}`} retained on ${topic.name} where others had found message ${other?.seq} of publisher ${other?.publisher.number}`,
      atMs,
      cids: [session.cid],
      mids,
      count: 1,
    });
  }

  #topic(topic: Topic): RetainedTopic {
    let retained = this.#topics.get(topic);
    if (retained === undefined) {
      retained = new RetainedTopic(topic);
      this.#topics.set(topic, retained);
    }
    return retained;
  }
}

const isSame = (a: RetainedValue | undefined, b: RetainedValue): boolean =>
  a !== undefined && a.publisher === b.publisher && a.seq === b.seq;
