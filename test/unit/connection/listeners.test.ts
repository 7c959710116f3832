import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import t from 'tap';
import { WebSocket } from 'ws';
import { type ListenerName, parseConfig } from '../../../lib/config/index.js';
import { SprawlError } from '../../../lib/contracts/errors.js';
import { Listeners } from '../../../lib/listeners.js';
import { LaneWorld } from '../delivery/lane-world.js';

function listenersOf(world: LaneWorld, overrides: Record<string, unknown> = {}): Listeners {
  const listeners = { host: '127.0.0.1', mqttPort: 0, wsPort: 0, ...overrides };
  return new Listeners(
    world.lanes,
    parseConfig({ overrides: { listeners, security: { allowAnonymous: true } } }),
    world.env.logger,
  );
}

function portOf(listeners: Listeners, name: ListenerName): number {
  const address = listeners.addresses[name];
  if (address === undefined) throw new Error(`${name} is not open`);
  return address.port;
}

async function refusal(open: Promise<void>): Promise<SprawlError> {
  try {
    await open;
  } catch (error) {
    if (error instanceof SprawlError) return error;
    throw error;
  }
  throw new Error('it opened');
}

t.test('each listener that is on has an address, those that are off have none', async (t) => {
  const world = new LaneWorld();
  const both = listenersOf(world);
  t.same(both.addresses, {});
  await both.open();
  t.same(Object.keys(both.addresses), ['mqtt', 'ws']);
  t.equal(both.addresses.mqtt?.address, '127.0.0.1');
  await both.close();
  t.same(both.addresses, {});
  await both.close();
  const one = listenersOf(world, { wsPort: false });
  await one.open();
  t.same(Object.keys(one.addresses), ['mqtt']);
  await one.close();
});

t.test(
  'a TCP and a WebSocket client become connections of the lanes, and get their bytes there',
  async (t) => {
    const world = new LaneWorld();
    const listeners = listenersOf(world);
    await listeners.open();
    // Anything but CONNECT ends a connection that has just begun, which shows that its bytes arrived.
    const pingreq = Buffer.of(0xc0, 0);
    const tcp = connect(portOf(listeners, 'mqtt'), '127.0.0.1');
    tcp.write(pingreq);
    tcp.resume();
    await once(tcp, 'close');
    t.equal(world.counter('connectionRefusedProtocol'), 1);

    const socket = new WebSocket(`ws://127.0.0.1:${portOf(listeners, 'ws')}/mqtt`, ['x', 'mqtt']);
    await once(socket, 'open');
    t.equal(socket.protocol, 'mqtt', '[MQTT-6.0.0-4]');
    socket.send(pingreq);
    await once(socket, 'close');
    t.equal(world.counter('connectionRefusedProtocol'), 2);
    t.equal(world.counter('bytesReceived'), 4);
    await listeners.close();
  },
);

t.test('a client for whom there is no room is cut off without a word', async (t) => {
  const world = new LaneWorld({ connectionsMax: 0 });
  const listeners = listenersOf(world);
  await listeners.open();
  const tcp = connect(portOf(listeners, 'mqtt'), '127.0.0.1');
  const got: Buffer[] = [];
  tcp.on('data', (bytes: Buffer) => got.push(bytes));
  tcp.on('error', () => {});
  await once(tcp, 'close');
  t.same(got, []);
  const socket = new WebSocket(`ws://127.0.0.1:${portOf(listeners, 'ws')}/mqtt`, 'mqtt');
  socket.on('error', () => {});
  await new Promise<void>((resolve) => socket.on('close', () => resolve()));
  t.equal(world.counter('connectionRefusedLimit'), 2);
  await listeners.close();
});

t.test('a port in use is named with the key that changes it, and nothing stays open', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const address = taken.address();
  const port = address !== null && typeof address === 'object' ? address.port : -1;
  const world = new LaneWorld();
  const listeners = listenersOf(world, { wsPort: port });
  const error = await refusal(listeners.open());
  t.equal(error.code, 'LISTEN_FAILED');
  t.match(error.message, new RegExp(`port ${port} on 127.0.0.1 is in use.*listeners.wsPort`));
  t.match(error.details, { host: '127.0.0.1', port, listener: 'ws' });
  t.same(listeners.addresses, {}, 'the MQTT listener that was opened before is closed again');
  taken.close();
});

t.test('an address that this machine does not have is named, too', async (t) => {
  const listeners = listenersOf(new LaneWorld(), { host: '203.0.113.1', mqttPort: 0 });
  const error = await refusal(listeners.open());
  t.equal(error.code, 'LISTEN_FAILED');
  t.match(error.message, /203\.0\.113\.1.*listeners\.host/);
});

t.test('TLS files that cannot be read are named with their key, and nothing is opened', async (t) => {
  const directory = t.testdir({ 'cert.pem': 'no certificate', 'key.pem': 'no key' });
  const absent = { certFile: `${directory}/absent.pem`, keyFile: `${directory}/key.pem` };
  const first = listenersOf(new LaneWorld(), { tls: absent, tlsPort: 0, wssPort: 0 });
  const unreadable = await refusal(first.open());
  t.equal(unreadable.code, 'TLS_FILE_INVALID');
  t.match(unreadable.message, /absent\.pem.*listeners\.tls\.certFile/);
  t.same(first.addresses, {});
  const broken = { certFile: `${directory}/cert.pem`, keyFile: `${directory}/key.pem` };
  const second = listenersOf(new LaneWorld(), { tls: broken, tlsPort: 0, wssPort: 0 });
  const faulty = await refusal(second.open());
  t.equal(faulty.code, 'TLS_FILE_INVALID');
  t.match(faulty.message, /cert\.pem, the value of listeners\.tls\.certFile, begins with no certificate/);
  t.same(second.addresses, {});
});
