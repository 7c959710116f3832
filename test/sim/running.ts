/** Invariants that hold after every step. */
import type { SimWorld } from './world.js';

export function checkEveryStep(world: SimWorld): void {
  countersAreTrue(world);
  oneConnectionPerClient(world);
  budgetIsNotNegative(world);
}

/** Accepted minus disconnected is what is connected. */
export function countersAreTrue(world: SimWorld): void {
  const connected = world.counter('connectionsAccepted') - world.disconnects;
  if (connected !== world.live.size)
    world.fail(
      'accepted minus disconnected is connected',
      `${connected} by the counters, ${world.live.size} at the door`,
    );
}

/** At no time do two connections have one session or one client id. */
export function oneConnectionPerClient(world: SimWorld): void {
  const owners = new Set<string>();
  for (const served of world.servedConnections()) {
    if (served.phase !== 'accepting' && served.phase !== 'ready') continue;
    if (owners.has(served.clientId))
      world.fail('at most one connection per client id', `${served.clientId} has two`);
    owners.add(served.clientId);
    const { session } = served.connection;
    if (session !== undefined && world.lanes.registry.get(served.clientId) !== session)
      world.fail('the session of a connection is in the registry', served.clientId);
  }
}

export function budgetIsNotNegative(world: SimWorld): void {
  const { used } = world.lanes.budget;
  if (used < 0) world.fail('the memory budget is never negative', `${used} bytes`);
}
