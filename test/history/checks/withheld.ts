import { Check, type Delivery } from '../model/check.js';
import type { Connection } from '../model/connection.js';
import type { HistoryModel } from '../model/history-model.js';
import { sessionName, type Missing, type Obligations } from '../model/obligations.js';
import type { Session } from '../model/session.js';
import type { Report } from '../verdict.js';

/** How far deliveries on one connection have come. */
interface Progress {
  /** Newest delivery, and when that message was acknowledged. */
  atMs: number;
  settledMs: number;
  /** Latest acknowledgement among the messages delivered. */
  newestSettledMs: number;
}
const NO_PROGRESS: Readonly<Progress> = { atMs: -Infinity, settledMs: -Infinity, newestSettledMs: -Infinity };

/**
 * C5: an acknowledged message reaches a connected session in time. While a backlog is delivered what stands behind it may take
 * longer, but not what later messages have overtaken. Of sessions whose losses cannot be judged at the end, also: what was never
 * delivered on the connection on which it should have been.
 */
export class Withheld extends Check {
  readonly #obligations: Obligations;
  readonly #progress = new Map<Connection, Progress>();

  constructor(model: HistoryModel, report: Report, obligations: Obligations) {
    super(model, report);
    this.#obligations = obligations;
  }

  override received(delivery: Delivery): void {
    const { event, publisher, seq, form, copies, connection, atMs } = delivery;
    if (form !== 'live' || event.q === 0 || publisher.will(seq)) return;
    const settledAtMs = publisher.settledAt(seq);
    if (settledAtMs === Infinity) return;
    const progress = this.#progressOf(connection);
    if (copies === 1) this.#inTime(delivery, settledAtMs, progress);
    progress.atMs = atMs;
    progress.settledMs = settledAtMs;
    progress.newestSettledMs = Math.max(progress.newestSettledMs, settledAtMs);
  }

  #inTime(delivery: Delivery, settledAtMs: number, progress: Readonly<Progress>): void {
    const { session, topic, connection, publisher, seq, atMs } = delivery;
    const { withheldMs } = this.model.options;
    let sinceMs = Math.max(settledAtMs, connection.acceptedAtMs);
    if (atMs - sinceMs <= withheldMs) return;
    sinceMs = Math.max(sinceMs, this.model.faults.lastActiveMs(atMs));
    if (progress.settledMs <= settledAtMs + withheldMs) sinceMs = Math.max(sinceMs, progress.atMs);
    if (atMs - sinceMs <= withheldMs) return;
    const spans = session.spansFor(topic);
    // It may have gone to another member of the group before.
    if (spans.some(({ group }) => group !== undefined)) return;
    if (!spans.some((span) => span.covers(publisher.sentAt(seq), settledAtMs, 0))) return;
    this.report.violation({
      check: 'C5',
      rule: 'late',
      text: `${sessionName(session)} got message ${seq} of publisher ${publisher.number} ${(atMs - settledAtMs).toFixed(1)} ms after its acknowledgement, connected and with nothing broken`,
      atMs,
      cids: [session.cid],
      mids: [publisher.mid(seq)],
      count: 1,
    });
  }

  override finish(): void {
    for (const session of this.model.sessions) {
      if (session.standing === 'judged') continue;
      const byConnection = new Map<Connection, Missing[]>();
      for (const missing of this.#obligations.missing(session)) {
        const connection = this.#connectionOf(session, missing);
        if (connection === undefined || this.#excused(session, missing)) continue;
        const known = byConnection.get(connection);
        if (known === undefined) byConnection.set(connection, [missing]);
        else known.push(missing);
      }
      for (const [connection, missing] of byConnection) this.#neverCame(session, connection, missing);
    }
  }

  /** The connection that was there from before the message was sent until its time was up. */
  #connectionOf(session: Session, { publisher, seq }: Missing): Connection | undefined {
    const { withheldMs } = this.model.options;
    const sentAtMs = publisher.sentAt(seq);
    const settledAtMs = publisher.settledAt(seq);
    const dueAtMs = settledAtMs + withheldMs;
    const connection = session.connections.find((one) => one.spans(sentAtMs, dueAtMs));
    if (connection === undefined || this.model.faults.overlaps(sentAtMs, dueAtMs)) return undefined;
    const endMs = Math.min(connection.endedAtMs, this.model.drainedAtMs ?? this.model.nowMs);
    const progress = this.#progress.get(connection) ?? NO_PROGRESS;
    const overtaken = progress.newestSettledMs > dueAtMs;
    const stalled = endMs > dueAtMs && progress.atMs + withheldMs < endMs;
    return overtaken || stalled ? connection : undefined;
  }

  #progressOf(connection: Connection): Progress {
    let progress = this.#progress.get(connection);
    if (progress === undefined) {
      progress = { ...NO_PROGRESS };
      this.#progress.set(connection, progress);
    }
    return progress;
  }

  #excused(session: Session, missing: Missing): boolean {
    const { publisher, seq } = missing;
    const topic = this.model.topic(publisher.topicId(seq));
    if (missing.claimed) return true;
    return (
      (session.unreadable.get(topic) ?? 0) > 0 ||
      this.model.drops.excuse(session.cid, topic.name, publisher.sentAt(seq))
    );
  }

  #neverCame(session: Session, connection: Connection, missing: readonly Missing[]): void {
    const [first] = missing;
    if (first === undefined) return;
    const { publisher, seq } = first;
    this.report.violation({
      check: 'C5',
      rule: 'never came',
      text: `${sessionName(session)} never got ${missing.length} messages, the first ${seq} of publisher ${publisher.number}, though connected until ${connection.endedAtMs.toFixed(1)} ms`,
      atMs: publisher.settledAt(seq),
      cids: [session.cid],
      mids: [publisher.mid(seq)],
      count: missing.length,
    });
  }
}
