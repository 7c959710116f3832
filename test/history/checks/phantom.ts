import { Check, type Arrival } from '../model/check.js';
import type { Publisher } from '../model/publisher.js';
import { sessionName } from '../model/obligations.js';
import type { Topic } from '../model/topic.js';

/**
 * C2: what arrives was published in this run, on this topic, with these bytes, was not refused, and is for a subscription of the session
 * that got it.
 */
export class Phantom extends Check {
  /** Topics on which an empty payload was published. */
  readonly #cleared = new Set<Topic>();

  override published(publisher: Publisher, seq: number): void {
    if (publisher.empty(seq)) this.#cleared.add(this.model.topic(publisher.topicId(seq)));
  }

  override settled(publisher: Publisher, seq: number, atMs: number): void {
    if (publisher.outcome(seq) !== 'fail' || !publisher.received(seq)) return;
    this.report.violation({
      check: 'C2',
      rule: 'refused',
      text: `message ${seq} of publisher ${publisher.number} was delivered and refused`,
      atMs,
      cids: [],
      mids: [publisher.mid(seq)],
      count: 1,
    });
  }

  override arrived(arrival: Arrival): void {
    const { event } = arrival;
    const { m } = event;
    if (event.empty === true) {
      if (!this.#cleared.has(arrival.topic))
        this.#found(arrival, 'unknown', 'an empty payload that nobody published');
      return;
    }
    if (!event.bytesOk || m === null) {
      const fault = event.fault ?? 'corrupt';
      this.#found(arrival, fault, `a payload that is ${fault === 'run' ? 'of another run' : fault}`);
      return;
    }
    const publisher = this.model.publishers.get(m.pub);
    if (publisher?.knows(m.seq) !== true) {
      this.#found(arrival, 'unknown', 'a message that nobody published');
      return;
    }
    const published = this.model.topic(publisher.topicId(m.seq));
    if (published !== arrival.topic) this.#found(arrival, 'topic', `a message of ${published.name}`);
    else if (publisher.outcome(m.seq) === 'fail')
      this.#found(arrival, 'refused', 'a message that was refused');
    else this.#askedFor(arrival, publisher, m.seq);
  }

  #askedFor(arrival: Arrival, publisher: Publisher, seq: number): void {
    const { event, session, topic } = arrival;
    const sentAtMs = publisher.sentAt(seq);
    // Whether No Local is about what was retained too the standard leaves open.
    const takesOwn = publisher.cid !== session.cid || event.retain;
    const spans = session
      .spansFor(topic)
      .filter((span) => span.possibleUntilMs >= sentAtMs && (takesOwn || span.takesOwn));
    if (spans.length === 0) {
      this.#found(arrival, 'unsolicited', 'a message for which no subscription was there');
      return;
    }
    // Not where RETAIN is set: it may have been retained. And a group hands on what another member has left.
    const { routingMs, elsewhereMs } = this.model.options;
    const isHere = publisher.node === arrival.connection.node;
    const stale = publisher.settledAt(seq) + routingMs + (isHere ? 0 : elsewhereMs);
    if (
      !event.retain &&
      spans.every(({ group, possibleFromMs }) => group === undefined && stale < possibleFromMs)
    )
      this.#found(arrival, 'stale', 'a message from before its subscription');
    else if (event.q > publisher.qos(seq) || spans.every(({ qosMost }) => event.q > qosMost))
      this.#found(arrival, 'QoS', `a message of QoS ${publisher.qos(seq)} at QoS ${event.q}`);
  }

  #found({ event, session, topic, atMs }: Arrival, rule: string, what: string): void {
    this.report.violation({
      check: 'C2',
      rule,
      text: `${sessionName(session)} got ${what} on ${topic.name} at ${atMs.toFixed(1)} ms`,
      atMs,
      cids: [session.cid],
      mids: event.m === null ? [] : [event.m],
      count: 1,
    });
  }
}
