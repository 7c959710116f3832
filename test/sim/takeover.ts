/** Eight connections of one client id at once, with slow credentials and slow storage: who stays, and are the counters true? */
import { SimClient } from './client.js';
import { createPlan, type Plan } from './plan.js';
import { Random } from './random.js';
import { runWorld, type RunResult } from './run.js';
import { SimWorld } from './world.js';

export const CONTENDERS = 8;

function takeoverPlan(seed: number): Plan {
  const random = new Random(seed, 'plan');
  const plan = createPlan(random);
  return {
    ...plan,
    limits: { ...plan.limits, takeovers: { count: 100, windowMs: 10_000 } },
    store: { ...plan.store, commitMaxMs: 300, openMaxMs: 200 },
    door: { ...plan.door, authenticateMaxMs: 500 },
    clients: Array.from({ length: CONTENDERS }, () => {
      const version = random.pick([4, 5] as const);
      const durable = random.chance(0.5);
      return {
        id: 'contested',
        version,
        expiryS: durable ? (version === 5 ? random.pick([1, 60, 0xffffffff]) : 0xffffffff) : 0,
        keepAliveS: 0,
        receiveMaximum: undefined,
        packetIds: 65535,
        ackDelayMaxMs: 1,
        shared: false,
        refuses: false,
      };
    }),
  };
}

/** Each contender is a client of its own that believes in its id. */
export async function runTakeover(seed: number): Promise<RunResult> {
  const world = new SimWorld(seed, takeoverPlan(seed));
  for (const profile of world.plan.clients) world.clients.push(new SimClient(world, profile));
  const random = world.random('takeover');
  return runWorld(world, async () => {
    for (const client of world.clients) {
      const willMid = random.chance(0.5) ? `will-${world.clients.indexOf(client)}:0` : '';
      const will =
        willMid === ''
          ? undefined
          : {
              topic: 'will/contested',
              payload: Buffer.from(`${willMid}|`),
              qos: random.pick([0, 1, 2] as const),
              retain: false,
              properties: {},
            };
      world.scheduler.after(random.delay(50), 'contender', () =>
        client.connect({ cleanStart: !client.isDurable || random.chance(0.2), will, willMid }),
      );
    }
    // Less than a handshake may take: nobody may be left to its deadline.
    await world.scheduler.advance(8000);
    oneStays(world);
    // Nobody is left over when that one goes too.
    for (const client of world.clients) if (client.connected) client.disconnect(0, undefined);
    await world.scheduler.advance(5000);
    if (world.lanes.connections.size !== 0)
      world.fail('no connection is left over', `${world.lanes.connections.size}`);
    const { missing, wrong } = world.wills.faults(world.scheduler.now());
    const [first] = [...wrong, ...missing];
    if (first !== undefined) world.fail('wills are published when the specification says', first);
  });
}

function oneStays(world: SimWorld): void {
  const { lanes } = world;
  const connected = world.clients.filter((client) => client.connected).length;
  if (connected !== 1) world.fail('exactly one connection stays', `${connected} clients are connected`);
  if (lanes.connections.size !== 1)
    world.fail('exactly one connection stays', `${lanes.connections.size} connections`);
  if (world.live.size !== 1) world.fail('exactly one connection stays', `${world.live.size} at the door`);
  if (lanes.registry.count !== 1) world.fail('one session stays', `${lanes.registry.count}`);
  const [served] = world.live;
  if (served?.session?.link !== served?.connection)
    world.fail('the session belongs to the connection that stays', `#${served?.number}`);
  const accepted = world.counter('connectionsAccepted');
  const refused = world.counter('connectionRefusedClosed') + world.counter('connectionRefusedLimit');
  if (accepted + refused !== world.clients.length)
    world.fail('every CONNECT is accepted or refused once', `${accepted} accepted, ${refused} refused`);
}
