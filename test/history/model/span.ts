import type { SubscribeEvent } from '../event.js';
import { matches, parseFilter, type ParsedFilter } from '../topic-match.js';

export interface Promised {
  readonly q: number;
  readonly noLocal: boolean;
}

/** Options of a subscription from a moment on. While it is not known which of two are in force, what both promise. */
interface Grant extends Promised {
  readonly atMs: number;
}
const NOTHING: Grant = { atMs: -Infinity, q: 0, noLocal: true };
const BEST: Grant = { atMs: -Infinity, q: 2, noLocal: false };

export interface SubscriptionOptions {
  readonly q: number;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
}

export const optionsOf = (event: SubscribeEvent): SubscriptionOptions => ({
  q: event.q,
  noLocal: event.nl === true,
  retainAsPublished: event.rap === true,
});

/**
 * A subscription of one session, over changes of its options. It must be there between `fromMs` and `untilMs`, and may be there
 * between `possibleFromMs` and `possibleUntilMs`.
 */
export class Span {
  readonly filter: string;
  readonly parsed: ParsedFilter;
  readonly possibleFromMs: number;
  /** SUBACK. */
  fromMs = Infinity;
  /** UNSUBSCRIBE. */
  untilMs = Infinity;
  /** UNSUBACK. */
  possibleUntilMs = Infinity;
  readonly #grants: Grant[] = [];
  /** Of any of its grants. */
  qosMost = 0;
  retainAsPublished = false;
  /** Whether it was without No Local at any time. */
  takesOwn = false;

  constructor(filter: string, atMs: number, options: SubscriptionOptions) {
    this.filter = filter;
    this.parsed = parseFilter(filter);
    this.possibleFromMs = atMs;
    this.#push(atMs, options);
  }

  get group(): string | undefined {
    return this.parsed.group;
  }

  matches(topic: string): boolean {
    return matches(this.parsed, topic);
  }

  /**
   * A SUBSCRIBE for a filter that is there already: until its SUBACK both promises hold only where they agree.
   * @returns the options before.
   */
  change(atMs: number, options: SubscriptionOptions): SubscriptionOptions {
    const { q, noLocal } = this.#grants.at(-1) ?? options;
    this.#push(atMs, {
      q: Math.min(q, options.q),
      noLocal: noLocal || options.noLocal,
      retainAsPublished: options.retainAsPublished,
    });
    this.qosMost = Math.max(this.qosMost, options.q);
    this.takesOwn ||= !options.noLocal;
    return { q, noLocal, retainAsPublished: this.retainAsPublished };
  }

  granted(atMs: number, options: SubscriptionOptions): void {
    this.fromMs = Math.min(this.fromMs, atMs);
    this.#push(atMs, options);
  }

  /** The change was refused. */
  restored(atMs: number, options: SubscriptionOptions): void {
    this.#push(atMs, options);
  }

  /** A message that was sent and acknowledged at these times has met it. */
  covers(sentAtMs: number, settledAtMs: number, graceMs: number): boolean {
    return this.fromMs < sentAtMs && settledAtMs + graceMs < this.untilMs;
  }

  /** What it promised all the time between the two. */
  promise(fromMs: number, untilMs: number): Promised {
    const last = this.#grants.at(-1) ?? NOTHING;
    if (last.atMs <= fromMs) return last;
    const first = Math.max(
      0,
      this.#grants.findLastIndex(({ atMs }) => atMs <= fromMs),
    );
    return this.#grants
      .slice(first)
      .filter(({ atMs }) => atMs <= untilMs)
      .reduce((a, b) => ({ ...a, q: Math.min(a.q, b.q), noLocal: a.noLocal || b.noLocal }), BEST);
  }

  /** The same subscription in a session of which nobody knows whether it is still the same. */
  uncertain(): Span {
    const { qosMost, retainAsPublished } = this;
    const copy = new Span(this.filter, this.possibleFromMs, {
      q: qosMost,
      noLocal: !this.takesOwn,
      retainAsPublished,
    });
    copy.possibleUntilMs = this.possibleUntilMs;
    return copy;
  }

  #push(atMs: number, { q, noLocal, retainAsPublished }: SubscriptionOptions): void {
    this.#grants.push({ atMs, q, noLocal });
    this.qosMost = Math.max(this.qosMost, q);
    this.retainAsPublished ||= retainAsPublished;
    this.takesOwn ||= !noLocal;
  }
}
