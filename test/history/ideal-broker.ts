/**
 * A broker that does everything right, and clients whose networks do not: legal histories of any length, on a clock that stands still
 * between steps. Over 250 lines: broker and clients are one conversation, and the events are its transcript.
 */
import { EXPIRES_NEVER, type EventQoS, type Mid, type WillEvent } from './event.js';
import { HandMade } from './hand-made.js';
import { matches, parseFilter } from './topic-match.js';

/** Deliveries to connected sessions wait at most so long. */
const FLUSH_AFTER_MS = 500;
const SESSION_TAKEN_OVER = 0x8e;
const QUOTA_EXCEEDED = 0x97;

interface Subscription {
  readonly q: EventQoS;
  readonly nl: boolean;
  readonly rap: boolean;
}

interface Message {
  readonly m: Mid;
  readonly cid: string;
  readonly topic: string;
  readonly q: EventQoS;
  readonly retain: boolean;
  readonly empty: boolean;
}

interface Delivery {
  readonly message: Message;
  readonly q: EventQoS;
  readonly retain: boolean;
  pid: number;
  state: 'queued' | 'sent' | 'released';
}

interface Session {
  readonly cid: string;
  readonly subscriptions: Map<string, Subscription>;
  /** Those that were sent, then those that wait. */
  deliveries: Delivery[];
  /** QoS 2 packet ids of the client that wait for its PUBREL. */
  readonly held: Set<number>;
  lastPid: number;
  client: IdealClient | undefined;
  expiryS: number;
  expiresAtMs: number;
  will: { readonly event: WillEvent; readonly dueAtMs: number } | undefined;
}

export interface IdealClient {
  readonly name: string;
  readonly cid: string;
  readonly publisher: number;
  readonly v: 4 | 5;
  readonly clean: boolean;
  readonly expiryS: number;
  readonly will: { readonly delay: number; readonly q: EventQoS } | undefined;
  connected: boolean;
  sequence: number;
  lastPid: number;
  armed: WillEvent | undefined;
  /** Publishes without an answer. */
  inflight: { readonly message: Message; readonly pid: number }[];
}

/** Where a hand-shake breaks: nowhere, on the way there, or on the way back. */
export type Break = 'nowhere' | 'there' | 'back';

export class IdealBroker {
  readonly history = new HandMade();
  readonly clients: IdealClient[] = [];
  readonly #sessions = new Map<string, Session>();
  readonly #retained = new Map<string, Message>();
  /** By group and filter: whose turn it is. */
  readonly #turns = new Map<string, number>();
  #flushedAtMs = 0;

  client(name: string, changes: Partial<IdealClient> = {}): IdealClient {
    const client: IdealClient = {
      ...{ name, cid: name, publisher: this.clients.length, v: 5, clean: false, expiryS: EXPIRES_NEVER },
      ...{ will: undefined, connected: false, sequence: 0, lastPid: 0, armed: undefined, inflight: [] },
      ...changes,
    };
    this.clients.push(client);
    return client;
  }

  // What clients do.

  connect(client: IdealClient): void {
    if (client.connected) return;
    const { cid, clean, v, expiryS: expiry } = client;
    if (client.will !== undefined) {
      const m = this.#nextMid(client);
      client.armed = { m, topic: `will/${cid}`, q: client.will.q, retain: false, delay: client.will.delay };
    }
    const will = client.armed;
    this.history.write(client.name, {
      ...{ e: 'conn!', cid, node: 'n1', clean, expiry, v },
      ...(will && { will }),
    });
    const old = this.#sessions.get(cid);
    if (old?.client !== undefined) {
      this.history.write(old.client.name, {
        e: 'disc',
        by: 'broker',
        ...(old.client.v === 5 && { rc: SESSION_TAKEN_OVER }),
      });
      this.#detach(old.client, true);
    }
    if (clean) this.#endSession(this.#sessions.get(cid));
    const known = this.#sessions.get(cid);
    const session = known ?? this.#createSession(cid);
    Object.assign(session, { client, expiryS: expiry, expiresAtMs: Infinity, will: undefined });
    client.connected = true;
    this.history.write(client.name, { e: 'conn.', present: known !== undefined, rc: 0 });
    if (known === undefined) client.inflight = [];
    this.#sendAgain(session);
    for (const { message, pid } of client.inflight.splice(0))
      this.#publish(client, message, pid, 'nowhere', true);
  }

  cut(client: IdealClient): void {
    if (!client.connected) return;
    this.history.write(client.name, { e: 'disc', by: 'net' });
    this.#detach(client, true);
  }

  leave(client: IdealClient): void {
    if (!client.connected) return;
    this.history.write(client.name, { e: 'disc', by: 'client', rc: 0 });
    this.#detach(client, false);
  }

  subscribe(client: IdealClient, filter: string, subscription: Subscription): void {
    const session = this.#sessionOf(client);
    if (session === undefined) return;
    const { q, nl, rap } = subscription;
    const pid = this.#nextPid(client);
    this.history.write(client.name, { e: 'sub!', f: filter, q, pid, nl, rap });
    session.subscriptions.set(filter, subscription);
    this.history.write(client.name, { e: 'sub.', f: filter, pid, rc: q });
    const parsed = parseFilter(filter);
    if (parsed.group !== undefined) return;
    for (const message of this.#retained.values()) {
      if (matches(parsed, message.topic)) this.#enqueue(session, message, lesser(q, message.q), true);
    }
  }

  unsubscribe(client: IdealClient, filter: string): void {
    const session = this.#sessionOf(client);
    if (session?.subscriptions.has(filter) !== true) return;
    const pid = this.#nextPid(client);
    this.history.write(client.name, { e: 'unsub!', f: filter, pid });
    session.subscriptions.delete(filter);
    this.history.write(client.name, { e: 'unsub.', f: filter, pid, rc: 0 });
  }

  publish(
    client: IdealClient,
    topic: string,
    q: EventQoS,
    broken: Break,
    retain = false,
    empty = false,
  ): void {
    if (!client.connected) return;
    const m = this.#nextMid(client);
    const pid = q === 0 ? 0 : this.#nextPid(client);
    this.#publish(client, { m, cid: client.cid, topic, q, retain, empty }, pid, broken, false);
  }

  refused(client: IdealClient, topic: string): void {
    if (!client.connected) return;
    const m = this.#nextMid(client);
    const pid = this.#nextPid(client);
    this.history.write(client.name, { ...{ e: 'pub!', m, topic, q: 1, retain: false, dup: false }, pid });
    this.history.write(client.name, { e: 'pub.', m, how: 'PUBACK', rc: QUOTA_EXCEEDED });
  }

  // What the broker does.

  /** Delivers what waits for a client. */
  deliver(client: IdealClient, broken: Break = 'nowhere'): void {
    const session = this.#sessionOf(client);
    for (;;) {
      const next = session?.deliveries.find(({ state }) => state === 'queued');
      if (session === undefined || next === undefined) return;
      session.lastPid = (session.lastPid % 65_535) + 1;
      next.pid = session.lastPid;
      next.state = 'sent';
      if (broken !== 'there') this.#receive(client, next, false);
      if (broken !== 'nowhere') return this.cut(client);
      this.#complete(session, client, next);
    }
  }

  /** Time goes on. Nothing stays behind for those that are connected. */
  tick(ms: number): void {
    this.flush();
    this.history.wait(ms);
    for (const session of [...this.#sessions.values()]) {
      if (session.will !== undefined && session.will.dueAtMs <= this.history.nowMs) this.#fireWill(session);
      if (session.expiresAtMs <= this.history.nowMs) this.#endSession(session);
    }
    this.flush();
  }

  flush(): void {
    for (const client of this.clients) if (client.connected) this.deliver(client);
    this.#flushedAtMs = this.history.nowMs;
  }

  /** Between steps. */
  settle(): void {
    if (this.history.nowMs > this.#flushedAtMs + FLUSH_AFTER_MS) this.flush();
  }

  /** Everybody comes back and gets what is theirs. */
  finish(): void {
    for (let seconds = 0; seconds < 12; seconds += 2) this.tick(2000);
    for (const client of this.clients) {
      if (this.#sessions.get(client.cid)?.client === undefined) this.connect(client);
    }
    this.flush();
    this.history.drain();
  }

  #publish(client: IdealClient, message: Message, pid: number, broken: Break, dup: boolean): void {
    const { m, topic, q, retain, empty } = message;
    this.history.write(client.name, {
      ...{ e: 'pub!', m, topic, q, retain, dup },
      ...(q > 0 && { pid }),
      ...(empty && { empty }),
    });
    if (q > 0 && broken !== 'nowhere') client.inflight.push({ message, pid });
    if (broken === 'there') return this.cut(client);
    const session = this.#sessionOf(client);
    if (session?.held.has(pid) !== true) this.#route(message);
    if (q === 2) session?.held.add(pid);
    if (broken === 'back') return this.cut(client);
    if (q === 1) this.history.write(client.name, { e: 'pub.', m, how: 'PUBACK', rc: 0 });
    if (q !== 2) return;
    this.history.write(client.name, { e: 'pub.', m, how: 'PUBREC', rc: 0 });
    session?.held.delete(pid);
    this.history.write(client.name, { e: 'pub.', m, how: 'PUBCOMP', rc: 0 });
  }

  #route(message: Message): void {
    const groups = new Map<string, { readonly session: Session; readonly q: EventQoS }[]>();
    for (const session of this.#sessions.values()) {
      let own: Subscription | undefined;
      for (const [filter, subscription] of session.subscriptions) {
        const parsed = parseFilter(filter);
        if (!matches(parsed, message.topic)) continue;
        if (parsed.group !== undefined) {
          groups.set(filter, [...(groups.get(filter) ?? []), { session, q: subscription.q }]);
        } else if (!(subscription.nl && message.cid === session.cid)) {
          const rap = subscription.rap || own?.rap === true;
          own = { nl: false, rap, q: own !== undefined && own.q > subscription.q ? own.q : subscription.q };
        }
      }
      if (own !== undefined)
        this.#enqueue(session, message, lesser(own.q, message.q), own.rap && message.retain);
    }
    for (const [filter, members] of groups) this.#toOne(filter, members, message);
    if (!message.retain) return;
    if (message.empty) this.#retained.delete(message.topic);
    else this.#retained.set(message.topic, message);
  }

  #toOne(
    filter: string,
    members: { readonly session: Session; readonly q: EventQoS }[],
    message: Message,
  ): void {
    const turn = this.#turns.get(filter) ?? 0;
    this.#turns.set(filter, turn + 1);
    const online = members.filter(({ session }) => session.client !== undefined);
    const pool = online.length > 0 ? online : members;
    const chosen = pool[turn % pool.length];
    if (chosen !== undefined) this.#enqueue(chosen.session, message, lesser(chosen.q, message.q), false);
  }

  #enqueue(session: Session, message: Message, q: EventQoS, retain: boolean): void {
    const delivery: Delivery = { message, q, retain, pid: 0, state: 'queued' };
    if (q > 0) session.deliveries.push(delivery);
    else if (session.client !== undefined) this.#receive(session.client, delivery, false);
  }

  #receive(client: IdealClient, { message, q, retain, pid }: Delivery, dup: boolean): void {
    const { m, topic, empty } = message;
    this.history.write(client.name, {
      ...{ e: 'recv', m: empty ? null : m, topic, q, retain, dup, bytesOk: true },
      ...(q > 0 && { pid }),
      ...(empty && { empty }),
    });
  }

  /** The answers of the client arrive. */
  #complete(session: Session, client: IdealClient, delivery: Delivery): void {
    if (delivery.q === 2) this.history.write(client.name, { e: 'rel', pid: delivery.pid });
    session.deliveries = session.deliveries.filter((one) => one !== delivery);
  }

  #sendAgain(session: Session): void {
    const { client } = session;
    if (client === undefined) return;
    for (const delivery of session.deliveries.filter(({ state }) => state !== 'queued')) {
      if (delivery.state === 'sent') this.#receive(client, delivery, true);
      this.#complete(session, client, delivery);
    }
  }

  #detach(client: IdealClient, firesWill: boolean): void {
    client.connected = false;
    const session = this.#sessions.get(client.cid);
    const { armed } = client;
    client.armed = undefined;
    if (session?.client !== client) return;
    session.client = undefined;
    session.expiresAtMs =
      this.history.nowMs + (session.expiryS === EXPIRES_NEVER ? Infinity : session.expiryS * 1000);
    if (firesWill && armed !== undefined) {
      const delayS = client.v === 4 ? 0 : Math.min(armed.delay, session.expiryS);
      session.will = { event: armed, dueAtMs: this.history.nowMs + delayS * 1000 };
      if (delayS === 0) this.#fireWill(session);
    }
    if (session.expiryS === 0) this.#endSession(session);
  }

  #fireWill(session: Session): void {
    const event = session.will?.event;
    session.will = undefined;
    if (event === undefined) return;
    const { m, topic, q, retain } = event;
    this.#route({ m, cid: session.cid, topic, q, retain, empty: false });
  }

  #createSession(cid: string): Session {
    const session: Session = {
      ...{ cid, subscriptions: new Map(), deliveries: [], held: new Set(), lastPid: 0 },
      ...{ client: undefined, expiryS: 0, expiresAtMs: Infinity, will: undefined },
    };
    this.#sessions.set(cid, session);
    return session;
  }

  #endSession(session: Session | undefined): void {
    if (session === undefined || this.#sessions.get(session.cid) !== session) return;
    this.#fireWill(session);
    this.#sessions.delete(session.cid);
  }

  #sessionOf(client: IdealClient): Session | undefined {
    return client.connected ? this.#sessions.get(client.cid) : undefined;
  }

  #nextMid(client: IdealClient): Mid {
    return { pub: client.publisher, seq: client.sequence++ };
  }

  #nextPid(client: IdealClient): number {
    const inUse = new Set(client.inflight.map(({ pid }) => pid));
    do client.lastPid = (client.lastPid % 65_535) + 1;
    while (inUse.has(client.lastPid));
    return client.lastPid;
  }
}

const lesser = (a: EventQoS, b: EventQoS): EventQoS => (a < b ? a : b);
