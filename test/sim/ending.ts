/** Invariants of a run that has come to rest. */
import { EXPIRES_NEVER } from '../../lib/session/session.js';
import type { SessionHistory } from './history.js';
import { parseMessageId } from './payload.js';
import type { SimWorld } from './world.js';

/** Drops that are counted excuse as many missing deliveries. */
function countedDrops(world: SimWorld): number {
  return (
    world.counter('droppedQueueFull') +
    world.counter('droppedMemory') +
    world.counter('droppedExpired') +
    world.counter('droppedTooLarge') +
    world.counter('droppedRetriesExhausted')
  );
}

/** Sessions that are there at the end, by key. */
function survivingSessions(world: SimWorld): SessionHistory[] {
  const keys = new Set<number>();
  for (const client of world.clients) {
    const served = client.connection?.served;
    if (served !== undefined && served.live) keys.add(served.sessionKey);
  }
  return [...world.history.sessions.values()].filter(({ key }) => keys.has(key));
}

/** Every acknowledged QoS 1 or 2 message has reached every session that was subscribed to it all the while. */
export function acknowledgedMessagesArrive(world: SimWorld): void {
  const missing: string[] = [];
  for (const session of survivingSessions(world)) {
    for (const publication of world.history.publications.values()) {
      if (publication.outcome !== 'acknowledged' || publication.qos === 0 || publication.expires) continue;
      if (session.receipts.has(publication.mid)) continue;
      const owed = session.spansOwed(publication).some((span) => span.qos > 0);
      if (owed) missing.push(`${publication.mid} (QoS ${publication.qos}) to ${session.clientId}`);
    }
  }
  if (missing.length > countedDrops(world))
    world.fail(
      'acknowledged messages arrive',
      `${missing.length} missing, ${countedDrops(world)} drops counted: ${missing.slice(0, 5).join(', ')}`,
    );
}

/** A QoS 2 message is handed to a session's application once, where its publisher's session was not lost in between. */
export function qos2ArrivesOnce(world: SimWorld): void {
  for (const session of world.history.sessions.values()) {
    if (session.shared) continue;
    for (const receipt of session.receipts.values()) {
      const publication = world.history.publications.get(receipt.mid);
      if (publication?.qos !== 2 || receipt.qos !== 2 || publication.sessionKeys.size > 1) continue;
      if (receipt.count > 1)
        world.fail('QoS 2 arrives once', `${receipt.mid} ${receipt.count} times at ${session.clientId}`);
    }
  }
}

/** Per publisher, topic and QoS a session first sees messages in the order in which they were published. */
export function orderIsKept(world: SimWorld): void {
  for (const session of world.history.sessions.values()) {
    if (session.shared) continue;
    const last = new Map<string, number>();
    for (const { mid, qos, at } of session.order) {
      const publication = world.history.publications.get(mid);
      if (publication === undefined) continue;
      const { publisher, sequence } = parseMessageId(mid);
      const stream = `${publisher} ${publication.topic} ${publication.qos} ${qos}`;
      const before = last.get(stream) ?? -1;
      // A message from before the subscription may come late, when its publisher sends it again.
      // or missed, as QoS 0, while the session was away, or whose first copy was refused or dropped.
      const mayMissFirst = qos === 0 || countedDrops(world) > 0 || world.store.refusals > 0;
      const again = publication.sends > 1 && mayMissFirst;
      if (sequence < before && !again && session.wasSubscribed(publication, qos, at))
        world.fail('order is kept', `${stream} at ${session.clientId}: ${sequence} after ${before}`);
      last.set(stream, sequence);
    }
  }
}

export function willsAreTrue(world: SimWorld): void {
  const { missing, wrong } = world.wills.faults(world.scheduler.now());
  const [first] = wrong;
  if (first !== undefined) world.fail('wills are published when the specification says', first);
  // The gateway's own messages are refused too when storage is full, and counted.
  if (missing.length > world.counter('refusedStorage') + world.counter('droppedWill'))
    world.fail('wills that are due are published', missing.slice(0, 3).join(', '));
}

/** Each client has one connection, and the registry, the router, the timers and the budget say the same. */
export function gatewayIsConsistent(world: SimWorld): void {
  const { lanes } = world;
  const now = world.scheduler.now();
  const { certain, possible } = world.sessions.expected(now);
  const present = new Set<string>();
  let timers = lanes.env.gauges.pendingWills;
  let subscriptions = 0;
  let waitingBytes = 0;
  for (const session of lanes.registry.sessions()) {
    present.add(session.clientId);
    subscriptions += session.subscriptions.count;
    waitingBytes += session.outbound.queuedBytes;
    if (!session.online && session.expiryS !== EXPIRES_NEVER) timers++;
    if (!possible.has(session.clientId)) world.fail('a session ends with its expiry', session.clientId);
  }
  for (const clientId of certain)
    if (!present.has(clientId)) world.fail('a session lives until its expiry', clientId);
  same(world, 'sessions of the registry', lanes.registry.count, present.size);
  same(world, 'subscriptions of the router', lanes.router.subscriptionCount, subscriptions);
  // Connections that open or close have a deadline each.
  timers += lanes.connections.size - world.live.size;
  same(world, 'timers', lanes.timers.size, timers);
  let pendingBytes = 0;
  for (const connection of lanes.connections) pendingBytes += connection.outbox.pending;
  // What is gathered and was not handed to the transport does not count yet.
  const { used } = lanes.budget;
  if (used < waitingBytes || used > waitingBytes + pendingBytes)
    world.fail('bytes of the budget', `${used}, should be ${waitingBytes} to ${waitingBytes + pendingBytes}`);
}

/** What is left when every session was ended. */
export function nothingIsLeft(world: SimWorld): void {
  const { lanes } = world;
  same(world, 'connections left', lanes.connections.size, 0);
  same(world, 'connections by the counters', world.counter('connectionsAccepted') - world.disconnects, 0);
  same(world, 'sessions left', lanes.registry.count, 0);
  same(world, 'subscriptions left', lanes.router.subscriptionCount, 0);
  same(world, 'timers left', lanes.timers.size, 0);
  same(world, 'pending wills left', lanes.env.gauges.pendingWills, 0);
  same(world, 'bytes left in the budget', lanes.budget.used, 0);
  same(world, 'waiters for storage left', lanes.env.commits.length, 0);
  same(world, 'sessions left in the log', world.store.durable.sessions.size, 0);
}

function same(world: SimWorld, what: string, actual: number, expected: number): void {
  if (actual !== expected) world.fail(what, `${actual}, should be ${expected}`);
}
