import type { Mid } from '../event.js';
import { float64Column, uint32Column } from '../model/column.js';
import type { Publisher } from '../model/publisher.js';
import type { Topic } from '../model/topic.js';

export interface RetainedValue {
  readonly publisher: Publisher;
  readonly seq: number;
}

/** How many acknowledgements are looked at for one of the same publisher: it is among the newest or nowhere near. */
const LOOK_BACK_MAX_COUNT = 64;

/** Every publish with RETAIN on one topic, as a register that several write. */
export class RetainedTopic {
  /** When something about it was sent or acknowledged last. */
  movedAtMs = -Infinity;
  /** Changes with all of that. */
  version = 0;
  /** One of them has an expiry: there may be nothing at any time. */
  mayExpire = false;
  /** One of them is a will: it may come at any time. */
  hasWill = false;
  /** Of QoS 1 and 2 that were neither accepted nor refused: the broker may hold them still. */
  unanswered = 0;
  /** At which it is published. */
  readonly nodes = new Set<string>();
  /** What readers have found since then. */
  agreed: { readonly version: number; readonly value: RetainedValue } | undefined;
  /** In the order in which they were sent. */
  readonly #sent = new ValueList();
  /** In the order of their acknowledgements; with each the latest time at which one of them until there was sent. */
  readonly #acknowledged = new ValueList();
  readonly #acknowledgedAt = float64Column();
  readonly #latestSentAt = float64Column();
  /** After which there may be nothing: empty payloads, and those that expire. */
  readonly #erasing: RetainedValue[] = [];

  constructor(readonly topic: Topic) {}

  get name(): string {
    return this.topic.name;
  }

  moved(atMs: number): void {
    this.movedAtMs = atMs;
    this.version++;
  }

  published(value: RetainedValue, atMs: number): void {
    const { publisher, seq } = value;
    this.#sent.push(value);
    this.nodes.add(publisher.node);
    this.moved(atMs);
    if (publisher.qos(seq) > 0) this.unanswered++;
    this.mayExpire ||= publisher.expires(seq);
    this.hasWill ||= publisher.will(seq);
    if (publisher.empty(seq) || publisher.expires(seq)) this.#erasing.push(value);
  }

  /** It was accepted or refused, or its refusal says nothing. */
  settled(value: RetainedValue, atMs: number): void {
    const outcome = value.publisher.outcome(value.seq);
    if (outcome !== 'info') this.unanswered--;
    if (outcome !== 'ok') return;
    this.moved(atMs);
    const index = this.#acknowledged.length;
    const before = index === 0 ? -Infinity : this.#latestSentAt.get(index - 1);
    this.#acknowledged.push(value);
    this.#acknowledgedAt.set(index, atMs);
    this.#latestSentAt.set(index, Math.max(before, value.publisher.sentAt(value.seq)));
  }

  /** Whether a reader that asked at `askedAtMs` may find it: nothing that was acknowledged by then had followed it. */
  mayBe(value: RetainedValue, askedAtMs: number): boolean {
    const { publisher, seq } = value;
    if (!publisher.retain(seq) || publisher.empty(seq) || publisher.outcome(seq) === 'fail') return false;
    const count = this.#acknowledgedBefore(askedAtMs);
    if (count === 0) return true;
    if (this.#latestSentAt.get(count - 1) > publisher.settledAt(seq)) return false;
    for (let index = count - 1; index >= 0 && index >= count - LOOK_BACK_MAX_COUNT; index--) {
      if (this.#acknowledged.publisherAt(index) !== publisher) continue;
      return !comesBefore(value, { publisher, seq: this.#acknowledged.seqAt(index) });
    }
    return true;
  }

  /** Whether a reader that asked and was answered at these times must find a value, whichever. */
  mustHaveValue(askedAtMs: number, answeredAtMs: number): boolean {
    for (let index = this.#sent.length - 1; index >= 0; index--) {
      const value = this.#sent.at(index);
      if (value === undefined) continue;
      const { publisher, seq } = value;
      if (publisher.outcome(seq) === 'fail' || publisher.sentAt(seq) >= answeredAtMs) continue;
      if (publisher.empty(seq) || publisher.expires(seq)) return false;
      if (publisher.settledAt(seq) < askedAtMs)
        return this.#erasing.every(
          (one) => comesBefore(one, value) || one.publisher.outcome(one.seq) === 'fail',
        );
    }
    return false;
  }

  /** Whether there may be nothing by the time at which it is a reader's turn that asked at `askedAtMs`. */
  mayBeErasedAfter(askedAtMs: number): boolean {
    return this.#erasing.some(
      ({ publisher, seq }) => publisher.sentAt(seq) >= askedAtMs && publisher.outcome(seq) !== 'fail',
    );
  }

  /** The newest that was acknowledged. */
  newest(): Mid | undefined {
    const value = this.#acknowledged.at(this.#acknowledged.length - 1);
    return value?.publisher.mid(value.seq);
  }

  /** One that followed `value` for certain. */
  successorOf(value: RetainedValue): Mid | undefined {
    for (let index = this.#acknowledged.length - 1; index >= 0; index--) {
      const other = this.#acknowledged.at(index);
      if (other !== undefined && comesBefore(value, other)) return other.publisher.mid(other.seq);
    }
    return undefined;
  }

  #acknowledgedBefore(atMs: number): number {
    let low = 0;
    for (let high = this.#acknowledged.length; low < high;) {
      const middle = (low + high) >>> 1;
      if (this.#acknowledgedAt.get(middle) < atMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * Whether `a` took effect before `b`, an acknowledged one: it was acknowledged before `b` was sent, or one publisher sent both in this
 * order. A will is sent by the broker, at a time of its own.
 */
function comesBefore(a: RetainedValue, b: RetainedValue): boolean {
  if (a.publisher.settledAt(a.seq) < b.publisher.sentAt(b.seq)) return true;
  if (a.publisher !== b.publisher || a.seq >= b.seq || a.publisher.will(a.seq)) return false;
  // Order is owed among messages of one QoS; what has QoS 0 waits for nothing.
  const qos = a.publisher.qos(a.seq);
  return qos === 0 || qos === b.publisher.qos(b.seq);
}

/** References to messages, eight bytes each and the publishers once. */
class ValueList {
  length = 0;
  readonly #publishers: Publisher[] = [];
  readonly #index = new Map<Publisher, number>();
  readonly #which = uint32Column();
  readonly #seqs = uint32Column();

  push({ publisher, seq }: RetainedValue): void {
    let index = this.#index.get(publisher);
    if (index === undefined) {
      index = this.#publishers.push(publisher) - 1;
      this.#index.set(publisher, index);
    }
    this.#which.set(this.length, index);
    this.#seqs.set(this.length++, seq);
  }

  publisherAt(index: number): Publisher | undefined {
    return this.#publishers[this.#which.get(index)];
  }

  seqAt(index: number): number {
    return this.#seqs.get(index);
  }

  at(index: number): RetainedValue | undefined {
    const publisher = index < 0 || index >= this.length ? undefined : this.publisherAt(index);
    return publisher && { publisher, seq: this.seqAt(index) };
  }
}
