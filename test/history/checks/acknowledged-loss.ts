import { Check } from '../model/check.js';
import type { HistoryModel } from '../model/history-model.js';
import { sessionName, type Missing, type Obligations } from '../model/obligations.js';
import type { Session } from '../model/session.js';
import type { Topic } from '../model/topic.js';
import type { Report } from '../verdict.js';

/**
 * C1: what was acknowledged at QoS 1 or 2, to a session that was subscribed at QoS 1 or 2 before it was sent, has come before the end of
 * the drain. Losses that follow each other are one violation. After SessionContinuity, which takes lost subscriptions.
 */
export class AcknowledgedLoss extends Check {
  readonly #obligations: Obligations;

  constructor(model: HistoryModel, report: Report, obligations: Obligations) {
    super(model, report);
    this.#obligations = obligations;
  }

  override finish(): void {
    const { obligations } = this.report.figures;
    for (const session of this.model.sessions) {
      const missing = this.#obligations.missing(session).filter(({ claimed }) => !claimed);
      if (session.standing === 'unjudged') obligations.unjudged += missing.length;
      if (session.standing !== 'judged') continue;
      obligations.judged += missing.length;
      // Of its own: the same delivery may be the one that a shared subscription misses.
      const unreadable = new Map(session.unreadable);
      const lost = missing.filter((one) => !this.#excused(session, unreadable, one));
      obligations.excused += missing.length - lost.length;
      for (const run of runsOf(session, lost)) this.#report(session, run);
    }
    obligations.judged += this.#obligations.metCount;
  }

  #excused(session: Session, unreadable: Map<Topic, number>, { publisher, seq }: Missing): boolean {
    if (this.model.options.isExcused?.(session.cid, publisher.mid(seq)) === true) return true;
    const topic = this.model.topic(publisher.topicId(seq));
    const count = unreadable.get(topic) ?? 0;
    if (count > 0) {
      unreadable.set(topic, count - 1);
      return true;
    }
    return this.model.drops.excuse(session.cid, topic.name, publisher.sentAt(seq));
  }

  #report(session: Session, run: readonly Missing[]): void {
    const [first] = run;
    const last = run.at(-1);
    if (first === undefined || last === undefined) return;
    const { publisher } = first;
    const fromMs = publisher.settledAt(first.seq);
    const untilMs = publisher.settledAt(last.seq);
    const which = first === last ? `message ${first.seq}` : `messages ${first.seq} to ${last.seq}`;
    const faults = this.model.faults.describe(publisher.sentAt(first.seq), untilMs);
    this.report.violation({
      check: 'C1',
      rule: 'acknowledged loss',
      text: `${sessionName(session)} did not get ${which} (${run.length}) of publisher ${publisher.number}, acknowledged from ${fromMs.toFixed(1)} to ${untilMs.toFixed(1)} ms${faults}`,
      atMs: fromMs,
      cids: [session.cid],
      mids: [...new Set([first, last])].map(({ seq }) => publisher.mid(seq)),
      count: run.length,
    });
  }
}

/** Losses of one publisher between which nothing was received. */
function runsOf(session: Session, lost: readonly Missing[]): Missing[][] {
  const runs: Missing[][] = [];
  let last: Missing | undefined;
  for (const one of lost) {
    if (last?.publisher === one.publisher && !receivedBetween(session, last, one.seq)) runs.at(-1)?.push(one);
    else runs.push([one]);
    last = one;
  }
  return runs;
}

function receivedBetween(session: Session, { publisher, seq }: Missing, end: number): boolean {
  const receipts = session.received.get(publisher.number);
  for (let between = seq + 1; between < end; between++) {
    if ((receipts?.copies(between) ?? 0) > 0) return true;
  }
  return false;
}
