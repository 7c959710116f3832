/** Retained topics that have come to the greatest counter, after four thousand million writes or by what a member said. */
import t from 'tap';
import { RETAINED_COUNTER_MAX } from '../../../../lib/contracts/streams.js';
import { Channel } from '../../../../mesh/link/peer-link.js';
import { encodeState } from '../../../../mesh/retained/retained-frames.js';
import type { Scheduler } from '../../../sim/scheduler.js';
import { mesh, restarted, type Site, type TestMesh } from './site.js';

const TOPIC = 'state/x';

/** As if versions up to there had been forgotten. */
async function withFloor(world: TestMesh, site: Site, floor: number): Promise<Site> {
  const again = await restarted(world, site);
  await again.openStore();
  again.store.setNote('retained', Buffer.from(JSON.stringify({ known: [], dropped: [], floor })));
  again.begin();
  return again;
}

const counterOf = ({ lanes }: Site): number => lanes.env.retention.counterOf(TOPIC);

/** All that a comparison does is done. */
async function compared(scheduler: Scheduler, { node }: Site): Promise<void> {
  await scheduler.advance(1000);
  for (const peer of node.peers) peer.requestRound();
  await scheduler.advance(1000);
}

async function floored(floor: number) {
  const world = await mesh([{}, {}]);
  const [first, second] = world.sites as [Site, Site];
  const a = await withFloor(world, first, floor);
  const b = await withFloor(world, second, floor);
  for (const site of [a, b]) {
    world.network.start(site);
    void site.subscribe('state/#');
  }
  await world.scheduler.advance(2000);
  return { a, b, world, scheduler: world.scheduler };
}

t.test('a floor that an earlier version took from a member is the greatest that there is', async (t) => {
  const { a } = await floored(2 ** 53 - 2);
  t.equal(a.node.retainedFloor, RETAINED_COUNTER_MAX);
});

t.test('what a gateway publishes goes on being the newest as counters come to their end', async (t) => {
  const { a, b, world, scheduler } = await floored(RETAINED_COUNTER_MAX - 2);
  const sent: string[] = [];
  for (const [n, qos] of ([1, 0, 2, 0, 1] as const).entries()) {
    a.publish(TOPIC, `${n}`, qos, true);
    sent.push(`${TOPIC} ${n}`);
    await scheduler.advance(1000);
    t.same(
      [a, b].map((site) => site.retained(TOPIC)),
      [`${n}`, `${n}`],
    );
  }
  t.same([a, b].map(counterOf), [RETAINED_COUNTER_MAX, RETAINED_COUNTER_MAX]);
  t.same([a.got, b.got], [sent, sent]);

  const again = await restarted(world, b);
  await again.open();
  world.network.start(again);
  await compared(scheduler, again);
  t.same([a, again].map(counterOf), [RETAINED_COUNTER_MAX, RETAINED_COUNTER_MAX]);
  a.publish(TOPIC, '', 1, true);
  await scheduler.advance(1000);
  t.same(
    [a, again].map((site) => site.retained(TOPIC)),
    [undefined, undefined],
  );
  a.publish(TOPIC, 'anew', 1, true);
  await compared(scheduler, again);
  t.same(
    [a, again].map((site) => site.retained(TOPIC)),
    ['anew', 'anew'],
  );
});

t.test(
  'at the greatest counter all come to the message of the greater gateway, and clients of the other get its own',
  async (t) => {
    const { a, b, scheduler } = await floored(RETAINED_COUNTER_MAX);
    t.ok(a.id < b.id);
    b.publish(TOPIC, 'stands', 1, true);
    await scheduler.advance(1000);
    for (const qos of [0, 1] as const) {
      a.publish(TOPIC, `own ${qos}`, qos, true);
      a.publish(TOPIC, '', qos, true);
      await compared(scheduler, a);
      t.same(
        [a, b].map((site) => site.retained(TOPIC)),
        ['stands', 'stands'],
        `QoS ${qos}`,
      );
    }
    t.same(a.got, [`${TOPIC} stands`, `${TOPIC} own 0`, `${TOPIC} `, `${TOPIC} own 1`, `${TOPIC} `]);
    b.publish(TOPIC, 'and changes', 1, true);
    await scheduler.advance(1000);
    t.same(
      [a, b].map((site) => site.retained(TOPIC)),
      ['and changes', 'and changes'],
    );
  },
);

t.test('a floor beyond the greatest ends the link of who tells it, and nothing else', async (t) => {
  const { scheduler, sites } = await mesh([{}, {}, {}]);
  const [a, b, c] = sites as [Site, Site, Site];
  const floor = Number.MAX_SAFE_INTEGER;
  const frame = encodeState('settled', 1, { floor, head: 1, rosterVersion: 0, known: [], dropped: [] });
  const toB = [...a.node.peers].find(({ gateway }) => gateway === b.id);
  toB?.link?.send(Channel.retained, frame);
  const reasons = new Set<string | undefined>();
  for (let n = 0; n < 20; n++) {
    await scheduler.advance(1);
    reasons.add([...b.node.peers].find(({ gateway }) => gateway === a.id)?.reason);
  }
  t.match([...reasons].join(), /a counter of 9007199254740991 where 4294967295 is the most/);
  await scheduler.advance(1000);
  t.equal(b.node.retainedFloor, 0);
  c.publish(TOPIC, 'x', 1, true);
  await scheduler.advance(1000);
  t.equal(b.retained(TOPIC), 'x');
});
