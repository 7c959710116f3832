/**
 * One gateway's lanes with everything around them simulated: door, store, transports, clients and time. A seed makes one history.
 */
import { Lanes } from '../../lib/broker/lanes.js';
import type { Connection } from '../../lib/connection/connection.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { Identity } from '../../lib/contracts/security.js';
import {
  decodePacket,
  ReasonCode,
  type ConnectPacket,
  type Packet,
  type PublishPacket,
} from '../../lib/protocol/index.js';
import { Listener } from '../../lib/routing/subscription.js';
import type { Session } from '../../lib/session/session.js';
import { COUNTER_NAMES, type CounterName, C } from '../../lib/telemetry/counters.js';
import type { SimClient } from './client.js';
import { ClientConnection } from './client-connection.js';
import { SimDoor, type DoorObserver } from './door.js';
import { FrameSplitter } from './frames.js';
import { History, type Publication } from './history.js';
import { connackLeavesAfterSession, packetLeavesAfterCommit, type LeavingContext } from './leaving.js';
import { Link } from './link.js';
import { messageIdOf } from './payload.js';
import { type Plan, TICK_MS } from './plan.js';
import { Random } from './random.js';
import { Scheduler } from './scheduler.js';
import { Served } from './served.js';
import { SessionLedger } from './session-ledger.js';
import { Sometimes, type Situation } from './sometimes.js';
import { SimStore } from './store.js';
import { InvariantViolation } from './violation.js';
import { WillLedger } from './will-ledger.js';

const DISCONNECT_COUNTERS = COUNTER_NAMES.filter((name) => name.startsWith('disconnected'));

const ignore = (): void => {};
const silent: Logger = {
  trace: ignore,
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  child: () => silent,
};

export interface Received {
  readonly client: SimClient;
  readonly sessionKey: number;
  readonly packet: PublishPacket;
  readonly mid: string;
}

export class SimWorld implements DoorObserver, LeavingContext {
  readonly scheduler = new Scheduler();
  readonly history = new History();
  readonly sometimes = new Sometimes();
  readonly wills: WillLedger;
  readonly sessions: SessionLedger;
  readonly store: SimStore;
  readonly lanes: Lanes;
  readonly door: SimDoor;
  readonly clients: SimClient[] = [];
  /** Connections whose CONNACK was written and whose end was not reported. */
  readonly live = new Set<Served>();
  readonly #served = new Map<Connection, Served>();
  readonly #sessionKeys = new WeakMap<Session, number>();
  #sessionCount = 0;
  #servedCount = 0;
  #disconnects: number[] = DISCONNECT_COUNTERS.map(() => 0);
  /** Faults are over and everything is to come to rest. */
  healing = false;
  violation: InvariantViolation | undefined;
  /** Gets a line for every packet and end; for replays. */
  trace: ((line: string) => void) | undefined;
  /** Connections refused because their client id changed hands too often. */
  rateRefusals = 0;

  constructor(
    readonly seed: number,
    readonly plan: Plan,
  ) {
    this.wills = new WillLedger(this.sometimes, TICK_MS + plan.store.commitMaxMs * 4 + 50);
    this.sessions = new SessionLedger(this, TICK_MS + 10);
    this.store = new SimStore(this.scheduler, this.random('store'), plan.store, this.sometimes);
    this.door = new SimDoor(this.scheduler, this.random('door'), plan.door, this);
    const turns = this.random('turns');
    let assigned = 0;
    this.lanes = new Lanes({
      clock: this.scheduler,
      logger: silent,
      store: this.store,
      limits: plan.limits,
      authenticator: this.door,
      authorizer: {
        version: 0,
        canPublish: (_who: Identity, topic: string) => !topic.startsWith('forbidden'),
        canSubscribe: (_who: Identity, filter: string) =>
          filter.startsWith('forbidden') ? 'none' : filter.startsWith('#') ? 'some' : 'all',
        canReceive: (_who: Identity, topic: string) => !topic.startsWith('forbidden'),
      },
      schedule: (flush) => this.scheduler.after(turns.chance(0.5) ? 0 : turns.float() * 0.3, 'flush', flush),
      assignClientId: () => `assigned-${assigned++}`,
      isAssignedClientId: (clientId) => clientId.startsWith('assigned-'),
      random: () => 0.5,
    });
    this.lanes.useDoor(this.door, { keepAliveTimeout: ignore, ping: ignore, error: ignore });
    this.lanes.hooks.onSessionExpired = (session) => {
      this.sometimes.saw('session expired');
      if (session.outbound.queuedCount > 0) this.sometimes.saw('session expired with messages in its queue');
    };
    this.lanes.router.addListener(
      new Listener('will/#', (message) =>
        this.wills.published(messageIdOf(message.payload), this.scheduler.now()),
      ),
    );
    this.#tick();
  }

  random(stream: string): Random {
    return new Random(this.seed, stream);
  }

  counter(name: CounterName): number {
    return this.lanes.counters[C[name]] ?? 0;
  }

  /** Ended connections of accepted clients, over all reasons. */
  get disconnects(): number {
    return DISCONNECT_COUNTERS.reduce((sum, name) => sum + this.counter(name), 0);
  }

  /** The first violation counts; the run stops after the step. */
  readonly fail = (invariant: string, text: string): void => {
    this.violation ??= new InvariantViolation(
      invariant,
      `${text} (at ${this.scheduler.now().toFixed(1)} ms, step ${this.scheduler.steps})`,
    );
  };

  // Connections.

  dial(connect: ConnectPacket, willMid: string, client: SimClient): ClientConnection {
    const peer = new ClientConnection(connect, willMid, client);
    const out = new FrameSplitter();
    const incoming = new FrameSplitter();
    const link: Link = new Link(
      this.scheduler,
      this.random(`link ${this.#servedCount}`),
      this.plan.link,
      {
        wrote: (bytes) => this.#leaving(peer, out.push(bytes)),
        arrives: (bytes) => this.#arriving(peer, bytes, incoming),
        closes: () => this.#closing(peer),
      },
      peer,
    );
    peer.attach(link);
    const connection = this.lanes.accept(link);
    if (connection === undefined) throw new Error('there is room for every connection of a run');
    link.attach(connection);
    const served = new Served(this.#servedCount++, connection, peer);
    peer.served = served;
    this.#served.set(connection, served);
    return peer;
  }

  servedBy(connection: Connection): Served {
    const served = this.#served.get(connection);
    if (served === undefined) throw new Error('the door was given a connection that nobody made');
    return served;
  }

  servedConnections(): IterableIterator<Served> {
    return this.#served.values();
  }

  // What the door sees.

  opened(served: Served): void {
    const { clientId } = served;
    for (const other of this.#served.values()) {
      if (other !== served && other.clientId === clientId) this.#sawTakeover(other);
    }
  }

  claimed(served: Served): void {
    this.sessions.claimed(served);
  }

  granted(served: Served): void {
    const { connection } = served;
    const { session } = connection;
    if (session === undefined) {
      this.fail('an admitted connection has a session', served.clientId);
      return;
    }
    const known = this.#sessionKeys.get(session);
    served.session = session;
    served.sessionKey = known ?? ++this.#sessionCount;
    served.durable = session.expiryS > 0;
    if (known === undefined) this.#sessionKeys.set(session, served.sessionKey);
    this.sessions.granted(served, known !== undefined);
  }

  connackWritten(served: Served): void {
    served.live = true;
    this.live.add(served);
    connackLeavesAfterSession(served, this);
    const { willMid, connect } = served.peer;
    if (willMid !== '')
      this.wills.accepted(willMid, served.sessionKey, connect.will?.properties.willDelayInterval ?? 0);
  }

  over(served: Served): void {
    const reason = this.#disconnectReason();
    this.#served.delete(served.connection);
    if (served.connection.closeReason?.code === ReasonCode.connectionRateExceeded) this.rateRefusals++;
    if (!served.live) return;
    served.live = false;
    this.live.delete(served);
    const { disconnectSent, willMid } = served.peer;
    const byClient = reason === 'disconnectedByClient';
    const askedS = byClient ? disconnectSent?.expiryS : undefined;
    const expiryS = askedS ?? served.connection.admission.expiryS;
    const now = this.scheduler.now();
    if (willMid !== '')
      this.wills.connectionEnded(willMid, {
        now,
        discarded: byClient && disconnectSent?.code === 0,
        expiryS,
      });
    const cleanStartWaits = [...this.#served.values()].some(
      (other) =>
        other.phase === 'claiming' &&
        other.connection.admission.cleanStart &&
        other.clientId === served.clientId,
    );
    this.sessions.connectionEnded(served, expiryS, cleanStartWaits);
  }

  // What clients see.

  received({ client, sessionKey, packet, mid }: Received): void {
    this.scheduler.observeText(mid);
    if (packet.topic === this.plan.limits.deadLetterTopic || packet.topic.startsWith('will/')) return;
    const publication = this.history.publications.get(mid);
    if (publication === undefined) {
      this.fail('nothing is delivered that nobody published', `${mid} on ${packet.topic}`);
      return;
    }
    if (publication.topic !== packet.topic)
      this.fail('a message keeps its topic', `${mid} on ${packet.topic}`);
    if (publication.outcome === 'refused' && publication.sends === 1)
      this.fail('nothing is delivered that was refused', `${mid} to ${client.profile.id}`);
    if (packet.retain) {
      this.history.retainedReceipts++;
      return;
    }
    const session = this.history.session(sessionKey, client.profile.id, client.profile.shared);
    const known = session.receipts.get(mid);
    if (known !== undefined) {
      known.count++;
      return;
    }
    const receipt = { mid, qos: packet.qos, count: 1, at: this.scheduler.now() };
    session.receipts.set(mid, receipt);
    session.order.push(receipt);
  }

  acknowledged(client: SimClient, publication: Publication): void {
    if (publication.outcome === 'refused') this.sometimes.saw('publish refused with a reason code');
    else if (client.profile.version < 5 && publication.sentAt < this.store.refusedAt)
      this.sometimes.saw('publish held while storage is full');
  }

  incomingMid({ peer }: Served, packetId: number): string | undefined {
    const client = this.clients.find((candidate) => candidate.connection === peer);
    return client?.incoming.get(packetId);
  }

  // Inside.

  #tick(): void {
    this.scheduler.after(TICK_MS, 'tick', () => {
      this.lanes.tick();
      this.#tick();
    });
  }

  #leaving(peer: ClientConnection, frames: readonly Uint8Array[]): void {
    const { served } = peer;
    if (peer.rude || served === undefined) return;
    for (const frame of frames) {
      const packet = decodePacket(frame, peer.connect.version, 'toClient');
      this.#trace(peer, '<-', packet);
      packetLeavesAfterCommit(served, packet, this);
    }
  }

  #arriving(peer: ClientConnection, bytes: Uint8Array, splitter: FrameSplitter): void {
    this.scheduler.observe(bytes.length);
    const frames = splitter.push(bytes);
    if (peer.rude || (this.store.pending.size === 0 && this.trace === undefined)) return;
    for (const frame of frames) {
      if (this.trace !== undefined)
        this.#trace(peer, '->', decodePacket(frame, peer.connect.version, 'toServer'));
      // PUBLISH, DUP, QoS 2.
      if (((frame[0] ?? 0) & 0xfe) !== 0x3c) continue;
      const packet = decodePacket(frame, peer.connect.version, 'toServer');
      if (packet.type === 'publish' && this.store.pending.has(messageIdOf(packet.payload)))
        this.sometimes.saw('QoS 2 duplicate before commit');
    }
  }

  #trace({ connect, served }: ClientConnection, direction: '->' | '<-', packet: Packet): void {
    if (this.trace === undefined) return;
    const fields = Object.entries(packet).map(([name, value]) => {
      if (name === 'payload' && value instanceof Uint8Array) return messageIdOf(value);
      return name === 'type' || name === 'properties' ? '' : `${name}=${JSON.stringify(value)}`;
    });
    const at = this.scheduler.now().toFixed(1);
    this.trace(
      `${at} ${connect.clientId} #${served?.number} ${direction} ${packet.type} ${fields.filter(Boolean).join(' ')}`,
    );
  }

  #closing({ served }: ClientConnection): void {
    if (served === undefined) return;
    const situation = CLOSED_WHILE[served.phase];
    if (situation !== undefined) this.sometimes.saw(situation);
  }

  #sawTakeover({ phase }: Served): void {
    const situation = TAKEOVER_WHILE[phase];
    if (situation !== undefined) this.sometimes.saw(situation);
  }

  /** The disconnect counter that rose since the last end; ends are reported one by one. */
  #disconnectReason(): CounterName | undefined {
    const counts = DISCONNECT_COUNTERS.map((name) => this.counter(name));
    const reason = DISCONNECT_COUNTERS.find((_, index) => counts[index] !== this.#disconnects[index]);
    this.#disconnects = counts;
    return reason;
  }
}

const CLOSED_WHILE: Partial<Record<Served['phase'], Situation>> = {
  authenticating: 'closed while authenticating',
  claiming: 'closed while storage is asked',
  accepting: 'closed between admitted and ready',
};

const TAKEOVER_WHILE: Partial<Record<Served['phase'], Situation>> = {
  negotiating: 'takeover while negotiating',
  authenticating: 'takeover while authenticating',
  claiming: 'takeover while storage is asked',
  accepting: 'takeover while accepting',
  ready: 'takeover of a ready connection',
};
