import { Check, type Delivery } from '../model/check.js';
import { sessionName } from '../model/obligations.js';
import type { Publisher } from '../model/publisher.js';
import type { Session } from '../model/session.js';
import type { Span } from '../model/span.js';
import { longestIncreasing } from './longest-increasing.js';

interface DisorderlyStream {
  readonly session: Session;
  readonly publisher: Publisher;
  readonly topic: string;
  /** The first that came late, and what it came behind. */
  readonly late: number;
  readonly before: number;
  readonly atMs: number;
  inversions: number;
  /** When those of them were first sent that their publisher sent again: the copy that would have been in order may have been dropped. */
  readonly resentAtMs: number[];
}

/** Names a stream in every reading of the same history. */
type StreamName = string;

/** First receipts in a stream, whose order is owed; undefined for all others. Shared subscriptions and wills owe none. */
function streamOf({ event, session, topic, publisher, seq, form, copies }: Delivery): number | undefined {
  if (form !== 'live' || copies !== 1 || publisher.will(seq)) return undefined;
  const spans = session.spansFor(topic);
  if (spans.length === 0 || spans.some(({ group }) => group !== undefined)) return undefined;
  return topic.id * 9 + publisher.qos(seq) * 3 + event.q;
}

const nameOf = ({ session, publisher }: Delivery, stream: number): StreamName =>
  `${session.key} ${publisher.number} ${stream}`;

/** C4: what one session of a publisher sent to one topic at one QoS is received for the first time in that order. */
export class Order extends Check {
  readonly #disorderly = new Map<StreamName, DisorderlyStream>();

  /** Messages that were sent again after the broker refused some: nobody knows what became of their first copies. */
  readonly #mayBeRefused = new Map<Publisher, Set<number>>();

  get disorderly(): ReadonlySet<StreamName> {
    return new Set(this.#disorderly.keys());
  }

  override publishedAgain(publisher: Publisher, seq: number, atMs: number): void {
    if (publisher.version !== 5 || !this.model.mayHaveRefused(publisher.sentAt(seq), atMs)) return;
    const seqs = this.#mayBeRefused.get(publisher) ?? new Set();
    this.#mayBeRefused.set(publisher, seqs.add(seq));
  }

  override received(delivery: Delivery): void {
    const stream = streamOf(delivery);
    if (stream === undefined) return;
    const { session, publisher, seq } = delivery;
    const { newest } = session.receiptsOf(publisher.number);
    const before = newest.get(stream);
    if (before === undefined) this.report.figures.order.streams++;
    if (before === undefined || seq > before) newest.set(stream, seq);
    else if (publisher.epochOf(seq) === publisher.epochOf(before) && !this.#isSecondCopy(delivery))
      this.#inversion(delivery, stream, before);
  }

  /**
   * Its publisher sent it again, and the copy that would have been in order was not for this session, or not to be kept for it, or was
   * refused: what was refused is not owed in its order [MQTT-4.6.0-5], and whoever was not told so any more sends it again behind others
   * that were not. That is how MQTT 5 refuses, at any QoS; before it nobody is refused.
   */
  #isSecondCopy({ session, topic, publisher, seq, event }: Delivery): boolean {
    if (this.#mayBeRefused.get(publisher)?.has(seq) === true) return true;
    if (publisher.qos(seq) !== 1 || !publisher.resent(seq)) return false;
    const sentAtMs = publisher.sentAt(seq);
    const isKept = (span: Span): boolean => {
      const { q, noLocal } = span.promise(sentAtMs, sentAtMs);
      const isWithheld = noLocal && publisher.cid === session.cid;
      return span.fromMs < sentAtMs && sentAtMs < span.untilMs && q > 0 && !isWithheld;
    };
    return event.q === 0 || publisher.expires(seq) || !session.spansFor(topic).some(isKept);
  }

  #inversion(delivery: Delivery, stream: number, before: number): void {
    const { session, publisher, seq, topic, atMs } = delivery;
    this.report.figures.order.inversions++;
    const name = nameOf(delivery, stream);
    const found = this.#disorderly.get(name) ?? {
      ...{ session, publisher, topic: topic.name, late: seq, before, atMs },
      ...{ inversions: 0, resentAtMs: [] },
    };
    this.#disorderly.set(name, found);
    found.inversions++;
    if (publisher.qos(seq) === 1 && publisher.resent(seq)) found.resentAtMs.push(publisher.sentAt(seq));
  }

  override finish(): void {
    for (const found of this.#disorderly.values()) {
      const { session, publisher, topic, late, before, atMs, inversions, resentAtMs } = found;
      // Brokers say what they have dropped when they like, for the most part at the end.
      const dropped = resentAtMs.filter((sentAtMs) => this.model.drops.excuse(session.cid, topic, sentAtMs));
      if (dropped.length === inversions) continue;
      this.report.violation({
        check: 'C4',
        rule: 'order',
        text: `${sessionName(session)} got message ${late} of publisher ${publisher.number} on ${topic} behind ${before} at ${atMs.toFixed(1)} ms; ${inversions} came behind a later one`,
        atMs,
        cids: [session.cid],
        mids: [publisher.mid(late), publisher.mid(before)],
        count: inversions,
      });
    }
  }
}

/** In a second reading: how far the disorderly streams are from order. */
export class OrderDeficit extends Check {
  readonly #wanted: ReadonlySet<StreamName>;
  readonly #sequences = new Map<StreamName, number[]>();

  constructor(order: Order, ...rest: ConstructorParameters<typeof Check>) {
    super(...rest);
    this.#wanted = order.disorderly;
  }

  override received(delivery: Delivery): void {
    const stream = streamOf(delivery);
    if (stream === undefined) return;
    const name = nameOf(delivery, stream);
    if (!this.#wanted.has(name)) return;
    const sequence = this.#sequences.get(name) ?? [];
    this.#sequences.set(name, sequence);
    sequence.push(delivery.seq);
  }

  override finish(): void {
    for (const sequence of this.#sequences.values())
      this.report.figures.order.deficit += sequence.length - longestIncreasing(sequence);
  }
}
