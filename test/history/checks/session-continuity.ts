import { Check, type Arrival } from '../model/check.js';
import type { Expectation } from '../model/client-record.js';
import type { Connection } from '../model/connection.js';
import type { HistoryModel } from '../model/history-model.js';
import { sessionName, type Missing, type Obligations } from '../model/obligations.js';
import type { OpenId, Session } from '../model/session.js';
import type { Span } from '../model/span.js';
import type { Report } from '../verdict.js';

/** One loss after a reconnect is a loss; from two in a row, with nothing received, the subscription is gone. */
const LOST_SUBSCRIPTION_MIN_COUNT = 2;

/**
 * C8: Session Present says what must be so; a resumed session has the subscriptions and the open packet ids that it had. Takes the losses
 * that a lost subscription explains.
 */
export class SessionContinuity extends Check {
  readonly #obligations: Obligations;

  constructor(model: HistoryModel, report: Report, obligations: Obligations) {
    super(model, report);
    this.#obligations = obligations;
  }

  override accepted(
    connection: Connection,
    present: boolean,
    _previous: Session | undefined,
    expected: Expectation,
  ): void {
    if (present && connection.clean) this.#wrongPresence(connection, 'present after a clean start');
    else if (present && !expected.possible) this.#wrongPresence(connection, 'present where none can be');
    else if (!present && expected.certain) this.#wrongPresence(connection, 'not present where one must be');
  }

  override cameAgain({ event, session, atMs }: Arrival, { mid }: OpenId): void {
    const { m, pid } = event;
    if (m === null || mid === null || (m.pub === mid.pub && m.seq === mid.seq)) return;
    this.report.violation({
      check: 'C8',
      rule: 'packet id in use',
      text: `${sessionName(session)} got another message under packet id ${pid} before its PUBREL, ${atMs.toFixed(1)} ms`,
      atMs,
      cids: [session.cid],
      mids: [mid, m],
      count: 1,
    });
  }

  override finish(): void {
    for (const session of this.model.sessions) {
      if (session.standing !== 'judged') continue;
      this.#released(session);
      const { isExcused } = this.model.options;
      const missing = this.#obligations
        .missing(session)
        .filter(
          ({ alone, publisher, seq }) => alone && isExcused?.(session.cid, publisher.mid(seq)) !== true,
        );
      for (const span of new Set(missing.map((one) => one.span))) {
        this.#survived(
          session,
          span,
          missing.filter((one) => one.span === span),
        );
      }
    }
  }

  #wrongPresence(connection: Connection, rule: string): void {
    const { cid, acceptedAtMs, actor } = connection;
    this.report.violation({
      check: 'C8',
      rule,
      text: `${cid} (${actor}) was told at ${acceptedAtMs.toFixed(1)} ms that its session is ${rule}${this.model.faults.describe(connection.invokedAtMs, acceptedAtMs)}`,
      atMs: acceptedAtMs,
      cids: [cid],
      mids: [],
      count: 1,
    });
  }

  /** A packet id that PUBREC has answered gets its PUBREL, or the message again. */
  #released(session: Session): void {
    const { drainedAtMs = 0, options } = this.model;
    for (const [pid, { mid, atMs }] of session.openIds) {
      if (atMs > drainedAtMs - options.settleMs) continue;
      this.report.violation({
        check: 'C8',
        rule: 'packet id forgotten',
        text: `${sessionName(session)} waits for the PUBREL of packet id ${pid} since ${atMs.toFixed(1)} ms`,
        atMs,
        cids: [session.cid],
        mids: mid === null ? [] : [mid],
        count: 1,
      });
    }
  }

  /** From some reconnect on nothing has come through a subscription that was there before. */
  #survived(session: Session, span: Span, missing: readonly Missing[]): void {
    const receivedMs = this.#newestReceived(session, span);
    const index = session.connections.findIndex(
      ({ acceptedAtMs }, at) => at > 0 && acceptedAtMs > receivedMs && span.fromMs < acceptedAtMs,
    );
    const connection = session.connections[index];
    const before = session.connections[index - 1];
    if (connection === undefined || before === undefined || span.fromMs > before.endedAtMs) return;
    const after = missing.filter(({ publisher, seq }) => publisher.sentAt(seq) > connection.acceptedAtMs);
    const [first] = after;
    if (first === undefined || after.length < LOST_SUBSCRIPTION_MIN_COUNT) return;
    // All of them may have been dropped.
    if (this.model.drops.leftFor(session.cid) >= after.length) return;
    // What was published while it was away went the same way.
    const awayMs = Math.min(before.endedAtMs, connection.invokedAtMs);
    for (const one of missing) one.claimed ||= one.publisher.sentAt(one.seq) > awayMs;
    this.report.violation({
      check: 'C8',
      rule: 'subscription lost',
      text: `${sessionName(session)} got nothing for ${span.filter} since it was resumed at ${connection.acceptedAtMs.toFixed(1)} ms: ${after.length} messages`,
      atMs: connection.acceptedAtMs,
      cids: [session.cid],
      mids: [first.publisher.mid(first.seq)],
      count: after.length,
    });
  }

  /** When the newest message was sent that came, and only this subscription can have brought it. */
  #newestReceived(session: Session, span: Span): number {
    let newestMs = -Infinity;
    for (const publisher of this.model.publishers.values()) {
      const receipts = session.received.get(publisher.number);
      if (receipts === undefined) continue;
      this.#obligations.forEach(session, publisher, (seq, obliging, alone) => {
        if (alone && obliging === span && receipts.copies(seq) > 0)
          newestMs = Math.max(newestMs, publisher.sentAt(seq));
      });
    }
    return newestMs;
  }
}
