/**
 * What a gateway would know after a crash: the committed part of the log, applied record by record. Invariants compare what leaves
 * the gateway with it.
 */
import type { MessageOrigin, SessionRecord, StoredSubscription } from '../../lib/contracts/store.js';

export type LogEntry =
  | { readonly kind: 'message'; readonly mid: string; readonly origin: MessageOrigin | undefined }
  | { readonly kind: 'record'; readonly record: SessionRecord; readonly mid: string };

export interface DurableSession {
  expiryS: number;
  /** Incoming QoS 2 ids that were not released. */
  readonly ids: Set<number>;
  readonly subscriptions: Map<string, StoredSubscription>;
  /** Outgoing QoS 2: what each packet id stands for. */
  readonly sent: Map<number, { readonly mid: string; pubrec: boolean }>;
}

export class DurableState {
  readonly sessions = new Map<string, DurableSession>();
  /** Every message that is in the committed log. */
  readonly messages = new Set<string>();
  /** `clientId packetId mid` of every outgoing QoS 2 message whose id was ever stored, and of those answered with PUBREC. */
  readonly sentEver = new Set<string>();
  readonly pubrecEver = new Set<string>();

  apply(entry: LogEntry): void {
    if (entry.kind === 'message') {
      this.messages.add(entry.mid);
      if (entry.origin?.qos === 2 && entry.origin.packetId > 0)
        this.sessions.get(entry.origin.clientId)?.ids.add(entry.origin.packetId);
      return;
    }
    this.#applyRecord(entry.record, entry.mid);
  }

  #applyRecord(record: SessionRecord, mid: string): void {
    const { clientId } = record;
    if (record.kind === 'created') {
      this.sessions.set(clientId, {
        expiryS: record.expiryS,
        ids: new Set(),
        subscriptions: new Map(),
        sent: new Map(),
      });
      return;
    }
    const session = this.sessions.get(clientId);
    if (session === undefined) return;
    switch (record.kind) {
      case 'connected':
        session.expiryS = record.expiryS;
        break;
      case 'disconnected':
        session.expiryS = record.expiryS;
        if (record.expiryS === 0) this.sessions.delete(clientId);
        break;
      case 'ended':
        this.sessions.delete(clientId);
        break;
      case 'subscribed':
        for (const subscription of record.subscriptions)
          session.subscriptions.set(subscription.filter, subscription);
        break;
      case 'unsubscribed':
        for (const filter of record.filters) session.subscriptions.delete(filter);
        break;
      case 'released':
        session.ids.delete(record.packetId);
        break;
      case 'sent':
        session.sent.set(record.packetId, { mid, pubrec: false });
        this.sentEver.add(`${clientId} ${record.packetId} ${mid}`);
        break;
      case 'pubrec': {
        const sent = session.sent.get(record.packetId);
        if (sent === undefined) break;
        sent.pubrec = true;
        this.pubrecEver.add(`${clientId} ${record.packetId} ${sent.mid}`);
        break;
      }
      case 'delivered':
        session.sent.delete(record.packetId);
        break;
    }
  }
}
