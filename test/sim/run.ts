/**
 * One run: faults and work, then healing until everything that was acknowledged has arrived, then the end of every session. The
 * first invariant that does not hold ends it.
 */
import { SimClient } from './client.js';
import {
  acknowledgedMessagesArrive,
  gatewayIsConsistent,
  nothingIsLeft,
  orderIsKept,
  qos2ArrivesOnce,
  willsAreTrue,
} from './ending.js';
import { failureOf } from './failure-of.js';
import { createPlan } from './plan.js';
import { Random } from './random.js';
import { checkEveryStep } from './running.js';
import type { Sometimes } from './sometimes.js';
import { Workload } from './workload.js';
import { SimWorld } from './world.js';

export interface RunResult {
  readonly seed: number;
  readonly digest: number;
  readonly steps: number;
  readonly sometimes: Sometimes;
  /** What went wrong; undefined where nothing did. */
  readonly failure: Error | undefined;
}

/** How long a healed gateway may take to deliver everything: beyond retries, keep alives and takeovers. */
const HEAL_ROUNDS = 600;
const HEAL_ROUND_MS = 1000;

/** Never rejects: what is thrown anywhere inside is the failure of the run. */
export async function runSeed(seed: number, trace?: (line: string) => void): Promise<RunResult> {
  const world = new SimWorld(seed, createPlan(new Random(seed, 'plan')));
  world.trace = trace;
  for (const profile of world.plan.clients) world.clients.push(new SimClient(world, profile));
  return runWorld(world, async () => {
    new Workload(world).start();
    await world.scheduler.advance(world.plan.activeMs);
    await heal(world);
    acknowledgedMessagesArrive(world);
    qos2ArrivesOnce(world);
    orderIsKept(world);
    willsAreTrue(world);
    gatewayIsConsistent(world);
    throwViolation(world);
    await endSessions(world);
    willsAreTrue(world);
    nothingIsLeft(world);
    collectCounters(world);
  });
}

/** Runs a scenario with the invariants of every step. */
export async function runWorld(world: SimWorld, scenario: () => Promise<void>): Promise<RunResult> {
  world.scheduler.onStep = () => {
    checkEveryStep(world);
    throwViolation(world);
  };
  const failure = await failureOf(async () => {
    await scenario();
    throwViolation(world);
  });
  const { scheduler, seed, sometimes } = world;
  return { seed, digest: scheduler.digest, steps: scheduler.steps, sometimes, failure };
}

export function throwViolation(world: SimWorld): void {
  if (world.violation !== undefined) throw world.violation;
}

/** Faults end; every client has its own connection again, and everybody waits until nothing moves any more. */
async function heal(world: SimWorld): Promise<void> {
  world.healing = true;
  world.store.full = false;
  world.store.healed = true;
  await world.scheduler.advance(100);
  for (const client of world.clients) {
    for (const connection of client.abandoned) connection.link.startReading();
    client.connection?.link.startReading();
  }
  for (let round = 0; round < HEAL_ROUNDS; round++) {
    for (const client of world.clients) {
      if (client.connection === undefined || client.connection.rude)
        client.connect({ cleanStart: !client.isDurable });
    }
    await world.scheduler.advance(HEAL_ROUND_MS);
    if (round >= 5 && world.clients.every((client) => atRest(world, client))) return;
  }
  const restless = world.clients.filter((client) => !atRest(world, client));
  world.fail('a healed gateway comes to rest', restless.map(({ profile }) => profile.id).join(', '));
}

function atRest(world: SimWorld, client: SimClient): boolean {
  const session = world.lanes.registry.get(client.profile.id);
  return (
    client.connected &&
    client.idle &&
    (client.incoming.size === 0 || world.counter('droppedRetriesExhausted') > 0) &&
    session?.online === true &&
    session.outbound.queuedCount === 0 &&
    session.outbound.inFlightCount === 0 &&
    world.store.committed === world.store.log.length
  );
}

/** Every client replaces its session by one that ends with its connection, and leaves. */
async function endSessions(world: SimWorld): Promise<void> {
  for (let round = 0; round < HEAL_ROUNDS && world.lanes.registry.count > 0; round++) {
    for (const client of world.clients) {
      if (client.connection === undefined) {
        if (world.lanes.registry.get(client.profile.id) !== undefined)
          client.connect({ cleanStart: true, expiryS: 0 });
      } else if (client.connected) {
        client.disconnect(0);
      }
    }
    await world.scheduler.advance(HEAL_ROUND_MS);
  }
  // Longer than any delay of a will, a closing connection or a commit.
  await world.scheduler.advance(10_000);
}

function collectCounters(world: SimWorld): void {
  const { sometimes } = world;
  sometimes.saw('keep alive timed out', world.counter('disconnectedKeepAlive'));
  sometimes.saw('queue filled', world.counter('droppedQueueFull'));
  sometimes.saw('refused for credentials', world.counter('connectionRefusedCredentials'));
  sometimes.saw('malformed bytes closed a connection', world.counter('disconnectedProtocol'));
  sometimes.saw('refused for the rate of takeovers', world.rateRefusals);
}
