import t from 'tap';
import type { MembershipOptions } from '../../../../mesh/membership/index.js';
import { deathsPerGatewayDay, runMembership, runMembershipSeed } from './run.js';
import { type Host, MembershipWorld } from './world.js';

const GATEWAYS = 8;
const SECONDS = 900;
/** So that the one that is accused has answered before its time is over. */
const PATIENT = { silentSuspicionMinMs: 3000, silentSuspicionMaxMs: 3600 };
/** Without what Lifeguard adds to SWIM. */
const WITHOUT_LIFEGUARD = { stallMs: Infinity, healthScoreMax: 0, confirmationsMax: 0 };

for (const faults of ['loss', 'freeze', 'freeze-and-loss'] as const)
  t.test(`nobody is held dead falsely more than once a day: ${faults}`, async (t) => {
    let deaths = 0;
    let ofFrozen = 0;
    for (const seed of [1, 2]) {
      const result = await runMembershipSeed(seed, { gateways: GATEWAYS, seconds: SECONDS, faults });
      // Of those that did not stand still themselves: who does not answer for two seconds is as good as dead to the others meanwhile.
      deaths += result.falseDeaths - result.falseDeathsOfFrozen;
      ofFrozen += result.falseDeathsOfFrozen;
      t.equal(result.disagreement, undefined, `seed ${seed}`);
      t.ok(result.suspicions > 10, 'there was something to be wrong about');
      if (faults === 'loss') t.equal(result.stalls, 0, 'nobody stood still');
      else t.ok(result.stalls > 10, 'pauses were noticed');
    }
    const rate = deathsPerGatewayDay(deaths, GATEWAYS, 2 * SECONDS);
    t.comment(
      `${faults}: ${deaths} false deaths, ${rate.toFixed(2)} per gateway and day, besides ${ofFrozen} of the frozen one`,
    );
    t.ok(rate <= 1, `${rate}`);
  });

t.test('a suspicion shorter than the pauses makes false deaths, and every one heals', async (t) => {
  const membership = { silentSuspicionMinMs: 500, silentSuspicionMaxMs: 900 };
  const result = await runMembershipSeed(1, {
    gateways: GATEWAYS,
    seconds: 300,
    faults: 'freeze',
    membership,
  });
  t.ok(deathsPerGatewayDay(result.falseDeaths, GATEWAYS, 300) > 10, `${result.falseDeaths}`);
  t.equal(result.falseDeathsOfFrozen, result.falseDeaths, 'only of the one that stood still');
  t.equal(result.disagreement, undefined);
});

t.test('whatever happened, five seconds after it all see the same', async (t) => {
  for (let seed = 1; seed <= 60; seed++) {
    const gateways = 2 + (seed % 9);
    const { disagreement } = await runMembershipSeed(seed, { gateways, seconds: 40, faults: 'mixed' });
    if (disagreement !== undefined) t.fail(`seed ${seed}: ${disagreement}`);
  }
  const [first, second] = [3, 3].map((seed) =>
    runMembershipSeed(seed, { gateways: 5, seconds: 30, faults: 'mixed' }),
  );
  t.equal((await first)?.digest, (await second)?.digest, 'one seed is one history');
});

/** One is suspected by another that then stands still; meanwhile it has answered. @returns whether it is held dead for that */
async function frozenAccuser(seed: number, membership: Partial<MembershipOptions>): Promise<boolean> {
  const world = new MembershipWorld({ seed, gateways: 5, membership });
  world.startAll();
  await world.advance(3000);
  const [accused, accuser] = [world.host(0), world.host(1)];
  world.freeze(accused, 1500);
  const suspects = (at: Host): boolean => at.core?.get(accused.id)?.status === 'suspect';
  for (let ms = 0; ms < 1500 && !suspects(accuser); ms += 5) await world.advance(5);
  world.freeze(accuser, 4500);
  await world.advance(4800);
  const isFalse = world.falseDeaths.some(({ subject }) => subject === accused.index);
  await world.advance(5000);
  t.equal(world.disagreement(), undefined, 'it heals');
  return isFalse;
}

t.test('who stood still does not accuse others; without Lifeguard it does', async (t) => {
  let withIt = 0;
  let without = 0;
  for (let seed = 1; seed <= 20; seed++) {
    if (await frozenAccuser(seed, PATIENT)) withIt++;
    if (await frozenAccuser(seed, { ...PATIENT, ...WITHOUT_LIFEGUARD })) without++;
  }
  t.comment(`false deaths in 20 pauses of an accuser: ${withIt}, without Lifeguard ${without}`);
  t.equal(withIt, 0);
  t.ok(without >= 4, `${without}`);
});

t.test('two parts of a mesh that held each other dead are one again within 5 s', async (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const world = new MembershipWorld({ seed, gateways: 7, latencyMaxMs: 10 });
    world.startAll();
    await world.advance(3000);
    for (const a of world.hosts.slice(0, 3))
      for (const b of world.hosts.slice(3)) {
        world.cut(a, b);
        if (seed % 2 === 0) world.cut(b, a);
        world.breakLink(a, b);
      }
    await world.advance(15_000);
    if (seed % 2 === 0) t.equal(world.core(0).presentCount, 3);
    world.heal();
    await world.advance(5000);
    t.equal(world.disagreement(), undefined, `seed ${seed}`);
  }
});

t.test('a link that flaps, and one direction between two that is cut, kill nobody', async (t) => {
  const world = new MembershipWorld({ seed: 5, gateways: 6 });
  world.startAll();
  await world.advance(3000);
  world.cut(world.host(0), world.host(1));
  for (let n = 0; n < 40; n++) {
    world.breakLink(world.host(2), world.host(3));
    world.breakLink(world.host(0), world.host(4));
    await world.advance(1000);
  }
  t.same(world.falseDeaths, []);
});

t.test('two gateways with one identity are reported and nobody flaps', async (t) => {
  const world = new MembershipWorld({ seed: 6, gateways: 4 });
  const [original, copy] = [world.host(0), world.host(1)];
  Object.assign(copy, { id: original.id });
  world.startAll();
  let changes = 0;
  await world.advance(3000);
  t.ok(world.conflicts.length > 0);
  world.onChange = () => changes++;
  const sent = world.core(2).sent;
  await world.advance(60_000);
  t.equal(changes, 0);
  const frames = world.core(2).sent.frames - sent.frames;
  t.ok(frames < 60, `${frames} frames: comparing without end`);
});

t.test('the long form prints its figures', async (t) => {
  const lines: string[] = [];
  const failures = await runMembership(
    { seeds: 2, seed: 1, gateways: 4, seconds: 20, faults: 'none' },
    (line) => void lines.push(line),
  );
  t.equal(failures, 0);
  t.equal(lines.length, 3);
});
