import { Check, type Arrival, type Delivery } from '../model/check.js';
import { sessionName } from '../model/obligations.js';
import type { Connection } from '../model/connection.js';
import type { OpenId } from '../model/session.js';

/**
 * C3: a session receives a message once for its own subscriptions and once for each shared one, where neither publisher nor subscriber
 * has QoS 1. The first PUBREC of a packet id receives it; the same again with DUP before PUBREL is legal. At QoS 1 a reason is needed:
 * the publisher sent it again, the session was resumed, or something was broken.
 */
export class Duplicates extends Check {
  /** At QoS 1, of messages that were published once. */
  readonly #byConnection = new Map<Connection, number>();

  override received(delivery: Delivery): void {
    const { session, publisher, seq, form, copies, atMs } = delivery;
    if (form !== 'live' || copies < 2 || publisher.will(seq)) return;
    const mid = publisher.mid(seq);
    const allowed = copiesAllowed(delivery) * (this.model.options.mayComeTwice?.(mid) === true ? 2 : 1);
    if (copies <= allowed) return;
    if (isExplained(delivery, this.model.faults.all.length > 0)) {
      this.#count(delivery);
      return;
    }
    this.report.violation({
      check: 'C3',
      rule: `QoS ${delivery.event.q} duplicate`,
      text: `${sessionName(session)} got message ${seq} of publisher ${publisher.number} (QoS ${publisher.qos(seq)}) again at QoS ${delivery.event.q}, ${atMs.toFixed(1)} ms`,
      atMs,
      cids: [session.cid],
      mids: [mid],
      count: 1,
    });
  }

  override cameAgain({ event, session, connection, atMs }: Arrival, open: OpenId): void {
    const { m, pid } = event;
    if (m === null || open.mid === null || m.pub !== open.mid.pub || m.seq !== open.mid.seq) return;
    // MQTT 5 sends nothing again on a connection that stays [MQTT-4.4.0-1].
    const stayed = connection.version === 5 && open.atMs >= connection.acceptedAtMs;
    if (event.dup && !stayed) return;
    this.report.violation({
      check: 'C3',
      rule: stayed ? 'sent again' : 'without DUP',
      text: `${sessionName(session)} got packet id ${pid} again ${stayed ? 'on the same connection' : 'without DUP'} at ${atMs.toFixed(1)} ms`,
      atMs,
      cids: [session.cid],
      mids: [m],
      count: 1,
    });
  }

  #count({ connection, publisher, seq, session, atMs }: Delivery): void {
    const { deliveries, duplicatesPerReconnectMax: most } = this.report.figures;
    deliveries.duplicates++;
    if (publisher.resent(seq)) return;
    const count = (this.#byConnection.get(connection) ?? 0) + 1;
    this.#byConnection.set(connection, count);
    if (count > most.count) {
      most.count = count;
      most.cid = session.cid;
    }
    if (count !== this.model.options.inflightMax + 1) return;
    this.report.violation({
      check: 'C3',
      rule: 'more than a window',
      text: `${sessionName(session)} got more than ${this.model.options.inflightMax} duplicates on one connection`,
      atMs,
      cids: [session.cid],
      mids: [publisher.mid(seq)],
      count,
    });
  }
}

/**
 * Copies of one message that are not duplicates: one for what the session subscribed to itself, one for each group. With Retain As
 * Published nobody can tell how many came because they were retained.
 */
export function copiesAllowed({ session, topic, publisher, seq }: Delivery): number {
  const spans = session.spansFor(topic);
  if (publisher.retain(seq) && spans.some(({ retainAsPublished }) => retainAsPublished)) return Infinity;
  if (spans.length <= 1) return 1;
  return new Set(spans.map(({ group, filter }) => (group === undefined ? '' : filter))).size;
}

/** @param anythingBroken there was a fault. */
export function isExplained(delivery: Delivery, anythingBroken: boolean): boolean {
  const { event, publisher, seq, session, connection } = delivery;
  if (publisher.resent(seq) && (publisher.qos(seq) === 1 || publisher.resentAnew(seq))) return true;
  if (event.q !== 1) return false;
  // 3.1.1 lets a broker send again on a connection that stays.
  return session.connections.length > 1 || anythingBroken || (connection.version === 4 && event.dup);
}
