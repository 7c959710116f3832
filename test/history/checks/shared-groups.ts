import { Check } from '../model/check.js';
import type { Publisher } from '../model/publisher.js';
import type { Session } from '../model/session.js';
import type { Span } from '../model/span.js';
import type { Topic } from '../model/topic.js';

interface Member {
  readonly session: Session;
  readonly span: Span;
}

/** One message on its way to one group. */
interface Question {
  readonly publisher: Publisher;
  readonly seq: number;
  readonly topic: Topic;
  /** Whoever the broker may have chosen. */
  readonly candidates: readonly Member[];
}

/**
 * C1 and C3 of shared subscriptions: a message reaches one member, at least once. A member that left may have taken with it what it was
 * chosen for, so that only messages are judged whose possible receivers are all there at the end.
 */
export class SharedGroups extends Check {
  override finish(): void {
    const groups = new Map<string, Member[]>();
    for (const session of this.model.sessions) {
      for (const span of session.spans) {
        if (span.group === undefined) continue;
        const members = groups.get(span.filter) ?? [];
        groups.set(span.filter, members);
        members.push({ session, span });
      }
    }
    for (const [filter, members] of groups) {
      for (const publisher of this.model.publishers.values()) this.#judge(filter, members, publisher);
    }
  }

  #judge(filter: string, members: readonly Member[], publisher: Publisher): void {
    const [{ span } = { span: undefined }] = members;
    const topics = [...publisher.topicIds].map((id) => this.model.topic(id));
    const matching = new Set(topics.filter((topic) => topic.judged && span?.matches(topic.name)));
    if (matching.size === 0) return;
    let lost: number[] = [];
    for (let seq = 0; seq < publisher.length; seq++) {
      if (!publisher.obliges(seq)) continue;
      const topic = this.model.topic(publisher.topicId(seq));
      if (!matching.has(topic)) continue;
      const candidates = members.filter((member) => this.#mayReceive(member, publisher.sentAt(seq)));
      const question = { publisher, seq, topic, candidates };
      this.#once(filter, question);
      if (this.#isLost(question)) {
        lost.push(seq);
      } else {
        this.#lost(filter, members, publisher, lost);
        lost = [];
      }
    }
    this.#lost(filter, members, publisher, lost);
  }

  #mayReceive({ session, span }: Member, sentAtMs: number): boolean {
    const { noticeMs } = this.model.options;
    return (
      span.possibleUntilMs >= sentAtMs &&
      session.endedAtMs >= sentAtMs &&
      session.possibleUntilMs(noticeMs) >= sentAtMs
    );
  }

  #isLost(question: Question): boolean {
    const { publisher, seq, topic, candidates } = question;
    const { obligations } = this.report.figures;
    const settledAtMs = publisher.settledAt(seq);
    if (settledAtMs > (this.model.drainedAtMs ?? -Infinity) - this.model.options.settleMs) return false;
    const sessions = new Set(candidates.map(({ session }) => session));
    const copies = [...sessions].reduce((sum, session) => sum + copiesOf(session, publisher, seq), 0);
    const own = [...sessions].filter((session) => hasOwn(session, question)).length;
    if (copies >= own + 1) {
      obligations.judged++;
      return false;
    }
    if (!this.#isOwed(question, settledAtMs)) return false;
    if ([...sessions].some(({ standing }) => standing !== 'judged')) {
      if ([...sessions].some(({ standing }) => standing === 'unjudged')) obligations.unjudged++;
      return false;
    }
    obligations.judged++;
    const excused = [...sessions].some(
      (session) =>
        (session.unreadable.get(topic) ?? 0) > 0 ||
        this.model.drops.excuse(session.cid, topic.name, publisher.sentAt(seq)),
    );
    if (excused) obligations.excused++;
    return !excused;
  }

  /** Somebody was there for it all the time, nobody left since, and everybody promised more than QoS 0. */
  #isOwed({ publisher, seq, candidates }: Question, settledAtMs: number): boolean {
    const sentAtMs = publisher.sentAt(seq);
    return (
      candidates.some(({ span }) => span.covers(sentAtMs, settledAtMs, 0)) &&
      candidates.every(({ span }) => span.untilMs === Infinity && span.promise(sentAtMs, Infinity).q > 0)
    );
  }

  #once(filter: string, question: Question): void {
    const { publisher, seq, topic, candidates } = question;
    const receivers = [...new Set(candidates.map(({ session }) => session))].filter(
      (session) => copiesOf(session, publisher, seq) > 0,
    );
    const [first, second] = receivers;
    if (first === undefined || second === undefined) return;
    // One of them may have got it for another subscription.
    if (receivers.some((session) => session.spansFor(topic).some((span) => span.filter !== filter))) return;
    const q = Math.min(
      publisher.qos(seq),
      ...candidates.map(({ span }) => span.promise(publisher.sentAt(seq), Infinity).q),
    );
    if (q < 2 && this.#mayBeSentAgain(question)) return;
    this.report.violation({
      check: 'C3',
      rule: 'two members',
      text: `message ${seq} of publisher ${publisher.number} reached ${receivers.map(({ cid }) => cid).join(' and ')} of ${filter}`,
      atMs: publisher.sentAt(seq),
      cids: [first.cid, second.cid],
      mids: [publisher.mid(seq)],
      count: receivers.length,
    });
  }

  /** At QoS 1: published twice, or a member left before it had acknowledged. */
  #mayBeSentAgain({ publisher, seq, candidates }: Question): boolean {
    const sentAtMs = publisher.sentAt(seq);
    const endMs = this.model.drainedAtMs ?? this.model.nowMs;
    const left = candidates.some(({ session }) =>
      session.connections.some(({ endedAtMs }) => endedAtMs > sentAtMs && endedAtMs < endMs),
    );
    return publisher.resent(seq) || left || this.model.faults.all.length > 0;
  }

  #lost(filter: string, members: readonly Member[], publisher: Publisher, lost: readonly number[]): void {
    const [first] = lost;
    const last = lost.at(-1);
    if (first === undefined || last === undefined) return;
    const fromMs = publisher.settledAt(first);
    this.report.violation({
      check: 'C1',
      rule: 'acknowledged loss',
      text: `no member of ${filter} got messages ${first} to ${last} (${lost.length}) of publisher ${publisher.number}, acknowledged from ${fromMs.toFixed(1)} ms${this.model.faults.describe(publisher.sentAt(first), publisher.settledAt(last))}`,
      atMs: fromMs,
      cids: [...new Set(members.map(({ session }) => session.cid))],
      mids: [...new Set([first, last])].map((seq) => publisher.mid(seq)),
      count: lost.length,
    });
  }
}

const copiesOf = (session: Session, publisher: Publisher, seq: number): number =>
  session.received.get(publisher.number)?.copies(seq) ?? 0;

/** Whether a subscription of its own owes it a copy too. */
function hasOwn(session: Session, { publisher, seq, topic }: Question): boolean {
  const sentAtMs = publisher.sentAt(seq);
  const settledAtMs = publisher.settledAt(seq);
  return session.spansFor(topic).some((span) => {
    if (span.group !== undefined || !span.covers(sentAtMs, settledAtMs, 0)) return false;
    const { q, noLocal } = span.promise(sentAtMs, settledAtMs);
    return q > 0 && !(noLocal && publisher.cid === session.cid);
  });
}
