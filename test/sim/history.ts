/**
 * What clients did and saw: who published what and how it ended, which session was subscribed to what and when, and what it
 * received. The invariants at the end of a run are questions to it.
 */
import { topicMatchesFilter, type QoS } from '../../lib/protocol/index.js';

/** How a QoS 1 or 2 publish ended: acknowledged, refused in the open, or nobody knows. */
export type Outcome = 'unknown' | 'acknowledged' | 'refused';

export interface Publication {
  readonly mid: string;
  readonly publisher: string;
  /** Position in what the publisher sent. */
  readonly sequence: number;
  readonly topic: string;
  readonly qos: QoS;
  readonly retain: boolean;
  /** May be dropped on the way when it is late. */
  readonly expires: boolean;
  /** When its first byte was sent; Infinity while it has not been. */
  sentAt: number;
  /** How often it was sent, resends included. */
  sends: number;
  outcome: Outcome;
  acknowledgedAt: number;
  /** Sessions through which it was sent: more than one where the first was lost, and then exactly once is not owed. */
  readonly sessionKeys: Set<number>;
}

export interface SubscriptionSpan {
  readonly filter: string;
  readonly qos: QoS;
  readonly noLocal: boolean;
  /** When SUBACK was received. */
  readonly from: number;
  /** When the client asked for its end, or for other options; Infinity while it has not. */
  until: number;
}

export interface Receipt {
  readonly mid: string;
  /** Of the packet. */
  readonly qos: QoS;
  /** How often a client's application got it: for QoS 2 the first packet of each id only. */
  count: number;
  readonly at: number;
}

export class SessionHistory {
  readonly spans: SubscriptionSpan[] = [];
  readonly receipts = new Map<string, Receipt>();
  /** Live messages in the order of their first receipt. */
  readonly order: Receipt[] = [];

  constructor(
    readonly key: number,
    readonly clientId: string,
    /** Has shared subscriptions: it gets a part of the messages, and one message once for each of its groups. */
    readonly shared: boolean,
  ) {}

  /** Whether one subscription of this QoS that it matches was there from before it was first sent until `at`. */
  wasSubscribed(publication: Publication, qos: QoS, at: number): boolean {
    return this.spans.some(
      (span) =>
        span.qos >= qos &&
        span.from < publication.sentAt &&
        span.until > at &&
        this.#asksFor(span, publication),
    );
  }

  /** The spans during which the whole life of the publication fell and which it matches. */
  spansOwed(publication: Publication): SubscriptionSpan[] {
    return this.spans.filter(
      (span) =>
        publication.sentAt > span.from &&
        publication.acknowledgedAt < span.until &&
        this.#asksFor(span, publication),
    );
  }

  #asksFor({ noLocal, filter }: SubscriptionSpan, { publisher, topic }: Publication): boolean {
    return !(noLocal && publisher === this.clientId) && topicMatchesFilter(topic, filter);
  }
}

export class History {
  readonly publications = new Map<string, Publication>();
  readonly sessions = new Map<number, SessionHistory>();
  /** Retained messages that came because of a subscription, by session: they may be old. */
  retainedReceipts = 0;

  session(key: number, clientId: string, shared: boolean): SessionHistory {
    let session = this.sessions.get(key);
    if (session === undefined) {
      session = new SessionHistory(key, clientId, shared);
      this.sessions.set(key, session);
    }
    return session;
  }
}
