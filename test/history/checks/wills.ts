import { Check, type Delivery } from '../model/check.js';
import type { Connection } from '../model/connection.js';
import type { WillEvent } from '../event.js';
import type { Session } from '../model/session.js';
import type { Topic } from '../model/topic.js';
import { copiesAllowed, isExplained } from './duplicates.js';
import { fateOf, type Fate } from './will-fate.js';

interface Entry {
  readonly connection: Connection;
  readonly will: WillEvent;
  readonly deliveries: WillDelivery[];
}

interface WillDelivery {
  readonly session: Session;
  readonly atMs: number;
  /** What the session was owed, and got before it; undefined: nothing. */
  readonly behind: Owed | undefined;
}

/** A message of QoS 1 or 2. */
interface Owed {
  readonly atMs: number;
  /** When it was published. */
  readonly sentAtMs: number;
}

/** C10: a will is published once and in time where its connection ended without DISCONNECT, and never otherwise. */
export class Wills extends Check {
  /** By publisher and sequence number. */
  readonly #entries = new Map<string, Entry>();
  readonly #byClient = new Map<string, Connection[]>();
  /** The newest that came to each. */
  readonly #owed = new Map<Session, Owed>();

  override connecting(connection: Connection): void {
    const { cid, will } = connection;
    const known = this.#byClient.get(cid);
    if (known === undefined) this.#byClient.set(cid, [connection]);
    else known.push(connection);
    if (will !== undefined)
      this.#entries.set(`${will.m.pub}/${will.m.seq}`, { connection, will, deliveries: [] });
  }

  override received(delivery: Delivery): void {
    const { event, publisher, seq, session, form, copies, atMs } = delivery;
    if (form === 'stored') return;
    const behind = this.#owed.get(session);
    if (event.q > 0) this.#owed.set(session, { atMs, sentAtMs: publisher.sentAt(seq) });
    if (!publisher.will(seq)) return;
    const entry = this.#entries.get(`${publisher.number}/${seq}`);
    if (entry === undefined) return;
    entry.deliveries.push({ session, atMs, behind });
    if (copies <= copiesAllowed(delivery) || isExplained(delivery, this.model.faults.all.length > 0)) return;
    this.#violation(entry, 'twice', `reached ${session.cid} ${copies} times`, atMs, [session.cid]);
  }

  override finish(): void {
    for (const entry of this.#entries.values()) {
      const others = (this.#byClient.get(entry.connection.cid) ?? []).filter(
        (one) => one !== entry.connection,
      );
      this.#judge(entry, fateOf(entry.connection, entry.will.delay, others, this.model));
    }
  }

  #judge(entry: Entry, fate: Fate): void {
    const [first] = entry.deliveries;
    switch (fate.kind) {
      case 'either':
        return;
      case 'never':
        if (first !== undefined)
          this.#violation(entry, 'unwanted', fate.why, first.atMs, [first.session.cid]);
        return;
      case 'due':
        if (first !== undefined && first.atMs < fate.earliestMs) {
          const text = `came at ${first.atMs.toFixed(1)}, not from ${fate.earliestMs.toFixed(1)} ms`;
          this.#violation(entry, 'early', text, first.atMs, [first.session.cid]);
        } else {
          this.#published(entry, fate.latestMs);
        }
    }
  }

  /** Everybody who was there for it has got it. */
  #published(entry: Entry, latestMs: number): void {
    if (latestMs > (this.model.drainedAtMs ?? this.model.nowMs)) return;
    const topic = this.model.topicNamed(entry.will.topic);
    const without = this.#watchers(entry, topic, latestMs)
      .filter(
        (session) =>
          !entry.deliveries.some((one) => one.session === session && this.#isInTime(one, latestMs)),
      )
      .filter(({ cid }) => !this.model.drops.excuse(cid, topic.name, entry.connection.evidenceAtMs));
    const [session] = without;
    if (session === undefined) {
      this.#kept(entry, topic, latestMs);
      return;
    }
    const late = entry.deliveries.some((one) => one.session === session);
    const text = `${late ? 'came late' : 'did not come'} to ${without.map(({ cid }) => cid).join(', ')} until ${latestMs.toFixed(1)} ms`;
    this.#violation(entry, late ? 'late' : 'missing', text, latestMs, [session.cid]);
  }

  /** What stands behind messages that were published before it was due waits for its turn, and comes next. */
  #isInTime({ atMs, behind }: WillDelivery, latestMs: number): boolean {
    if (atMs <= latestMs) return true;
    if (behind === undefined || behind.atMs <= latestMs) return false;
    return behind.sentAtMs <= latestMs && atMs <= behind.atMs + this.model.options.willLateMs;
  }

  /** Every session that was subscribed all the time has got it in the end, connected or not, where neither side has QoS 0. */
  #kept(entry: Entry, topic: Topic, latestMs: number): void {
    if (entry.will.q === 0) return;
    const fromMs = entry.connection.evidenceAtMs;
    const without = this.model.sessions.filter(
      (session) =>
        session.cid !== entry.connection.cid &&
        session.standing === 'judged' &&
        session
          .spansFor(topic)
          .some(
            (span) =>
              span.group === undefined &&
              span.covers(fromMs, latestMs, 0) &&
              span.promise(fromMs, latestMs).q > 0,
          ) &&
        (session.unreadable.get(topic) ?? 0) === 0 &&
        !entry.deliveries.some((one) => one.session === session) &&
        !this.model.drops.excuse(session.cid, topic.name, fromMs),
    );
    const [session] = without;
    if (session === undefined) return;
    const text = `did not come to ${without.map(({ cid }) => cid).join(', ')} until the end`;
    this.#violation(entry, 'lost', text, latestMs, [session.cid]);
  }

  /** Sessions that were connected and subscribed all the time, and could read what came. */
  #watchers({ connection }: Entry, topic: Topic, latestMs: number): Session[] {
    const fromMs = connection.evidenceAtMs;
    return this.model.sessions.filter(
      (session) =>
        session.cid !== connection.cid &&
        session.connections.some((one) => one.spans(fromMs, latestMs)) &&
        session
          .spansFor(topic)
          .some((span) => span.group === undefined && span.covers(fromMs, latestMs, 0)) &&
        (session.unreadable.get(topic) ?? 0) === 0,
    );
  }

  #violation({ connection, will }: Entry, rule: string, what: string, atMs: number, cids: string[]): void {
    this.report.violation({
      check: 'C10',
      rule,
      text: `the will of ${connection.cid} (${connection.actor}), whose connection ended at ${connection.endedAtMs.toFixed(1)} ms, ${what}`,
      atMs,
      cids: [connection.cid, ...cids],
      mids: [will.m],
      count: 1,
    });
  }
}
