import type { HistoryModel } from './history-model.js';
import type { Publisher } from './publisher.js';
import type { Session } from './session.js';
import type { Span } from './span.js';

/** A message that a session must get and did not. */
export interface Missing {
  readonly publisher: Publisher;
  readonly seq: number;
  /** The subscription that obliges; `alone` where no other one matches. */
  readonly span: Span;
  readonly alone: boolean;
  /** Reported or excused. */
  claimed: boolean;
}

/** What is owed by subscriptions that are not shared. Worked out once, when the history is over. */
export class Obligations {
  readonly #model: HistoryModel;
  readonly #bySession = new Map<Session, Missing[]>();
  /** Obligations that were met, of all sessions. */
  metCount = 0;

  constructor(model: HistoryModel) {
    this.#model = model;
  }

  /** By publisher, in the order of sequence numbers. */
  missing(session: Session): readonly Missing[] {
    let missing = this.#bySession.get(session);
    if (missing === undefined) {
      missing = [];
      for (const publisher of this.#model.publishers.values()) this.#collect(session, publisher, missing);
      this.#bySession.set(session, missing);
    }
    return missing;
  }

  /** Every message of `publisher` that `session` must get, with the subscription that obliges. */
  forEach(
    session: Session,
    publisher: Publisher,
    visit: (seq: number, span: Span, alone: boolean) => void,
  ): void {
    const own = this.#ownSpans(session, publisher);
    if (own === undefined) return;
    const untilMs = this.#lastMs(session);
    const isOwn = publisher.cid === session.cid;
    const isHere = publisher.node === session.connection?.node;
    const underWayMs = isHere ? 0 : this.#model.options.elsewhereMs;
    const { begin, end } = publisher.range(session.beganAtMs, untilMs);
    for (let seq = begin; seq < end; seq++) {
      if (!publisher.obliges(seq)) continue;
      const spans = own[publisher.topicId(seq)];
      if (spans === undefined || spans.length === 0) continue;
      const settledAtMs = publisher.settledAt(seq);
      if (settledAtMs > untilMs) continue;
      const sentAtMs = publisher.sentAt(seq);
      const span = spans.find((one) => this.#obliges(one, sentAtMs, settledAtMs + underWayMs, isOwn));
      if (span !== undefined) visit(seq, span, spans.length === 1);
    }
  }

  #collect(session: Session, publisher: Publisher, missing: Missing[]): void {
    const receipts = session.received.get(publisher.number);
    this.forEach(session, publisher, (seq, span, alone) => {
      if ((receipts?.copies(seq) ?? 0) > 0) this.metCount++;
      else missing.push({ publisher, seq, span, alone, claimed: false });
    });
  }

  /** @param untilMs when it was where the session is */
  #obliges(span: Span, sentAtMs: number, untilMs: number, isOwn: boolean): boolean {
    if (!span.covers(sentAtMs, untilMs, this.#model.options.unsubscribeGraceMs)) return false;
    const { q, noLocal } = span.promise(sentAtMs, untilMs);
    return q > 0 && !(noLocal && isOwn);
  }

  /** By topic; undefined where nothing matches. */
  #ownSpans(session: Session, publisher: Publisher): readonly (readonly Span[])[] | undefined {
    const own: (readonly Span[])[] = [];
    let found = false;
    for (const id of publisher.topicIds) {
      const topic = this.#model.topic(id);
      const spans = topic.judged
        ? session.spansFor(topic).filter(({ group, fromMs }) => group === undefined && fromMs !== Infinity)
        : [];
      own[id] = spans;
      found ||= spans.length > 0;
    }
    return found ? own : undefined;
  }

  /** What is acknowledged later came too late to be judged. */
  #lastMs({ standing, endedAtMs, connection }: Session): number {
    const { drainedAtMs, nowMs, options } = this.#model;
    const lastMs = Math.min(endedAtMs, (drainedAtMs ?? nowMs) - options.settleMs);
    return standing === 'ended' ? Math.min(lastMs, connection?.endedAtMs ?? lastMs) : lastMs;
  }
}

/** What a violation names the session. */
export const sessionName = ({ cid, beganAtMs }: Session): string =>
  `${cid} (since ${beganAtMs.toFixed(1)} ms)`;
