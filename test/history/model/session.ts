import type { Mid, SubscribeEvent } from '../event.js';
import type { Connection } from './connection.js';
import { Receipts } from './receipts.js';
import { optionsOf, Span } from './span.js';
import type { Topic } from './topic.js';

/** A QoS 2 message between its first PUBREC and PUBREL; `mid` is null where nobody could read which it was. */
export interface OpenId {
  readonly mid: Mid | null;
  readonly atMs: number;
}

/**
 * Whether loss can be judged: `judged` was connected long enough at the end of the drain; `ended` owes nothing any more; `unjudged` may
 * have messages that nobody fetched.
 */
export type Standing = 'judged' | 'unjudged' | 'ended';

/** What one client id has between its connections, as its clients know it. */
export class Session {
  readonly connections: Connection[] = [];
  /** Subscriptions that it has or had. */
  readonly spans: Span[] = [];
  /** By packet id. */
  readonly openIds = new Map<number, OpenId>();
  /** By publisher. */
  readonly received = new Map<number, Receipts>();
  /** When another session took its place. */
  endedAtMs = Infinity;
  /** At the end of the drain. */
  standing: Standing = 'unjudged';
  /** Nobody knows whether it is the session before it: what it gets may be that one's. */
  inherits = false;
  /** Deliveries that nobody could read, by topic: each explains a loss. */
  readonly unreadable = new Map<Topic, number>();
  readonly #active = new Map<string, Span>();
  readonly #byTopic: (readonly Span[] | undefined)[] = [];

  constructor(
    /** Position among the sessions of the run. */
    readonly key: number,
    readonly cid: string,
    readonly beganAtMs: number,
  ) {}

  get connection(): Connection | undefined {
    return this.connections.at(-1);
  }

  /** Until when the broker must keep it, as far as its last connection tells. */
  certainUntilMs(): number {
    const last = this.connection;
    if (last === undefined) return -Infinity;
    // A newer connection ends an older one, and with it a session that does not outlive that.
    if (last.open && last.expiryMs > 0) return Infinity;
    return last.evidenceAtMs + last.expiryMs;
  }

  /** @param noticeMs how long after its client the broker may notice the end of a connection. */
  possibleUntilMs(noticeMs: number): number {
    const last = this.connection;
    if (last === undefined) return -Infinity;
    // A broker that hears nothing waits for 1.5 keep alives [MQTT-3.1.2-22], and without one for ever.
    const silentMs = last.keepAliveMs === 0 ? Infinity : last.keepAliveMs * 1.5;
    return last.endedAtMs + (last.end?.by === 'net' ? silentMs : 0) + noticeMs + last.expiryMs;
  }

  subscribe(event: SubscribeEvent, connection: Connection, atMs: number): Span {
    const options = optionsOf(event);
    const known = this.#active.get(event.f);
    const reused = known !== undefined && known.untilMs === Infinity ? known : undefined;
    const span = reused ?? new Span(event.f, atMs, options);
    if (reused === undefined) {
      this.#active.set(event.f, span);
      this.#add(span);
    }
    const previous = reused?.change(atMs, options);
    connection.asked.set(`${event.pid} ${event.f}`, { span, options, previous });
    return span;
  }

  /** SUBACK for one filter. */
  subscribed(filter: string, pid: number, rc: number, connection: Connection, atMs: number): void {
    const key = `${pid} ${filter}`;
    const asked = connection.asked.get(key);
    connection.asked.delete(key);
    if (asked?.options === undefined) return;
    const { span, options, previous } = asked;
    if (rc < 0x80) {
      // A later SUBSCRIBE for the same filter may be in force by now.
      const others = [...connection.asked.values()].flatMap((other) =>
        other.span === span && other.options !== undefined ? [other.options] : [],
      );
      const q = Math.min(rc, ...others.map((other) => other.q));
      const noLocal = options.noLocal || others.some((other) => other.noLocal);
      span.granted(atMs, { ...options, q, noLocal });
    } else if (previous !== undefined) {
      span.restored(atMs, previous);
    } else {
      span.untilMs = atMs;
      span.possibleUntilMs = atMs;
      this.#active.delete(filter);
    }
  }

  unsubscribe(filter: string, pid: number, connection: Connection, atMs: number): void {
    const span = this.#active.get(filter);
    if (span === undefined) return;
    span.untilMs = Math.min(span.untilMs, atMs);
    connection.asked.set(`${pid} ${filter}`, { span, options: undefined, previous: undefined });
  }

  unsubscribed(filter: string, pid: number, rc: number, connection: Connection, atMs: number): void {
    const key = `${pid} ${filter}`;
    const asked = connection.asked.get(key);
    connection.asked.delete(key);
    if (asked === undefined || rc >= 0x80) return;
    asked.span.possibleUntilMs = atMs;
    if (this.#active.get(filter) === asked.span) this.#active.delete(filter);
  }

  /** Subscriptions that it has or had and that match. */
  spansFor(topic: Topic): readonly Span[] {
    let spans = this.#byTopic[topic.id];
    if (spans === undefined) {
      spans = this.spans.filter((span) => span.matches(topic.name));
      this.#byTopic[topic.id] = spans;
    }
    return spans;
  }

  receiptsOf(publisher: number): Receipts {
    let receipts = this.received.get(publisher);
    if (receipts === undefined) {
      receipts = new Receipts();
      this.received.set(publisher, receipts);
    }
    return receipts;
  }

  /** It may be `other`, or what `other` was before somebody unheard ended it: what was there may be there. */
  mayInherit(other: Session): void {
    this.inherits = true;
    for (const span of other.spans) this.#add(span.uncertain());
  }

  /** The drain is over: what comes now is too late. */
  stand(nowMs: number, settleMs: number): void {
    const last = this.connection;
    if (this.endedAtMs !== Infinity) this.standing = 'ended';
    else if (last?.open === true && last.acceptedAtMs <= nowMs - settleMs) this.standing = 'judged';
    else this.standing = this.certainUntilMs() < nowMs ? 'ended' : 'unjudged';
  }

  #add(span: Span): void {
    this.spans.push(span);
    this.#byTopic.length = 0;
  }
}
