/**
 * One MQTT session: what a client id owns between its connections. A sans-IO state machine: packets, closes, completions
 * of storage and the time come in as calls; what goes out are calls to the link, the store, the router and the ingest
 * that it was given.
 *
 *     ┌────────── connect ──────────┐
 *     ▼                             │
 *   attached ──disconnect──▶ parked ┘      parked ends when its expiry interval passes, at once where it is 0
 *     │                        │
 *     └────── end ─────────────┴──▶ ended
 *
 * A will is published when the connection ends without DISCONNECT 0x00, after its delay or when the session ends, whichever
 * comes first; a connection that resumes the session before that withdraws it [MQTT-3.1.3-9]. While that connection is being
 * stored the delay does not end. A will that waits for its turn (WillPacer), or for a hook, is stored with its session until it is
 * out, and the end of the session behind it: a crash in between would lose it.
 *
 * Over 400 lines: what connections, time and the log do to one session stands together.
 */
import type { TimerHandle } from '../contracts/clock.js';
import type { LogPosition, SessionImage, SessionRecord } from '../contracts/store.js';
import type { Identity } from '../contracts/security.js';
import { Outbound } from '../delivery/outbound.js';
import { encodeForwardedProperties } from '../ingest/forwarded-properties.js';
import type { QoS2Waiter } from '../ingest/ingest.js';
import { createMessage, type Message, NEVER } from '../message/message.js';
import type { Will } from '../protocol/packet.js';
import type { RouteTarget, Subscriber } from '../routing/subscription.js';
import { count, C } from '../telemetry/counters.js';
import type { SessionEnvironment, SessionLink } from './environment.js';
import { PacketIdSet } from './packet-id-set.js';
import { SubscriptionSet } from './subscription-set.js';

/** Session Expiry Interval of a session that does not expire. */
export const EXPIRES_NEVER = 0xffffffff;

/** QoS 1 and 2 messages on their way in. */
export interface InboundState {
  /** QoS 2 ids that were answered with PUBREC and not released. */
  readonly ids: PacketIdSet;
  /** QoS 2 messages that wait for the log, by id; made when the first has to. */
  storing: Map<number, QoS2Waiter> | undefined;
  /** QoS 2 ids whose release waits for the log, with its position; made when the first has to. */
  releasing: Map<number, LogPosition> | undefined;
  /** Messages of both QoS that came on this connection and wait for the log. */
  pendingCount: number;
  /** Ids that messages of earlier connections left open: they do not count against the Receive Maximum of this one. */
  carriedCount: number;
}

export interface SessionOptions {
  readonly clientId: string;
  readonly username: string | undefined;
  /** Seconds after the connection ends; 0 with it, EXPIRES_NEVER never. */
  readonly expiryS: number;
  readonly will: Will | undefined;
}

export class Session implements Subscriber, Identity {
  routeMark = 0;
  routeTarget: RouteTarget | undefined;
  readonly clientId: string;
  username: string | undefined;
  readonly outbound: Outbound;
  readonly subscriptions: SubscriptionSet;
  readonly inbound: InboundState = {
    ids: new PacketIdSet(),
    storing: undefined,
    releasing: undefined,
    pendingCount: 0,
    carriedCount: 0,
  };
  /** Set while the session is attached. */
  link: SessionLink | undefined;
  expiryS: number;
  /** Whether its client is the bridge of another broker, as far as is known since the start. */
  isBridge = false;
  /** What the gateway shows an embedder for this session: its Aedes client. Opaque here. */
  handle: unknown;
  readonly #env: SessionEnvironment;
  readonly #onEnd: (session: Session, position: LogPosition) => void;
  #will: Will | undefined;
  /** The will that the log has, where it is due and not out yet. */
  #dueWill: Will | undefined;
  #willTimer: TimerHandle | undefined;
  #expiryTimer: TimerHandle | undefined;
  /** When the connection ended, on the gateway's clock; undefined: it has not. */
  #parkedAt: number | undefined;
  #ended = false;
  /** It has ended, and that is stored when its will is out. */
  #endIsDue = false;
  #stored: boolean;

  /**
   * @param onEnd called when nothing of the session is left, with where its end is stored (0: nowhere). Where its will is to be stored
   * first the session is `stored` still, and it is called again after that.
   */
  constructor(
    options: SessionOptions,
    env: SessionEnvironment,
    onEnd: (session: Session, position: LogPosition) => void,
  ) {
    this.clientId = options.clientId;
    this.username = options.username;
    this.expiryS = options.expiryS;
    this.#stored = options.expiryS > 0;
    this.#will = options.will;
    this.#env = env;
    this.#onEnd = onEnd;
    this.outbound = new Outbound(this, env);
    this.subscriptions = new SubscriptionSet(this, env);
  }

  get online(): boolean {
    return this.link !== undefined;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Whether the session outlives its connection, so that its steps are stored. */
  get durable(): boolean {
    return this.expiryS > 0;
  }

  /** Whether the store knows the session: it outlives its connection, or did before the last one; not any more once its end is stored. */
  get stored(): boolean {
    return this.#stored;
  }

  /** Whether a QoS 2 message that came with this id is stored, or on its way to be, and not released. */
  hasInbound(packetId: number): boolean {
    return this.inbound.ids.has(packetId) || this.inbound.storing?.has(packetId) === true;
  }

  canReceive(topic: string): boolean {
    return this.#env.authorizer.canReceive(this, topic);
  }

  /**
   * That a new connection resumes the session is on its way to the log: until `resume` or `stayParked` the delayed will of the last
   * one does not come. It may not any more, and would seem to be the new one where it stood behind it in the log.
   */
  awaitResume(): void {
    // It puts its own will in the place of the one before: a hook may answer for that when the client is back.
    this.#dueWill = undefined;
    this.#willTimer?.cancel();
  }

  /** A new connection resumes the session. Its CONNACK has not left yet; nothing is sent before `start`. */
  resume(options: SessionOptions): void {
    this.#expiryTimer?.cancel();
    this.#expiryTimer = undefined;
    this.#stopWillTimer();
    this.#parkedAt = undefined;
    this.username = options.username;
    this.expiryS = options.expiryS;
    this.#stored ||= this.durable;
    this.#will = options.will;
  }

  /** A connection that was about to resume the session did not: what was stored of it is taken back, and its will is due again. */
  stayParked(): void {
    if (this.#ended) return;
    if (this.#stored) {
      const { clientId, expiryS } = this;
      this.#env.store.record({ kind: 'connected', clientId, expiryS, will: this.#will });
      this.#recordDisconnect();
    }
    if (this.#willTimer !== undefined && this.#will !== undefined) this.#startWillTimer(this.#will);
  }

  /** The connection that the session was made for left before CONNACK: it ends as if it had never been. */
  abandon(): void {
    this.#will = undefined;
    this.end();
  }

  /** The CONNACK has left: deliveries may follow. */
  start(link: SessionLink): void {
    this.link = link;
    this.isBridge = link.isBridge;
    // Receive Maximum begins anew with each connection [MQTT 5, 4.9].
    this.inbound.pendingCount = 0;
    this.inbound.carriedCount = this.inbound.ids.size;
    this.outbound.attach(link);
    this.outbound.pump();
  }

  /**
   * The connection is over. @param discardWill it ended with DISCONNECT 0x00 [MQTT-3.14.4-3].
   * @param expiryS from DISCONNECT, where it had one.
   */
  disconnect(discardWill: boolean, expiryS: number | undefined): void {
    if (this.#ended) return;
    this.link = undefined;
    this.outbound.detach();
    if (expiryS !== undefined) this.expiryS = expiryS;
    if (discardWill) this.#will = undefined;
    this.#parkedAt = this.#env.clock.now();
    // Without expiry it ends here, which is stored as its end.
    if (this.#stored && this.durable) this.#recordDisconnect();
    this.#scheduleWill();
    this.#scheduleExpiry();
  }

  #recordDisconnect(): void {
    this.#env.store.record({
      kind: 'disconnected',
      clientId: this.clientId,
      expiryS: this.expiryS,
      willPending: (this.#will ?? this.#dueWill) !== undefined,
      at: this.#parkedAt ?? this.#env.clock.now(),
    });
  }

  // What storage keeps of it, and gives back after a restart.

  get image(): SessionImage {
    return {
      clientId: this.clientId,
      username: this.username,
      expiryS: this.expiryS,
      parkedAt: this.#parkedAt,
      will: this.#will ?? this.#dueWill,
      subscriptions: this.subscriptions.stored(),
      inbound: this.inbound.ids.toArray(),
      ...this.outbound.image,
    };
  }

  /** Right after construction. */
  restore(image: SessionImage): void {
    this.#stored = true;
    this.#parkedAt = image.parkedAt;
    this.subscriptions.restore(image.subscriptions);
    for (const id of image.inbound) this.inbound.ids.add(id);
    this.outbound.restore(image);
  }

  /** Steps that this version does not know are none of a session. */
  replay(record: SessionRecord): void {
    switch (record.kind) {
      case 'connected':
        this.expiryS = record.expiryS;
        this.#will = record.will;
        this.#parkedAt = undefined;
        break;
      case 'disconnected':
        this.expiryS = record.expiryS;
        if (!record.willPending) this.#will = undefined;
        this.#parkedAt = record.at;
        break;
      case 'willPublished':
        this.#will = undefined;
        break;
      case 'subscribed':
        this.subscriptions.replay(record.subscriptions);
        break;
      case 'unsubscribed':
        for (const filter of record.filters) this.subscriptions.remove(filter);
        break;
      case 'released':
        this.inbound.ids.delete(record.packetId);
        break;
      case 'sent':
      case 'pubrec':
      case 'delivered':
      case 'givenUp':
      case 'dropped':
        this.outbound.replay(record);
        break;
      case 'created':
      case 'ended':
      case 'assigned':
        break;
    }
  }

  /** Its end comes out of the log. */
  forget(): void {
    this.#ended = true;
    this.#stored = false;
    this.subscriptions.clear();
    this.outbound.forget();
    this.#onEnd(this, 0);
  }

  /** The replay is over: time passes again. The connection that a gateway had when it stopped has ended with it. */
  restored(): void {
    if (this.#parkedAt === undefined) {
      this.#parkedAt = this.#env.clock.now();
      // Or its time would begin anew with the next restart.
      const isTimed = this.expiryS !== EXPIRES_NEVER || this.#will !== undefined;
      if (this.durable && isTimed) this.#recordDisconnect();
    }
    this.#scheduleWill();
    this.#scheduleExpiry();
  }

  /** Makes what `start` will need ready; calls back at once where nothing has to be read. */
  load(loaded: () => void): void {
    this.outbound.load(loaded);
  }

  /** Ends the session at once: clean start, expiry, an administrator. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.link = undefined;
    this.#expiryTimer?.cancel();
    this.#publishWill();
    if (this.subscriptions.count > 0)
      this.#env.hooks.onUnsubscribe?.(this, [...this.subscriptions.filters()]);
    this.subscriptions.clear();
    this.outbound.end();
    if (!this.#stored || this.#dueWill === undefined) {
      this.#onEnd(this, this.#recordEnd());
      return;
    }
    // After a crash it ends as soon as it is there.
    this.expiryS = 0;
    this.#endIsDue = true;
    this.#recordDisconnect();
    this.#onEnd(this, 0);
  }

  /** Of a session that has ended: its will is out, or a new session of the client may not wait for it. */
  finish(): void {
    this.#dueWill = undefined;
    if (this.#stored) this.#onEnd(this, this.#recordEnd());
  }

  #recordEnd(): LogPosition {
    if (!this.#stored) return 0;
    this.#stored = false;
    return this.#env.store.record({ kind: 'ended', clientId: this.clientId });
  }

  #scheduleWill(): void {
    if (this.#will === undefined) return;
    const delayS = this.#delayOf(this.#will);
    if (delayS === 0 || this.#env.gauges.pendingWills >= this.#env.limits.pendingWillsMax) {
      this.#publishWill();
      return;
    }
    this.#env.gauges.pendingWills++;
    this.#startWillTimer(this.#will);
  }

  #startWillTimer(will: Will): void {
    const since = this.#parkedAt ?? this.#env.clock.now();
    this.#willTimer = this.#env.timers.at(since + this.#delayOf(will) * 1000, () => this.#publishWill());
  }

  #delayOf(will: Will): number {
    return Math.min(will.properties.willDelayInterval ?? 0, this.expiryS);
  }

  #scheduleExpiry(): void {
    if (this.expiryS === 0) {
      this.end();
      return;
    }
    if (this.expiryS === EXPIRES_NEVER) return;
    const since = this.#parkedAt ?? this.#env.clock.now();
    this.#expiryTimer = this.#env.timers.at(since + this.expiryS * 1000, () => {
      count(this.#env.counters, C.sessionsExpired);
      this.#env.hooks.onSessionExpired?.(this);
      this.end();
    });
  }

  #stopWillTimer(): void {
    if (this.#willTimer === undefined) return;
    this.#willTimer.cancel();
    this.#willTimer = undefined;
    this.#env.gauges.pendingWills--;
  }

  #publishWill(): void {
    this.#stopWillTimer();
    const will = this.#will;
    if (will === undefined) return;
    this.#will = undefined;
    if (this.#stored) this.#dueWill = will;
    // Rules may have changed since CONNECT.
    if (!this.#env.authorizer.canPublish(this, will.topic)) {
      this.#dropWill(will);
      return;
    }
    const message = this.#willMessage(will);
    const { authorizePublish } = this.#env.hooks;
    if (authorizePublish === undefined) {
      this.#sendWill(will, message);
      return;
    }
    authorizePublish(this, message, (refused, allowed) => {
      if (refused === undefined) this.#sendWill(will, allowed);
      else this.#dropWill(will);
    });
  }

  #dropWill(will: Will): void {
    count(this.#env.counters, C.droppedWill);
    this.#recordWillGone(will);
    this.#willIsOut(will);
  }

  /** After a restart it would be published again. @returns where that is stored; 0: nowhere */
  #recordWillGone(will: Will): LogPosition {
    if (this.#dueWill !== will) return 0;
    return this.#env.store.record({ kind: 'willPublished', clientId: this.clientId });
  }

  #willIsOut(will: Will): void {
    if (this.#dueWill !== will) return;
    this.#dueWill = undefined;
    if (this.#endIsDue) this.finish();
  }

  #sendWill(will: Will, message: Message): void {
    const { wills, commits, counters, ingest } = this.#env;
    const { clientId } = this;
    const { qos } = message;
    wills.submit(clientId, () => {
      count(counters, C.willsPublished);
      if (qos === 0) {
        // Behind what its client published and what still waits for the log: `online` may not come after `offline`. And once it
        // is stored that it is gone: it comes once or not at all.
        commits.after(this.#recordWillGone(will), {
          committed: () => ingest.publishOwn(message, this),
        });
      } else {
        const origin = this.#dueWill === will ? { clientId, packetId: 0, qos } : undefined;
        if (!ingest.publishOwn(message, this, origin)) this.#recordWillGone(will);
      }
      this.#willIsOut(will);
    });
  }

  #willMessage(will: Will): Message {
    const expiry = will.properties.messageExpiryInterval;
    return createMessage({
      topic: will.topic,
      topicBytes: this.#env.router.resolve(will.topic).bytes,
      payload: will.payload,
      properties: encodeForwardedProperties(will.properties),
      qos: will.qos,
      retain: will.retain,
      expiresAt: expiry === undefined ? NEVER : this.#env.clock.now() + expiry * 1000,
      publisher: this.clientId,
    });
  }
}
