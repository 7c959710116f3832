import {
  EXPIRES_NEVER,
  type ConnectEvent,
  type DisconnectEvent,
  type NodeId,
  type WillEvent,
} from '../event.js';
import type { Session } from './session.js';
import type { Span, SubscriptionOptions } from './span.js';

/** A SUBSCRIBE, or without options an UNSUBSCRIBE, that waits for its answer. */
interface Asked {
  readonly span: Span;
  readonly options: SubscriptionOptions | undefined;
  /** What was in force before. */
  readonly previous: SubscriptionOptions | undefined;
}

/** From CONNECT to the end of one connection. Times are milliseconds since the first event. */
export class Connection {
  readonly cid: string;
  readonly node: NodeId;
  readonly version: 4 | 5;
  readonly clean: boolean;
  readonly keepAliveMs: number;
  readonly will: WillEvent | undefined;
  /** Infinity where CONNACK has not come, or refused it. */
  acceptedAtMs = Infinity;
  refused = false;
  endedAtMs = Infinity;
  end: DisconnectEvent | undefined;
  /** When the process that it was made to ended. */
  brokerEndedAtMs = Infinity;
  /** Set while it has one. */
  session: Session | undefined;
  /** By packet id and filter. */
  readonly asked = new Map<string, Asked>();
  #evidenceAtMs: number;
  #expiryS: number;

  constructor(
    readonly actor: string,
    event: ConnectEvent,
    readonly invokedAtMs: number,
  ) {
    this.cid = event.cid;
    this.node = event.node;
    this.version = event.v;
    this.clean = event.clean;
    this.keepAliveMs = (event.keepAlive ?? 0) * 1000;
    this.will = event.will;
    this.#evidenceAtMs = invokedAtMs;
    this.#expiryS = event.expiry;
  }

  get accepted(): boolean {
    return this.acceptedAtMs !== Infinity;
  }

  get open(): boolean {
    return this.endedAtMs === Infinity;
  }

  /** When the broker has shown last that it held the connection. */
  get evidenceAtMs(): number {
    return this.#evidenceAtMs;
  }

  /** Something has come. */
  set evidenceAtMs(atMs: number) {
    this.#evidenceAtMs = Math.min(atMs, this.brokerEndedAtMs);
  }

  set expiryS(seconds: number) {
    this.#expiryS = seconds;
  }

  /** Session Expiry Interval in force. */
  get expiryMs(): number {
    return this.#expiryS === EXPIRES_NEVER ? Infinity : this.#expiryS * 1000;
  }

  /** It was there, accepted and not ended, all the time between the two. */
  spans(fromMs: number, untilMs: number): boolean {
    return this.acceptedAtMs <= fromMs && untilMs <= this.endedAtMs;
  }
}
