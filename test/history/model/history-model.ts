/**
 * Who was connected, subscribed and owed what, rebuilt from the events in the order of time. It decides nothing: checks are told.
 */
import type {
  ConnackEvent,
  ConnectEvent,
  DisconnectEvent,
  HistoryEvent,
  Mid,
  PublishAckEvent,
  PublishEvent,
  ReceiveEvent,
} from '../event.js';
import type { CheckOptions } from '../options.js';
import { matches, parseFilter, type ParsedFilter } from '../topic-match.js';
import type { Report } from '../verdict.js';
import type { Arrival, Check, DeliveryForm } from './check.js';
import { ClientRecord } from './client-record.js';
import { Connection } from './connection.js';
import { DropLedger } from './drop-ledger.js';
import { FaultTimeline } from './faults.js';
import { Publisher, type Publication } from './publisher.js';
import { Session } from './session.js';
import { Topic } from './topic.js';

interface Actor {
  connection: Connection | undefined;
  readonly publishers: Set<Publisher>;
}

interface Sent extends Publication {
  readonly m: Mid;
  readonly topic: string;
}

export class HistoryModel {
  readonly sessions: Session[] = [];
  readonly publishers = new Map<number, Publisher>();
  readonly topics: Topic[] = [];
  readonly faults = new FaultTimeline();
  readonly drops = new DropLedger();
  readonly options: CheckOptions;
  /** Of the last event. */
  nowMs = 0;
  /** End of the drain; undefined until it is known. */
  drainedAtMs: number | undefined;
  readonly #report: Report;
  readonly #unjudged: readonly ParsedFilter[];
  readonly #concurrent: readonly ParsedFilter[];
  readonly #topicByName = new Map<string, Topic>();
  readonly #actors = new Map<string, Actor>();
  readonly #clients = new Map<string, ClientRecord>();
  /** When somebody was told that a message is refused. */
  readonly #refusedAtMs: number[] = [];
  #checks: readonly Check[] = [];
  #startNs: bigint | undefined;
  #run = '';

  constructor(options: CheckOptions, report: Report) {
    this.options = options;
    this.#report = report;
    this.#unjudged = options.unjudgedTopics.map(parseFilter);
    this.#concurrent = options.concurrentTopics.map(parseFilter);
  }

  run(events: Iterable<HistoryEvent>, checks: readonly Check[]): void {
    this.#checks = checks;
    for (const event of events) this.#apply(event);
    this.#report.figures.durationMs = this.nowMs;
    this.#report.figures.sessions = this.sessions.length;
    if (this.drainedAtMs === undefined) {
      this.#report.doubt('the drain did not end: what is lost cannot be told from what is late');
      // Nobody is judged, but some have ended.
      for (const session of this.sessions) session.stand(this.nowMs, Infinity);
    }
    for (const check of checks) check.finish();
  }

  /** Connections of a client id that are open. */
  openConnections(cid: string): ReadonlySet<Connection> {
    return this.#client(cid).open;
  }

  /** Whether the broker refused messages between the two, or was made to: perhaps nobody was told. */
  mayHaveRefused(fromMs: number, untilMs: number): boolean {
    const { refusesAtAnyTime, refusingFaults, refusingLateMs } = this.options;
    const last = this.#refusedAtMs.findLast((atMs) => atMs <= untilMs);
    if (refusesAtAnyTime || (last !== undefined && last >= fromMs)) return true;
    return this.faults
      .overlapping(fromMs - refusingLateMs, untilMs)
      .some(({ what }) => refusingFaults.includes(what));
  }

  topic(id: number): Topic {
    const topic = this.topics[id];
    if (topic === undefined) throw new RangeError(`no topic ${id}`);
    return topic;
  }

  topicNamed(name: string): Topic {
    let topic = this.#topicByName.get(name);
    if (topic === undefined) {
      const isOneOf = (filters: readonly ParsedFilter[]): boolean =>
        filters.some((filter) => matches(filter, name));
      topic = new Topic(this.topics.length, name, !isOneOf(this.#unjudged), isOneOf(this.#concurrent));
      this.topics.push(topic);
      this.#topicByName.set(name, topic);
    }
    return topic;
  }

  #apply(event: HistoryEvent): void {
    this.#startNs ??= event.t;
    if (this.#run === '') this.#run = event.run;
    else if (event.run !== this.#run) this.#report.doubt(`the history holds run ${event.run} too`);
    const atMs = Number(event.t - this.#startNs) / 1e6;
    if (atMs < this.nowMs) this.#report.doubt('the history goes back in time');
    this.nowMs = atMs;
    this.#report.figures.events++;
    switch (event.e) {
      case 'conn!':
        return this.#connecting(event.p, event, atMs);
      case 'fault':
        return this.#fault(this.faults.begin(event, atMs));
      case 'heal':
        return this.faults.heal(event, atMs);
      case 'drop':
        return this.drops.add(event, atMs);
      case 'drain!':
        return;
      case 'drain.':
        return this.#drained(atMs);
      default:
        return this.#applyToConnection(event, atMs);
    }
  }

  #drained(atMs: number): void {
    this.drainedAtMs = atMs;
    for (const session of this.sessions) session.stand(atMs, this.options.settleMs);
  }

  #applyToConnection(event: HistoryEvent, atMs: number): void {
    const actor = this.#actor(event.p);
    const { connection } = actor;
    if (connection === undefined || !connection.open) {
      this.#report.doubt(`${event.p} has ${event.e} without a connection`);
      return;
    }
    if (event.e === 'conn.') return this.#connack(actor, connection, event, atMs);
    if (event.e === 'disc') return this.#disconnected(connection, event, atMs);
    const { session } = connection;
    if (session === undefined) {
      this.#report.doubt(`${event.p} has ${event.e} before its CONNACK`);
      return;
    }
    switch (event.e) {
      case 'sub!': {
        const span = session.subscribe(event, connection, atMs);
        for (const check of this.#checks) check.subscribing(connection, span, event.rh ?? 0, event.pid, atMs);
        return;
      }
      case 'unsub!':
        return session.unsubscribe(event.f, event.pid, connection, atMs);
      case 'pub!':
        return this.#publish(actor, connection, event, atMs);
      case 'sub.':
        connection.evidenceAtMs = atMs;
        session.subscribed(event.f, event.pid, event.rc, connection, atMs);
        if (event.rc >= 0x80) return;
        for (const check of this.#checks) check.subscribed(connection, event.f, event.pid, atMs);
        return;
      case 'unsub.':
        connection.evidenceAtMs = atMs;
        return session.unsubscribed(event.f, event.pid, event.rc, connection, atMs);
      case 'pub.':
        connection.evidenceAtMs = atMs;
        return this.#acknowledged(event, atMs);
      case 'recv':
        connection.evidenceAtMs = atMs;
        return this.#arrived(event, connection, session, atMs);
      case 'rel':
        connection.evidenceAtMs = atMs;
        session.openIds.delete(event.pid);
        return;
      default:
        return;
    }
  }

  // Connections.

  #connecting(name: string, event: ConnectEvent, atMs: number): void {
    const actor = this.#actor(name);
    if (actor.connection?.open === true) {
      this.#report.doubt(`${name} connects twice at a time`);
      this.#disconnected(actor.connection, { e: 'disc', by: 'net' }, atMs);
    }
    const connection = new Connection(name, event, atMs);
    actor.connection = connection;
    this.#client(event.cid).open.add(connection);
    if (event.will !== undefined) {
      const { m, topic, q, retain } = event.will;
      const flags = { empty: false, expires: false, will: true };
      this.#register(actor, connection, { m, topic, q, retain, ...flags }, atMs);
    }
    for (const check of this.#checks) check.connecting(connection);
  }

  #connack(actor: Actor, connection: Connection, event: ConnackEvent, atMs: number): void {
    connection.evidenceAtMs = atMs;
    if (event.rc !== 0) {
      connection.refused = true;
      return;
    }
    connection.acceptedAtMs = atMs;
    if (event.expiry !== undefined) connection.expiryS = event.expiry;
    const client = this.#client(connection.cid);
    const previous = client.session;
    const expected = client.expectation(connection, this.options.noticeMs);
    const resumed = event.present && expected.possible;
    const mayBeAnother = client.mayBeReplaced(connection) || (expected.made && !expected.certain);
    const same = resumed && previous !== undefined && !mayBeAnother;
    const session = same ? previous : this.#begin(client, connection.cid, atMs);
    if (!same) {
      // What was there may still be: the session is resumed and nobody knows whose, or the broker is wrong that it is not.
      if (previous !== undefined && (resumed || expected.certain)) session.mayInherit(previous);
      for (const publisher of actor.publishers) publisher.beginEpoch();
    }
    client.settled();
    connection.session = session;
    session.connections.push(connection);
    for (const check of this.#checks) check.accepted(connection, event.present, previous, expected);
  }

  #begin(client: ClientRecord, cid: string, atMs: number): Session {
    if (client.session !== undefined) client.session.endedAtMs = atMs;
    const session = new Session(this.sessions.length, cid, atMs);
    this.sessions.push(session);
    client.session = session;
    return session;
  }

  #disconnected(connection: Connection, event: DisconnectEvent, atMs: number): void {
    connection.endedAtMs = atMs;
    connection.end = event;
    if (event.expiry !== undefined) connection.expiryS = event.expiry;
    const client = this.#client(connection.cid);
    client.open.delete(connection);
    if (!connection.accepted && !connection.refused) client.unanswered(connection);
    connection.asked.clear();
    for (const check of this.#checks) check.ended(connection);
  }

  // Messages.

  #publish(actor: Actor, connection: Connection, event: PublishEvent, atMs: number): void {
    const { m, topic, q, retain } = event;
    const publisher = this.publishers.get(m.pub);
    if (publisher?.knows(m.seq) === true) {
      publisher.markResent(m.seq);
      for (const check of this.#checks) check.publishedAgain(publisher, m.seq, atMs);
      return;
    }
    const empty = event.empty === true;
    const expires = event.expiry !== undefined;
    this.#register(actor, connection, { m, topic, q, retain, empty, expires, will: false }, atMs);
  }

  #register(actor: Actor, connection: Connection, sent: Sent, atMs: number): void {
    const { m, topic } = sent;
    let publisher = this.publishers.get(m.pub);
    if (publisher === undefined) {
      publisher = new Publisher(m.pub);
      this.publishers.set(m.pub, publisher);
    }
    actor.publishers.add(publisher);
    publisher.cid = connection.cid;
    publisher.node = connection.node;
    publisher.version = connection.version;
    publisher.add(m.seq, atMs, this.topicNamed(topic).id, sent);
    for (const check of this.#checks) check.published(publisher, m.seq, atMs);
  }

  #acknowledged({ m, how, rc }: PublishAckEvent, atMs: number): void {
    const publisher = this.publishers.get(m.pub);
    if (publisher?.knows(m.seq) !== true) {
      this.#report.doubt(`${how} for a message that was not sent: ${m.pub}/${m.seq}`);
      return;
    }
    if (rc >= 0x80) this.#refusedAtMs.push(atMs);
    if (publisher.outcome(m.seq) !== 'info') return;
    // A PUBREC that accepted it stays true whatever becomes of the rest of the hand-shake.
    if (rc < 0x80) publisher.settle(m.seq, atMs, 'ok');
    // Of a message that was sent twice the first copy may have been taken.
    else if (!publisher.resent(m.seq)) publisher.settle(m.seq, atMs, 'fail');
    for (const check of this.#checks) check.settled(publisher, m.seq, atMs);
  }

  #arrived(event: ReceiveEvent, connection: Connection, session: Session, atMs: number): void {
    const topic = this.topicNamed(event.topic);
    if (!topic.judged) return;
    const arrival: Arrival = { event, atMs, connection, session, topic };
    for (const check of this.#checks) check.arrived(arrival);
    const again = this.#holdId(arrival);
    const { m } = event;
    const publisher = m === null ? undefined : this.publishers.get(m.pub);
    if (publisher === undefined || m === null || !publisher.knows(m.seq)) {
      if (event.empty !== true) session.unreadable.set(topic, (session.unreadable.get(topic) ?? 0) + 1);
      return;
    }
    publisher.markReceived(m.seq);
    if (again) this.#report.figures.deliveries.redelivered++;
    else if (this.drainedAtMs === undefined) this.#deliver(arrival, publisher, m.seq);
  }

  /** Whether a QoS 2 message came again before its PUBREL. */
  #holdId(arrival: Arrival): boolean {
    const { event, session, atMs } = arrival;
    const { q, pid, m } = event;
    if (q !== 2 || pid === undefined) return false;
    const open = session.openIds.get(pid);
    if (open !== undefined) {
      for (const check of this.#checks) check.cameAgain(arrival, open);
    }
    if (open?.mid != null && m !== null && open.mid.pub === m.pub && open.mid.seq === m.seq) return true;
    session.openIds.set(pid, { mid: m, atMs });
    return false;
  }

  #deliver(arrival: Arrival, publisher: Publisher, seq: number): void {
    const { event, session, topic, connection, atMs } = arrival;
    const receipts = session.receiptsOf(publisher.number);
    if (publisher.topicId(seq) !== topic.id) {
      // Said by another check; it is not lost as well.
      receipts.add(seq);
      return;
    }
    const form = formOf(arrival, publisher, seq);
    const { deliveries } = this.#report.figures;
    if (form === 'stored') deliveries.stored++;
    else deliveries.live++;
    const copies = form === 'stored' ? 0 : receipts.add(seq);
    const delivery = { event, atMs, connection, session, topic, publisher, seq, form, copies };
    for (const check of this.#checks) check.received(delivery);
  }

  #fault(fault: (typeof this.faults.all)[number]): void {
    const { what, nodes, atMs } = fault;
    if (this.options.endingFaults.includes(what)) {
      for (const { connection } of this.#actors.values())
        if (connection?.open === true && (nodes.length === 0 || nodes.includes(connection.node)))
          connection.brokerEndedAtMs = Math.min(connection.brokerEndedAtMs, atMs);
    }
    for (const check of this.#checks) check.faultBegan(fault);
  }

  #actor(name: string): Actor {
    let actor = this.#actors.get(name);
    if (actor === undefined) {
      actor = { connection: undefined, publishers: new Set() };
      this.#actors.set(name, actor);
    }
    return actor;
  }

  #client(cid: string): ClientRecord {
    let client = this.#clients.get(cid);
    if (client === undefined) {
      client = new ClientRecord();
      this.#clients.set(cid, client);
    }
    return client;
  }
}

function formOf({ event, session, topic }: Arrival, publisher: Publisher, seq: number): DeliveryForm {
  if (!event.retain) return 'live';
  if (!publisher.retain(seq)) return 'stored';
  return session.spansFor(topic).some(({ retainAsPublished }) => retainAsPublished) ? 'either' : 'stored';
}
