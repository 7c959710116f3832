import type { ReceiveEvent } from '../event.js';
import type { Report } from '../verdict.js';
import type { Expectation } from './client-record.js';
import type { Connection } from './connection.js';
import type { Fault } from './faults.js';
import type { HistoryModel } from './history-model.js';
import type { Publisher } from './publisher.js';
import type { OpenId, Session } from './session.js';
import type { Span } from './span.js';
import type { Topic } from './topic.js';

/** A PUBLISH that has come to a client of the run. */
export interface Arrival {
  readonly event: ReceiveEvent;
  readonly atMs: number;
  readonly connection: Connection;
  readonly session: Session;
  readonly topic: Topic;
}

/**
 * Why a message came. `live`: it was published while a subscription was there. `stored`: it was retained, and a subscription was
 * made. `either`: nobody can tell, because of Retain As Published.
 */
export type DeliveryForm = 'live' | 'stored' | 'either';

/** An arrival of a message that somebody published on this topic, and no redelivery of an open packet id. */
export interface Delivery extends Arrival {
  readonly publisher: Publisher;
  readonly seq: number;
  readonly form: DeliveryForm;
  /** How often the session has received it now, up to COPIES_MAX; those that are `stored` do not count. */
  readonly copies: number;
}

/** One rule, or a few that belong together. Each is told what happens in the order of time, and at the end judges what is left. */
export abstract class Check {
  constructor(
    protected readonly model: HistoryModel,
    protected readonly report: Report,
  ) {}

  /** A message was sent for the first time. */
  published(_publisher: Publisher, _seq: number, _atMs: number): void {}
  publishedAgain(_publisher: Publisher, _seq: number, _atMs: number): void {}
  /** It was acknowledged or refused for the first time. */
  settled(_publisher: Publisher, _seq: number, _atMs: number): void {}
  /** Every PUBLISH on a judged topic. */
  arrived(_arrival: Arrival): void {}
  /** Every arrival that is a delivery; not after the end of the drain. */
  received(_delivery: Delivery): void {}
  /** A QoS 2 packet id came again before its PUBREL, with the same message or another. */
  cameAgain(_arrival: Arrival, _open: OpenId): void {}
  connecting(_connection: Connection): void {}
  /** @param previous session of the client id. `expected` is what was known before CONNACK. */
  accepted(
    _connection: Connection,
    _present: boolean,
    _previous: Session | undefined,
    _expected: Expectation,
  ): void {}
  ended(_connection: Connection): void {}
  /** SUBSCRIBE for one filter, with Retain Handling. */
  subscribing(
    _connection: Connection,
    _span: Span,
    _retainHandling: number,
    _pid: number,
    _atMs: number,
  ): void {}
  /** Its SUBACK; not where it was refused. */
  subscribed(_connection: Connection, _filter: string, _pid: number, _atMs: number): void {}
  faultBegan(_fault: Fault): void {}
  /** The history is over. */
  finish(): void {}
}
