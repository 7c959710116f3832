import t from 'tap';
import type { Member } from '../../../../mesh/membership/index.js';
import { type Host, MembershipWorld, type WorldOptions } from './world.js';

/** They know each other, and nothing is on its way. */
async function settled(options: WorldOptions): Promise<MembershipWorld> {
  const world = new MembershipWorld(options);
  world.startAll();
  world.acquaint();
  await world.advance(3000);
  return world;
}

// On a machine that has other work, too.
t.setTimeout(300_000);

t.test('a change is known to all eight within 50 ms', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const world = await settled({ seed, gateways: 8 });
    t.equal(world.disagreement(), undefined);
    const changedAt = world.now;
    let last = 0;
    let seen = 0;
    world.onChange = (_at, member) => {
      if (member.metadata.addresses[0] !== 'moved:1') return;
      seen++;
      last = world.now;
    };
    world.call(world.host(seed % 8), (core) => core.setAddresses(['moved:1']));
    await world.advance(1000);
    t.equal(seen, 8);
    t.ok(last - changedAt < 50, `${last - changedAt} ms`);
  }
});

/** How long after its end all the others know of it. */
async function detection(
  options: WorldOptions,
  end: (world: MembershipWorld, host: Host) => void,
): Promise<number> {
  const world = await settled(options);
  const victim = world.host(options.seed % options.gateways);
  const endedAt = world.now;
  end(world, victim);
  while (!world.isGoneForAll(victim) && world.now - endedAt < 20_000) await world.advance(20);
  if (world.running().some(({ core }) => core?.counters.stalls !== 0)) throw new Error('nobody stood still');
  return world.now - endedAt;
}

t.test('a killed gateway is dead for all within 2.5 s, in a mesh of any size', async (t) => {
  for (const [gateways, seeds] of [
    [2, 20],
    [3, 20],
    [8, 20],
    [30, 5],
    [100, 1],
  ] as const) {
    let longest = 0;
    for (let seed = 1; seed <= seeds; seed++)
      longest = Math.max(
        longest,
        await detection({ seed, gateways, closedMaxMs: 300 }, (world, host) => world.kill(host)),
      );
    t.comment(`killed: ${gateways} gateways, known by all after at most ${longest.toFixed(0)} ms`);
    t.ok(longest <= 2500, `${gateways} gateways: ${longest} ms`);
  }
});

t.test(
  'one whose power is cut is dead for all within 5 s, and within 2.5 s where no pause is to be survived',
  async (t) => {
    for (const gateways of [2, 3, 8, 30]) {
      let longest = 0;
      let longestShort = 0;
      const membership = { silentSuspicionMinMs: 700, silentSuspicionMaxMs: 1300 };
      for (let seed = 1; seed <= 8; seed++) {
        const dark = (world: MembershipWorld, host: Host): void => world.darken(host);
        longest = Math.max(longest, await detection({ seed, gateways }, dark));
        longestShort = Math.max(longestShort, await detection({ seed, gateways, membership }, dark));
      }
      t.comment(
        `dark: ${gateways} gateways, at most ${longest.toFixed(0)} ms, short ${longestShort.toFixed(0)} ms`,
      );
      t.ok(longest <= 5000, `${gateways} gateways: ${longest} ms`);
      t.ok(longestShort <= 2500, `${gateways} gateways with short suspicion: ${longestShort} ms`);
    }
  },
);

t.test('one seed is one history', async (t) => {
  const run = async (seed: number): Promise<number> => {
    const world = await settled({ seed, gateways: 8, lossShare: 0.1, doubleShare: 0.1 });
    world.kill(world.host(1));
    world.freeze(world.host(2), 1500);
    await world.advance(5000);
    world.start(world.host(1));
    await world.advance(5000);
    return world.digest;
  };
  t.equal(await run(7), await run(7));
  t.not(await run(7), await run(8));
});

t.test('a leave is known at once, and nobody probes who left', async (t) => {
  const world = await settled({ seed: 3, gateways: 8 });
  const seen: Member[] = [];
  world.onChange = (_at, member) => seen.push(member);
  world.call(world.host(4), (core) => core.leave());
  await world.advance(50);
  t.ok(world.isGoneForAll(world.host(4)));
  await world.advance(20_000);
  t.ok(seen.every(({ status }) => status === 'left'));
  world.call(world.host(4), (core) => core.rejoin());
  await world.advance(100);
  t.equal(world.disagreement(), undefined);
  world.kill(world.host(4));
  world.start(world.host(4));
  await world.advance(2000);
  t.equal(world.disagreement(), undefined, 'another life');
});
