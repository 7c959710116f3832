/**
 * What must be committed before a packet may leave: the table "what must be synced before a packet leaves" of the design, checked
 * at the moment in which the bytes are handed to the transport.
 */
import type { AckPacket, Packet, PublishPacket } from '../../lib/protocol/index.js';
import type { CounterName } from '../../lib/telemetry/counters.js';
import { messageIdOf } from './payload.js';
import type { Served } from './served.js';
import type { SimStore } from './store.js';

export type Fail = (invariant: string, text: string) => void;

export interface LeavingContext {
  readonly store: SimStore;
  readonly fail: Fail;
  counter(name: CounterName): number;
  /** The message that the client has received under this id and not seen released. */
  incomingMid(served: Served, packetId: number): string | undefined;
}

/** CONNACK promises the session: a durable one is stored, and what a clean start replaces is no longer. */
export function connackLeavesAfterSession(served: Served, context: LeavingContext): void {
  const { connection, clientId } = served;
  const { store, fail } = context;
  const stored = store.durable.sessions.get(clientId);
  if (served.durable && stored === undefined) {
    fail('CONNACK leaves after the session is committed', `${clientId} #${served.number}`);
  }
  if (!served.durable && connection.admission.cleanStart && stored !== undefined) {
    fail('CONNACK of a clean start leaves after the old session has ended in the log', clientId);
  }
}

export function packetLeavesAfterCommit(served: Served, packet: Packet, context: LeavingContext): void {
  switch (packet.type) {
    case 'puback':
    case 'pubrec':
      publishAcknowledgedAfterCommit(served, packet, context);
      break;
    case 'pubcomp':
      pubcompLeavesAfterRelease(served, packet, context);
      break;
    case 'pubrel':
      pubrelLeavesAfterPubrec(served, packet, context);
      break;
    case 'publish':
      qos2LeavesAfterItsId(served, packet, context);
      break;
    case 'suback':
    case 'unsuback':
      subscriptionAnsweredAfterCommit(served, packet.type, packet.packetId, packet.reasonCodes, context);
      break;
    default:
      break;
  }
}

function publishAcknowledgedAfterCommit(
  { peer, clientId }: Served,
  packet: AckPacket,
  { store, fail }: LeavingContext,
): void {
  if (packet.reasonCode >= 0x80) return;
  const mid = peer.sentMids.get(packet.packetId);
  if (mid === undefined || !store.durable.messages.has(mid)) {
    fail(
      'PUBACK and PUBREC leave after the message is committed',
      `${clientId} ${packet.type} ${packet.packetId} ${mid}`,
    );
  }
}

function pubcompLeavesAfterRelease(
  { durable, clientId }: Served,
  { packetId }: AckPacket,
  { store, fail }: LeavingContext,
): void {
  if (durable && store.durable.sessions.get(clientId)?.ids.has(packetId) === true)
    fail('PUBCOMP leaves after the release of the id is committed', `${clientId} ${packetId}`);
}

function pubrelLeavesAfterPubrec(served: Served, packet: AckPacket, context: LeavingContext): void {
  const { durable, clientId } = served;
  const { packetId } = packet;
  const mid = context.incomingMid(served, packetId);
  if (!durable || mid === undefined || packet.reasonCode !== 0) return;
  // The answer to a PUBREC for an id that was given up; 3.1.1 has no reason code to say so.
  if (context.counter('droppedRetriesExhausted') > 0) return;
  if (!context.store.durable.pubrecEver.has(`${clientId} ${packetId} ${mid}`))
    context.fail('PUBREL leaves after PUBREC is committed', `${clientId} ${packetId} ${mid}`);
}

function qos2LeavesAfterItsId(served: Served, packet: PublishPacket, context: LeavingContext): void {
  const { durable, clientId } = served;
  if (!durable || packet.qos !== 2) return;
  const key = `${clientId} ${packet.packetId} ${messageIdOf(packet.payload)}`;
  if (!context.store.durable.sentEver.has(key))
    context.fail('a QoS 2 PUBLISH leaves after its packet id is committed', key);
}

function subscriptionAnsweredAfterCommit(
  { durable, peer, clientId }: Served,
  type: 'suback' | 'unsuback',
  packetId: number,
  codes: readonly number[],
  { store, fail }: LeavingContext,
): void {
  const asked = peer.asked.get(packetId);
  if (!durable || asked === undefined) return;
  const kind = type === 'suback' ? 'subscribed' : 'unsubscribed';
  asked.filters.forEach((filter, index) => {
    if (type === 'suback' && (codes[index] ?? 0) >= 0x80) return;
    for (let position = asked.logPosition; position < store.committed; position++) {
      const entry = store.log[position];
      if (entry?.kind !== 'record' || entry.record.clientId !== clientId || entry.record.kind !== kind)
        continue;
      const filters =
        entry.record.kind === 'subscribed'
          ? entry.record.subscriptions.map((subscription) => subscription.filter)
          : entry.record.kind === 'unsubscribed'
            ? entry.record.filters
            : [];
      if (filters.includes(filter)) return;
    }
    fail('SUBACK and UNSUBACK leave after the change is committed', `${clientId} ${kind} ${filter}`);
  });
}
