/**
 * Membership over longer simulated times. `runMembership` is the long form: many seeds, printed figures, an exit code.
 */
import type { MembershipOptions } from '../../../../mesh/membership/index.js';
import { Random } from '../../random.js';
import { type Host, MembershipWorld } from './world.js';

/** What goes wrong. `mixed`: everything at once, and ends of processes. */
export const MEMBERSHIP_FAULTS = ['none', 'loss', 'freeze', 'freeze-and-loss', 'mixed'] as const;
export type MembershipFaults = (typeof MEMBERSHIP_FAULTS)[number];

export interface MembershipRunOptions {
  /** How many. */
  readonly seeds: number;
  /** The first. */
  readonly seed: number;
  readonly gateways: number;
  /** Simulated, of each seed. */
  readonly seconds: number;
  readonly faults: MembershipFaults;
  /** undefined: every pair has a link. */
  readonly links?: number;
  /** How long the frozen one stands still each time. */
  readonly freezeMinMs?: number;
  readonly freezeMaxMs?: number;
  readonly membership?: Partial<MembershipOptions>;
}

export interface MembershipResult {
  readonly digest: number;
  /** Times that a gateway that runs was held dead, each counted once for all that believed it. */
  readonly falseDeaths: number;
  /** Of which the one was held dead that stood still at times. */
  readonly falseDeathsOfFrozen: number;
  /** From when all were linked again until all saw the same. */
  readonly healedMs: number;
  /** What the gateways saw differently HEALS_MS after that. */
  readonly disagreement: string | undefined;
  readonly suspicions: number;
  readonly stalls: number;
  readonly messages: number;
  readonly bytes: number;
  readonly steps: number;
}

const LOSS_SHARE = 0.2;
const LOSS_LATENCY_MAX_MS = 50;
/** Without faults all see the same after that. */
const HEALS_MS = 5000;
const FREEZE_MIN_MS = 1000;
const FREEZE_MAX_MS = 3000;
const FREEZE_EVERY_MS = 20_000;
const FAULT_EVERY_MS = 4000;
/** Links that are cut notice it after up to ten seconds, pauses take up to four. */
const LINKED_AGAIN_MS = 15_000;
const LOOK_EVERY_MS = 100;

/** One gateway stands still again and again. */
function freezeNowAndThen(
  world: MembershipWorld,
  random: Random,
  host: Host,
  until: number,
  options: Pick<MembershipRunOptions, 'freezeMinMs' | 'freezeMaxMs'>,
): void {
  const { freezeMinMs = FREEZE_MIN_MS, freezeMaxMs = FREEZE_MAX_MS } = options;
  const next = (): void => {
    world.steps.after(random.float() * FREEZE_EVERY_MS, 'freeze', () => {
      if (world.now > until) return;
      world.freeze(host, freezeMinMs + random.float() * (freezeMaxMs - freezeMinMs));
      next();
    });
  };
  next();
}

type Fault = 'kill' | 'dark' | 'restart' | 'cut' | 'one way' | 'heal' | 'link' | 'freeze' | 'load' | 'leave';
const FAULT_WEIGHTS: Readonly<Record<Fault, number>> = {
  kill: 2,
  dark: 1,
  restart: 6,
  cut: 2,
  'one way': 2,
  heal: 3,
  link: 3,
  freeze: 3,
  load: 6,
  leave: 1,
};

function restartAll(world: MembershipWorld): void {
  for (const host of world.hosts)
    if (host.core === undefined || host.core.self.status === 'left') restart(world, host);
}

function restart(world: MembershipWorld, host: Host): void {
  if (host.core !== undefined) world.kill(host);
  world.start(host);
}

function cutInTwo(world: MembershipWorld, random: Random, bothWays: boolean): void {
  const side = new Set(world.hosts.filter(() => random.chance(0.4)));
  for (const a of world.hosts)
    for (const b of world.hosts)
      if (side.has(a) && !side.has(b)) {
        world.cut(a, b);
        if (bothWays) world.cut(b, a);
      }
}

function oneFault(world: MembershipWorld, random: Random): void {
  const host = world.host(random.integer(0, world.hosts.length - 1));
  const other = world.host(random.integer(0, world.hosts.length - 1));
  switch (random.weighted(FAULT_WEIGHTS)) {
    case 'kill':
      return world.kill(host);
    case 'dark':
      return world.darken(host);
    case 'restart':
      return host.core === undefined || random.chance(0.2) ? restart(world, host) : undefined;
    case 'cut':
      return cutInTwo(world, random, true);
    case 'one way':
      return cutInTwo(world, random, false);
    case 'heal':
      return world.heal();
    case 'link':
      return world.breakLink(host, other);
    case 'freeze':
      return world.freeze(host, random.float() * 4000);
    case 'load':
      return world.call(host, (core) =>
        core.setLoad(random.float(), random.chance(0.5) ? ['disk 90 % full'] : []),
      );
    case 'leave':
      return world.call(host, (core) => core.leave());
  }
}

function mixFaults(world: MembershipWorld, random: Random, until: number): void {
  const next = (): void => {
    world.steps.after(random.float() * FAULT_EVERY_MS, 'fault', () => {
      if (world.now > until) return;
      oneFault(world, random);
      next();
    });
  };
  next();
}

/** Pauses end and lost links come back; then all have to see the same soon. @returns how long that took */
async function healed(world: MembershipWorld): Promise<number> {
  for (let ms = 0; ms < LINKED_AGAIN_MS && !world.isLinked(); ms += LOOK_EVERY_MS)
    await world.advance(LOOK_EVERY_MS);
  let ms = 0;
  for (; ms < HEALS_MS && world.disagreement() !== undefined; ms += LOOK_EVERY_MS)
    await world.advance(LOOK_EVERY_MS);
  await world.advance(HEALS_MS - ms);
  return ms;
}

export async function runMembershipSeed(
  seed: number,
  options: Omit<MembershipRunOptions, 'seed' | 'seeds'>,
): Promise<MembershipResult> {
  const { gateways, seconds, faults, links, membership } = options;
  const isLossy = faults === 'loss' || faults === 'freeze-and-loss' || faults === 'mixed';
  const world = new MembershipWorld({
    seed,
    gateways,
    lossShare: isLossy ? LOSS_SHARE : 0,
    doubleShare: isLossy ? 0.02 : 0,
    latencyMaxMs: isLossy ? LOSS_LATENCY_MAX_MS : 5,
    ...(links === undefined ? {} : { links }),
    ...(membership === undefined ? {} : { membership }),
  });
  const random = new Random(seed, 'membership faults');
  world.startAll();
  await world.advance(2000);
  const until = world.now + seconds * 1000;
  const frozen = world.host(0);
  if (faults === 'freeze' || faults === 'freeze-and-loss')
    freezeNowAndThen(world, random, frozen, until, options);
  if (faults === 'mixed') mixFaults(world, random, until);
  await world.advance(seconds * 1000);
  world.lossShare = 0;
  world.heal();
  if (faults === 'mixed') restartAll(world);
  const deaths = [...world.falseDeaths];
  const healedMs = await healed(world);
  const cores = world.hosts.flatMap(({ core }) => core ?? []);
  const sum = (of: (core: (typeof cores)[number]) => number): number =>
    cores.reduce((total, core) => total + of(core), 0);
  return {
    digest: world.digest,
    falseDeaths: deaths.length,
    falseDeathsOfFrozen: deaths.filter(({ subject }) => subject === frozen.index).length,
    healedMs,
    disagreement: world.disagreement(),
    suspicions: sum(({ counters }) => counters.suspicions),
    stalls: sum(({ counters }) => counters.stalls),
    messages: sum(({ sent }) => sent.datagrams + sent.frames),
    bytes: sum(({ sent }) => sent.bytes),
    steps: world.steps.steps,
  };
}

const DAY_SECONDS = 86_400;

/** False deaths of one gateway in a day, as many as were seen in so much time. */
export function deathsPerGatewayDay(falseDeaths: number, gateways: number, seconds: number): number {
  return (falseDeaths / gateways / seconds) * DAY_SECONDS;
}

/** Prints figures. @returns how many seeds failed: gateways that did not come to see the same, or more than one false death per gateway and day */
export async function runMembership(
  options: MembershipRunOptions,
  print: (line: string) => void = (line) => void process.stdout.write(`${line}\n`),
): Promise<number> {
  const { seeds, seed: first, gateways, seconds, faults } = options;
  const startedAt = performance.now();
  let failures = 0;
  let deaths = 0;
  let ofFrozen = 0;
  let healedMs = 0;
  for (let seed = first; seed < first + seeds; seed++) {
    const result = await runMembershipSeed(seed, options);
    deaths += result.falseDeaths;
    ofFrozen += result.falseDeathsOfFrozen;
    healedMs = Math.max(healedMs, result.healedMs);
    const perSecond = result.messages / gateways / seconds;
    const kilobytes = result.bytes / gateways / seconds / 1000;
    print(
      `seed ${seed}: ${result.falseDeaths} false deaths, ${result.suspicions} suspicions, ${result.stalls} pauses noticed, ` +
        `${perSecond.toFixed(1)} messages and ${kilobytes.toFixed(2)} kB per gateway and second, ${result.steps} steps`,
    );
    if (result.disagreement === undefined) continue;
    failures++;
    print(`  ${result.disagreement}`);
  }
  const rate = deathsPerGatewayDay(deaths - ofFrozen, gateways, seconds * seeds);
  const realSeconds = (performance.now() - startedAt) / 1000;
  print(
    `${faults}: ${gateways} gateways, ${seeds} x ${seconds} s: ${deaths} false deaths (${ofFrozen} of the frozen one), ` +
      `${rate.toFixed(3)} of others per gateway and day; all see the same after ${healedMs} ms; ${failures} failures; ${realSeconds.toFixed(1)} s`,
  );
  // In the mix gateways are cut off for longer than anybody waits: they are rightly held dead.
  return faults !== 'mixed' && rate > 1 ? failures + 1 : failures;
}
