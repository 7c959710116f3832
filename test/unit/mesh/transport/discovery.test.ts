import { test } from 'tap';
import { gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';
import { Discovery } from '../../../../mesh/transport/discovery.js';
import type { FoundPeer } from '../../../../mesh/transport/udx-node.js';
import { nullLogger } from '../../../support/null-logger.js';
import { middle, VirtualTime } from './virtual-time.js';

const FOUND: FoundPeer = { peer: gatewayIdOf(new Uint8Array(32)), addresses: [] };

function createDiscovery(): {
  discovery: Discovery;
  time: VirtualTime;
  calls: string[];
  found: FoundPeer[];
  world: { isMissing: boolean; isDown: boolean };
} {
  const time = new VirtualTime();
  const calls: string[] = [];
  const found: FoundPeer[] = [];
  const world = { isMissing: false, isDown: false };
  const discovery = new Discovery({
    table: {
      announce: async (_topic, onPeer) => {
        if (world.isDown) throw new Error('too few nodes answered');
        calls.push(`announce ${time.now() - 1000}`);
        onPeer(FOUND);
      },
      lookup: async (_topic, onPeer) => {
        calls.push(`lookup ${time.now() - 1000}`);
        onPeer(FOUND);
      },
    },
    topic: new Uint8Array(32),
    clock: time,
    timers: time,
    random: middle,
    logger: nullLogger,
    onPeer: (peer) => void found.push(peer),
    isMissing: () => world.isMissing,
  });
  return { discovery, time, calls, found, world };
}

function announcements(calls: readonly string[]): number[] {
  return calls.filter((call) => call.startsWith('announce')).map((call) => Number(call.split(' ')[1]));
}

test('it announces and looks at the start, soon after, and then every ten minutes', async (t) => {
  const { discovery, time, calls, found } = createDiscovery();
  discovery.start();
  await time.advance(1_300_000);
  t.same(announcements(calls), [0, 2000, 12_000, 72_000, 672_000, 1_272_000]);
  t.same(calls.slice(0, 2), ['announce 0', 'lookup 0']);
  t.equal(found.length, 12);
});

test('while a member is missing it looks every half a minute', async (t) => {
  const { discovery, time, calls, world } = createDiscovery();
  world.isMissing = true;
  discovery.start();
  await time.advance(80_000);
  t.same(announcements(calls), [0, 2000, 12_000, 42_000, 72_000]);
});

test('when a member is lost it looks at once, but not again and again', async (t) => {
  const { discovery, time, calls } = createDiscovery();
  discovery.missing();
  discovery.start();
  await time.advance(100_000);
  const before = announcements(calls).length;
  discovery.missing();
  await time.advance(1);
  t.equal(announcements(calls).length, before + 1);
  for (let index = 0; index < 10; index++) {
    discovery.missing();
    await time.advance(100);
  }
  t.equal(announcements(calls).length, before + 1);
  await time.advance(4000);
  t.equal(announcements(calls).length, before + 2);
});

test('a table that does not answer is tried again, and when it is stopped nothing comes any more', async (t) => {
  const { discovery, time, calls, found, world } = createDiscovery();
  world.isDown = true;
  discovery.start();
  await time.advance(1);
  t.equal(discovery.lastFailure, 'too few nodes answered');
  world.isDown = false;
  await time.advance(2000);
  t.equal(discovery.lastFailure, undefined);
  t.equal(found.length, 2);
  discovery.stop();
  discovery.missing();
  await time.advance(1_000_000);
  t.equal(announcements(calls).length, 1);
});
