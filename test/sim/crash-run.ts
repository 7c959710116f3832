/**
 * One run of the crash simulation: work, faults and crashes, then healing until nothing moves, a last crash between two readers of what is
 * retained, and the checker's verdict on all that clients saw. Then every session ends, and nothing may be left, in memory and in the log.
 */
import { checkHistory } from '../history/checker.js';
import { formatEvent } from '../history/event.js';
import type { CheckOptions } from '../history/options.js';
import type { CrashClient } from './crash-client.js';
import { createCrashPlan, type CrashClientProfile, isShortOfMemory } from './crash-plan.js';
import type { CrashProcess } from './crash-process.js';
import type { CrashSituations } from './crash-situations.js';
import { CrashWorkload } from './crash-workload.js';
import { CrashWorld } from './crash-world.js';
import { failureOf } from './failure-of.js';
import { Random } from './random.js';

export interface CrashRunResult {
  readonly seed: number;
  readonly digest: number;
  readonly steps: number;
  readonly situations: CrashSituations;
  /** What went wrong; undefined where nothing did. */
  readonly failure: Error | undefined;
}

const HEAL_ROUNDS = 400;
const HEAL_ROUND_MS = 500;
const SETTLE_MS = 1000;
const RETAINED_MS = 8000;
const FILLER_BYTES = 8000;

/** Never rejects: what is thrown anywhere inside is the failure of the run. */
export async function runCrashSeed(seed: number, trace?: (line: string) => void): Promise<CrashRunResult> {
  const world = new CrashWorld(seed, createCrashPlan(new Random(seed, 'plan')));
  world.trace = trace;
  world.scheduler.onStep = () => throwViolation(world);
  const failure = await failureOf(async () => {
    await live(world);
    throwViolation(world);
  });
  const { scheduler, situations } = world;
  return {
    seed,
    digest: scheduler.digest,
    steps: scheduler.steps,
    situations,
    failure,
  };
}

function throwViolation(world: CrashWorld): void {
  if (world.violation !== undefined) throw world.violation;
}

async function live(world: CrashWorld): Promise<void> {
  const { scheduler, plan } = world;
  scheduler.after(0, 'process starts', () => world.start());
  world.armCrash();
  world.faults.start();
  new CrashWorkload(world).start();
  await scheduler.advance(plan.activeMs);
  world.isHealing = true;
  world.faults.end();
  world.write('harness', { e: 'drain!' });
  await rest(world);
  await readRetained(world, 'reader 1');
  world.crash(plan.powerShare > 0.5);
  await rest(world);
  await readRetained(world, 'reader 2');
  await scheduler.advance(SETTLE_MS * 2);
  if (world.process !== undefined) world.reportDrops(world.process);
  world.write('harness', { e: 'drain.' });
  judge(world);
  throwViolation(world);
  await endSessions(world);
  await nothingIsKept(world);
}

/** Everybody is connected, and waits until nothing moves any more. */
async function rest(world: CrashWorld): Promise<void> {
  for (let round = 0; round < HEAL_ROUNDS; round++) {
    for (const client of world.clients) {
      client.startReading();
      if (client.isIdle) client.connect({ clean: false });
    }
    await world.scheduler.advance(HEAL_ROUND_MS);
    const { process } = world;
    // Longer than any delay of a will.
    if (round >= 6 && process?.isServing === true && isAtRest(world, process)) return;
  }
  const restless = world.clients.filter((client) => !clientIsAtRest(client, world.process));
  const which = restless.map(({ profile, pendingCount }) => `${profile.id} (${pendingCount} pending)`);
  world.fail('a healed gateway comes to rest', which.join(', '));
  throwViolation(world);
}

function isAtRest(world: CrashWorld, process: CrashProcess): boolean {
  const { log } = process.store;
  return (
    log.committed === log.position &&
    process.lanes.env.gauges.pendingWills === 0 &&
    world.clients.every((client) => clientIsAtRest(client, process))
  );
}

function clientIsAtRest(client: CrashClient, process: CrashProcess | undefined): boolean {
  const session = process?.lanes.registry.get(client.profile.id);
  return (
    client.isConnected &&
    client.pendingCount === 0 &&
    session?.online === true &&
    session.outbound.queuedCount === 0 &&
    session.outbound.inFlightCount === 0
  );
}

const READER: Omit<CrashClientProfile, 'id'> = {
  ...{
    version: 5,
    expiryS: 0,
    receiveMaximum: undefined,
    inflightMax: 10,
    packetIds: 65_535,
    group: undefined,
  },
  ...{ eagerness: 1, cleanShare: 1, slow: false, quiet: false },
};

async function readRetained(world: CrashWorld, id: string): Promise<void> {
  const reader = world.addClient({ ...READER, id });
  reader.subscribe('r/#', { qos: 2, retainHandling: 0 });
  reader.connect({ clean: true });
  await world.scheduler.advance(RETAINED_MS + HEAL_ROUND_MS);
}

function judge(world: CrashWorld): void {
  const { plan, history } = world;
  const options: Partial<CheckOptions> = {
    ...{ okShareMin: 0, judgedShareMin: 0, settleMs: SETTLE_MS, retainedMs: RETAINED_MS, quiescenceMs: 500 },
    // How fast is not what this is about.
    ...{ withheldMs: Infinity, takeoverMs: 30_000, routingMs: 100 },
    // The gateway's clock may go back by a second in each crash.
    noticeMs: 2000 + 1500 * plan.crashes,
    willLateMs: 15_000 + 500 * plan.crashes,
    willEarlyMs: 1500,
    forgetDisconnectMs: 500,
    willLosingFaults: [],
    endingFaults: ['crash'],
    refusingFaults: ['disk fails', 'disk fills'],
    refusesAtAnyTime: isShortOfMemory(plan),
  };
  const { violations, reasons } = checkHistory(history.events, options);
  for (const reason of reasons)
    if (reason !== 'nobody was owed anything' && !reason.startsWith('nothing was published'))
      world.fail('the history can be judged', reason);
  for (const { check, rule, text, witness } of violations) {
    world.fail(`${check} ${rule}`, text);
    world.trace?.(`${check} ${rule}: ${text}`);
    for (const event of witness) world.trace?.(`    ${formatEvent(event)}`);
  }
}

/** Every client replaces its session by one that ends with its connection, and leaves. */
async function endSessions(world: CrashWorld): Promise<void> {
  for (let round = 0; round < HEAL_ROUNDS; round++) {
    const registry = world.process?.lanes.registry;
    if (registry === undefined || registry.count === 0) break;
    for (const client of world.clients) {
      if (client.isConnected) client.leave(0, client.isDurable ? 0 : undefined);
      else if (client.isIdle && registry.get(client.profile.id) !== undefined)
        client.connect({ clean: true });
    }
    await world.scheduler.advance(HEAL_ROUND_MS);
  }
  await world.scheduler.advance(5000);
}

/** Whatever the lanes held is given back, and the log goes on without what nobody needs. */
async function nothingIsKept(world: CrashWorld): Promise<void> {
  const { process, plan } = world;
  if (process === undefined) throw new Error('there is no process');
  const { lanes, store } = process;
  const same = (what: string, actual: number, expected: number): void => {
    if (actual !== expected) world.fail(what, `${actual}, should be ${expected}`);
  };
  same('connections left', lanes.connections.size, 0);
  same('sessions left', lanes.registry.count, 0);
  same('subscriptions left', lanes.router.subscriptionCount, 0);
  same('timers left', lanes.timers.size, 0);
  same('pending wills left', lanes.env.gauges.pendingWills, 0);
  same('bytes left in the budget', lanes.budget.used, 0);
  same('waiters for storage left', lanes.env.commits.length, 0);
  const neededTo = store.log.position;
  const filler = world.addClient({ ...READER, id: 'filler' });
  filler.connect({ clean: true });
  // Snapshots follow each other when enough was written since, and one segment is dropped after the other.
  const rounds = 20 + (4 * plan.store.snapshotEveryBytes) / FILLER_BYTES;
  for (let round = 0; round < rounds && (store.log.segments[0]?.header.first ?? 0) <= neededTo; round++) {
    filler.publish({ topic: 'filler', qos: 1, paddingBytes: FILLER_BYTES });
    await world.scheduler.advance(HEAL_ROUND_MS);
  }
  const first = store.log.segments[0]?.header.first ?? 0;
  if (first <= neededTo)
    world.fail('the log drops what nobody needs', `it begins at ${first}, not behind ${neededTo}`);
}
