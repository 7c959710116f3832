/**
 * One run of the mesh simulation: gateways meet, clients work while things go wrong, then everything heals and comes to rest, what is
 * retained is read at every gateway, and the checker of histories judges what clients did and saw.
 */
import { checkHistory } from '../../history/checker.js';
import { formatEvent } from '../../history/event.js';
import type { CheckOptions } from '../../history/options.js';
import type { CrashClientProfile } from '../crash-plan.js';
import { failureOf } from '../failure-of.js';
import { Random } from '../random.js';
import { checkAtRest, checkWhileRunning, linkClosed, pairs } from './invariants.js';
import { MeshFaults } from './mesh-faults.js';
import { createMeshPlan, type MeshPlanOptions } from './mesh-plan.js';
import type { MeshSituations } from './mesh-situations.js';
import { MeshWorkload } from './mesh-workload.js';
import { MeshWorld, type SiteClient } from './mesh-world.js';

export interface MeshRunResult {
  readonly seed: number;
  readonly digest: number;
  readonly steps: number;
  readonly situations: MeshSituations;
  /** What went wrong; undefined where nothing did. */
  readonly failure: Error | undefined;
}

const MEET_ROUNDS = 200;
const HEAL_ROUNDS = 240;
const ROUND_MS = 500;
const CHECK_EVERY_MS = 20;
const SETTLE_MS = 1000;
const RETAINED_MS = 4000;

/** Never rejects: what is thrown anywhere inside is the failure of the run. */
export async function runMeshSeed(
  seed: number,
  trace?: (line: string) => void,
  options: MeshPlanOptions = {},
): Promise<MeshRunResult> {
  const world = new MeshWorld(seed, createMeshPlan(new Random(seed, 'plan'), options));
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

function throwViolation(world: MeshWorld): void {
  if (world.violation !== undefined) throw world.violation;
}

async function live(world: MeshWorld): Promise<void> {
  const { scheduler, plan, network } = world;
  world.log(`plan ${JSON.stringify({ ...plan, clients: plan.clients.length, faults: [...plan.faults] })}`);
  network.onClose = (from, to, reason, underWay) => linkClosed(world, from, to, reason, underWay);
  for (const gateway of world.gateways)
    scheduler.after(scheduler.now() % 7, 'gateway starts', () => gateway.start());
  await meet(world);
  checkOften(world);
  const workload = new MeshWorkload(world);
  const faults = new MeshFaults(world);
  workload.start();
  faults.start();
  await scheduler.advance(plan.activeMs);
  world.isHealing = true;
  faults.end();
  world.write('harness', { e: 'drain!' });
  await rest(world, workload);
  const restedAt = scheduler.now();
  checkAtRest(world);
  throwViolation(world);
  if (plan.retained !== 'none') await readRetained(world, workload);
  await scheduler.advance(SETTLE_MS * 2);
  for (const gateway of world.gateways) gateway.collect();
  world.write('harness', { e: 'drain.' });
  judge(world, restedAt);
}

/** From the first meeting of two on nothing may be lost between them. */
async function meet(world: MeshWorld): Promise<void> {
  const others = world.gateways.length - 1;
  for (let round = 0; round < MEET_ROUNDS; round++) {
    await world.scheduler.advance(100);
    const isMet = world.gateways.every(
      ({ mesh, process }) =>
        process?.isServing === true &&
        [...(mesh?.peers ?? [])].filter(
          ({ state, receiver }) => state === 'up' && receiver.image !== undefined,
        ).length === others,
    );
    if (
      isMet &&
      world.gateways.every(({ process }) => process?.store.committed === process?.store.log.position)
    )
      return;
  }
  world.fail('gateways meet', `not all of ${world.gateways.length} in ${MEET_ROUNDS / 10} s`);
  throwViolation(world);
}

function checkOften(world: MeshWorld): void {
  const everyMs = world.gateways.length > 20 ? CHECK_EVERY_MS * 50 : CHECK_EVERY_MS;
  world.scheduler.after(everyMs, 'invariants', () => {
    checkWhileRunning(world);
    checkOften(world);
  });
}

/** Everybody is connected, and waits until nothing moves any more. */
async function rest(world: MeshWorld, workload: MeshWorkload): Promise<void> {
  for (let round = 0; round < HEAL_ROUNDS; round++) {
    for (const one of world.clients) {
      one.client.startReading();
      if (one.client.isIdle) workload.connect(one);
    }
    await world.scheduler.advance(ROUND_MS);
    if (round >= 4 && restlessness(world) === undefined) return;
  }
  world.fail('a healed mesh comes to rest', restlessness(world) ?? '');
  throwViolation(world);
}

/** What still moves; undefined: nothing. */
function restlessness(world: MeshWorld): string | undefined {
  const others = world.gateways.length - 1;
  for (const { node, process, mesh } of world.gateways) {
    if (process?.isServing !== true) return `${node} does not serve`;
    if (process.lanes.env.gauges.pendingWills > 0) return `${node} has wills to publish`;
    if ([...(mesh?.peers ?? [])].length !== others) return `${node} does not know everybody`;
  }
  for (const {
    gateway: { node },
    peer,
    other,
    sender,
  } of pairs(world)) {
    const { mode, pendingMessages, unackedBytes, isBackfilling, acked } = sender.status;
    if (peer.state !== 'up') return `${node} and ${other.node} are ${peer.state}: ${peer.reason}`;
    if (mode !== 'live' || pendingMessages > 0 || isBackfilling)
      return `${node} to ${other.node}: ${mode}, ${pendingMessages} pending${isBackfilling ? ', backfilling' : ''}, acknowledged up to ${acked}`;
    if (unackedBytes > 0 && world.gateways.length <= 20)
      return `${node} to ${other.node}: ${unackedBytes} bytes are not acknowledged`;
  }
  const restless = world.clients.find((one) => !isAtRest(one));
  return restless === undefined ? undefined : `${restless.client.profile.id} is busy`;
}

function isAtRest({ client, gateway }: SiteClient): boolean {
  const session = gateway.process?.lanes.registry.get(client.profile.id);
  return (
    client.isConnected &&
    client.pendingCount === 0 &&
    session?.online === true &&
    session.outbound.queuedCount === 0 &&
    session.outbound.inFlightCount === 0
  );
}

const READER: Omit<CrashClientProfile, 'id'> = {
  ...{ version: 5, expiryS: 0, receiveMaximum: undefined, inflightMax: 10, packetIds: 65_535 },
  ...{ group: undefined, eagerness: 1, cleanShare: 1, slow: false, quiet: false },
};

async function readRetained(world: MeshWorld, workload: MeshWorkload): Promise<void> {
  for (const gateway of world.gateways) {
    const reader = world.addClient(gateway, { ...READER, id: `reader at ${gateway.node}` });
    reader.client.subscribe('r/#', { qos: 2, retainHandling: 0 });
    reader.client.subscribe('m/#', { qos: 2, retainHandling: 0 });
    workload.connect(reader);
  }
  await world.scheduler.advance(RETAINED_MS + ROUND_MS);
}

function judge(world: MeshWorld, restedAt: number): void {
  const { history } = world;
  const [first] = history.events;
  const beganAt = first === undefined ? 0 : Number(first.t) / 1e6;
  const options: Partial<CheckOptions> = {
    ...{ okShareMin: 0, judgedShareMin: 0, settleMs: SETTLE_MS, retainedMs: RETAINED_MS, quiescenceMs: 500 },
    // How fast is not what this is about.
    ...{ withheldMs: Infinity, takeoverMs: 30_000, routingMs: 100 },
    ...{ noticeMs: 20_000, willLateMs: 60_000, willEarlyMs: 2000, forgetDisconnectMs: 500 },
    willLosingFaults: [],
    endingFaults: ['crash'],
    // Between gateways messages take as long as they take.
    elsewhereMs: 1e9,
    retainedElsewhereFromMs: restedAt - beganAt,
    unjudgedTopics: ['$SYS/#', 'sprawl/dead-letter'],
    concurrentTopics: world.plan.retained === 'manySites' ? ['m/#'] : [],
    isExcused: (cid, mid) => world.isExcused(cid, mid),
    mayComeTwice: (mid) => world.mayComeTwice(mid),
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
