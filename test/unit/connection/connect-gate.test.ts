import t from 'tap';
import type { LaneLimits } from '../../../lib/broker/lanes.js';
import type { Connection } from '../../../lib/connection/connection.js';
import {
  type ConnectPacket,
  decodePacket,
  encodePacket,
  type Packet,
  type ProtocolVersion,
} from '../../../lib/protocol/index.js';
import { FakeTransport, LaneWorld } from '../delivery/lane-world.js';

interface Visitor {
  readonly connection: Connection;
  readonly transport: FakeTransport;
  /** What the client was sent. */
  answer(): Packet | undefined;
}

interface Arena {
  readonly world: LaneWorld;
  /** Connections that the door was asked about. */
  readonly asked: Connection[];
  connect(version?: ProtocolVersion): Visitor;
  /** Time passes, and the lanes look at their timers a few times a second. */
  wait(ms: number): void;
}

const ignore = (): void => {};

function arena(limits: Partial<LaneLimits>): Arena {
  const world = new LaneWorld(limits);
  const asked: Connection[] = [];
  world.lanes.useDoor(
    {
      open: (connection) => {
        asked.push(connection);
        return { closed: ignore, handle: undefined };
      },
    },
    { keepAliveTimeout: ignore, ping: ignore, error: ignore },
  );
  const connect = (version: ProtocolVersion = 5): Visitor => {
    const packet: ConnectPacket = {
      type: 'connect',
      version,
      bridge: false,
      cleanStart: true,
      keepAlive: 0,
      clientId: 'c',
      properties: {},
    };
    const transport = new FakeTransport();
    const connection = world.lanes.accept(transport);
    if (connection === undefined) throw new Error('there is room');
    connection.data(encodePacket(packet, version));
    const answer = (): Packet | undefined => {
      world.endTurn();
      const bytes = transport.takeAll();
      return bytes.length === 0 ? undefined : decodePacket(bytes, version, 'toClient');
    };
    return { connection, transport, answer };
  };
  const wait = (ms: number): void => {
    for (const end = world.now + ms; world.now < end;) {
      world.now = Math.min(end, world.now + 250);
      world.lanes.tick();
    }
  };
  return { world, asked, connect, wait };
}

t.test(
  'three seconds of CONNECTs come in at once, then so many a second; the others never reach the door',
  async (t) => {
    const { world, asked, connect, wait } = arena({ connectsPerSecondMax: 2 });
    for (let n = 0; n < 10; n++) connect();
    t.equal(asked.length, 6);
    wait(500);
    connect();
    connect();
    t.equal(asked.length, 7);
    wait(2000);
    t.same(world.counted('connectionRefused'), { connectionRefusedRate: 5 });
    t.equal(world.counter('receivedConnect'), 12);
  },
);

t.test('the answer waits for a random time of at most two seconds, then says why', async (t) => {
  const { world, connect, wait } = arena({ connectsPerSecondMax: 1 });
  for (let n = 0; n < 3; n++) connect();
  world.random = () => 0;
  const first = connect(4);
  world.random = () => 0.5;
  const second = connect(5);
  world.random = () => 0.999_999;
  const last = connect(3);
  wait(250);
  t.match(first.answer(), { type: 'connack', reasonCode: 3, sessionPresent: false });
  t.equal(second.answer(), undefined);
  wait(500);
  t.equal(second.answer(), undefined);
  wait(250);
  t.match(second.answer(), {
    type: 'connack',
    reasonCode: 0x9f,
    properties: { reasonString: /limits\.connectsPerSecondMax/ },
  });
  t.ok(second.transport.log.includes('end'));
  t.equal(last.answer(), undefined);
  wait(1000);
  t.match(last.answer(), { type: 'connack', reasonCode: 3 });
  t.equal(world.lanes.handshakes, 3, 'those that the door was asked about');
});

t.test('a wait is shorter than the time for CONNECT', async (t) => {
  const { world, connect, wait } = arena({ connectsPerSecondMax: 1, connectTimeoutMs: 300 });
  for (let n = 0; n < 3; n++) connect();
  world.random = () => 0.999_999;
  const refused = connect();
  wait(500);
  t.match(refused.answer(), { reasonCode: 0x9f });
});

t.test(
  'those that wait take half of the handshakes, of one address too; beyond it the answer comes at once',
  async (t) => {
    for (const limits of [
      { handshakesMax: 12, handshakesPerAddressMax: 1000 },
      { handshakesMax: 1000, handshakesPerAddressMax: 12 },
    ]) {
      const { world, connect, wait } = arena({ connectsPerSecondMax: 1, ...limits });
      for (let n = 0; n < 3; n++) connect();
      const refused = Array.from({ length: 20 }, () => connect());
      t.equal(world.lanes.handshakes, 6, 'the other half is free');
      t.equal(refused.filter((visitor) => visitor.answer() !== undefined).length, 17);
      wait(1000);
      t.equal(refused.filter((visitor) => visitor.answer() !== undefined).length, 3);
      t.equal(world.counter('connectionRefusedRate'), 20);
    }
  },
);

t.test('who leaves while its refusal waits is gone, and counted as such', async (t) => {
  const { world, connect, wait } = arena({ connectsPerSecondMax: 1 });
  for (let n = 0; n < 3; n++) connect();
  const timers = world.lanes.timers.size;
  const refused = connect();
  refused.connection.closed(undefined);
  t.equal(world.lanes.timers.size, timers, 'nothing is left of it');
  wait(2000);
  t.same(world.counted('connectionRefused'), { connectionRefusedClosed: 1 });
  t.equal(world.lanes.handshakes, 3);
});

t.test('a gateway that stops does not wait for those that wait', async (t) => {
  const { world, connect } = arena({ connectsPerSecondMax: 1 });
  for (let n = 0; n < 3; n++) connect();
  const refused = connect();
  void world.lanes.drain('the end');
  t.match(refused.answer(), { reasonCode: 0x88 });
});

t.test('without a limit every CONNECT is for the door', async (t) => {
  const { asked, connect } = arena({ connectsPerSecondMax: 0 });
  for (let n = 0; n < 400; n++) connect();
  t.equal(asked.length, 400);
});

t.test('a storm is one line in the log, and one more each ten seconds while it lasts', async (t) => {
  const { world, connect, wait } = arena({ connectsPerSecondMax: 1 });
  for (let n = 0; n < 53; n++) connect();
  wait(2000);
  const lines = (level: string) => world.logged.filter((line) => line.level === level);
  t.match(lines('warn'), [{ fields: { refused: 1, raise: 'limits.connectsPerSecondMax' } }]);
  t.equal(lines('info').length, 0);
  t.equal(lines('debug').length, 50, 'who it was is there for those who look');
  wait(8000);
  for (let n = 0; n < 4; n++) connect();
  t.match(lines('warn').at(-1), { fields: { refused: 50 } });
});
