/** WebSocket listeners from the outside: hand-shake, subprotocols, and what is no MQTT. */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect as connectTcp, type Socket } from 'node:net';
import mqtt from 'mqtt';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { C } from '../../lib/telemetry/index.js';
import { startTestGateway, type TestGateway } from '../interop/gateway.js';
import * as wire from '../support/wire.js';
import { eventually } from '../support/eventually.js';

const gateway = await startTestGateway(t, { mqtt: { connectTimeoutMs: 500 } });
const urlOf = ({ port }: TestGateway, path: string): string => `ws://127.0.0.1:${port('ws')}${path}`;

/** What the server said to a hand-shake that it refused. */
async function refusal(socket: WebSocket): Promise<number | undefined> {
  socket.on('error', () => undefined); // Comes with the refusal.
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  socket.terminate();
  return response.statusCode;
}

async function opened(t: Test, protocol: string): Promise<WebSocket> {
  const socket = new WebSocket(urlOf(gateway, '/mqtt'), protocol);
  t.teardown(() => socket.terminate());
  await once(socket, 'open');
  return socket;
}

/** A TCP connection that says `text` and then nothing. */
function quiet(t: Test, { port }: TestGateway, text = ''): Socket {
  const socket = connectTcp(port('ws'), '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.on('error', () => undefined); // Being reset is one way to be closed.
  socket.resume();
  socket.write(text);
  return socket;
}

t.setTimeout(30_000);

t.test('the subprotocol is the one that the client offered', async (t) => {
  t.equal((await opened(t, 'mqtt')).protocol, 'mqtt');
  t.equal((await opened(t, 'mqttv3.1')).protocol, 'mqttv3.1');
});

t.test('another path is refused', async (t) => {
  t.equal(await refusal(new WebSocket(urlOf(gateway, '/other'), 'mqtt')), 400);
});

t.test('a request that is no hand-shake is told so', async (t) => {
  const request = get(`http://127.0.0.1:${gateway.port('ws')}/mqtt`);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.resume();
  t.equal(response.statusCode, 426);
  t.equal(response.headers.upgrade, 'websocket');
});

t.test('packets may be split and joined over WebSocket frames as they like', async (t) => {
  const socket = await opened(t, 'mqtt');
  const bytes = Buffer.concat([wire.connect({ version: 4 }), wire.PINGREQ, wire.PINGREQ]);
  const received: Buffer[] = [];
  socket.on('message', (data) => received.push(Buffer.isBuffer(data) ? data : Buffer.alloc(0)));
  for (const byte of bytes.subarray(0, 9)) socket.send(Buffer.of(byte));
  socket.send(bytes.subarray(9));
  while (Buffer.concat(received).length < 8) await once(socket, 'message');
  t.equal(Buffer.concat(received).toString('hex'), '20020000d000d000');
});

t.test('packets of one message may together be larger than a packet may be', async (t) => {
  const small = await startTestGateway(t, { mqtt: { packetMaxBytes: 2048, connectMaxBytes: 2048 } });
  const socket = new WebSocket(urlOf(small, '/mqtt'), 'mqtt');
  t.teardown(() => socket.terminate());
  await once(socket, 'open');
  const CONNACK_BYTES = 4;
  const PUBACK_BYTES = 4;
  const COUNT = 90;
  let receivedBytes = 0;
  socket.on('message', (data: Buffer) => (receivedBytes += data.length));
  socket.send(wire.connect({ version: 4 }));
  await eventually(() => receivedBytes === CONNACK_BYTES);
  await eventually(() => small.gateway.lanes.handshakes === 0);
  const publish = (packetId: number, bytes: number): Buffer =>
    Buffer.from(wire.publish({ version: 4, topic: 't', payload: Buffer.alloc(bytes), qos: 1, packetId }));
  // More than a stranger may send.
  socket.send(Buffer.concat(Array.from({ length: COUNT }, (_, index) => publish(index + 1, 1000))));
  await eventually(() => receivedBytes === CONNACK_BYTES + COUNT * PUBACK_BYTES);
  socket.send(publish(COUNT + 1, 2048));
  await once(socket, 'close');
  t.equal(receivedBytes, CONNACK_BYTES + COUNT * PUBACK_BYTES, 'a packet has the limit that it had');
});

t.test('a message without end is not held for somebody who is not in', async (t) => {
  const small = await startTestGateway(t, {
    mqtt: { packetMaxBytes: 2048, connectMaxBytes: 2048, connectTimeoutMs: 60_000 },
  });
  const socket = new WebSocket(urlOf(small, '/mqtt'), 'mqtt');
  t.teardown(() => socket.terminate());
  socket.on('error', () => undefined); // Being reset is one way to be cut off.
  await once(socket, 'open');
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket.send(Buffer.alloc(100_000), { fin: false }, () => undefined);
  await closed;
  await eventually(() => small.gateway.lanes.connectionCount === 0);
});

t.test('a text frame ends the connection', async (t) => {
  const socket = await opened(t, 'mqtt');
  socket.send('100c00044d5154540402003c0000');
  await once(socket, 'close');
});

t.test('a hand-shake that never ends, and one without CONNECT, are cut off', async () => {
  const silent = connectTcp(gateway.port('ws'), '127.0.0.1');
  silent.on('error', () => undefined); // Being reset is one way to be cut off.
  silent.resume();
  silent.write('GET /mqtt HTTP/1.1\r\nHost: x\r\n');
  const idle = new WebSocket(urlOf(gateway, '/mqtt'), 'mqtt');
  await Promise.all([once(silent, 'close'), once(idle, 'close')]);
});

t.test('a request with an expectation is told so too, and its connection does not stay', async (t) => {
  const asking = quiet(t, gateway, 'GET /mqtt HTTP/1.1\r\nHost: x\r\nExpect: cake\r\n\r\n');
  const [answer] = (await once(asking, 'data')) as [Buffer];
  t.match(answer.toString(), /^HTTP\/1\.1 426 /);
  await once(asking, 'close');
});

t.test('whoever has said nothing yet, or half of a request, does not hold up the end', async (t) => {
  const ending = await startTestGateway(t, { mqtt: { connectTimeoutMs: 60_000 } });
  const strangers = [quiet(t, ending), quiet(t, ending, 'GET /mqtt HTTP/1.1\r\nHost: x\r\n')];
  const client = new WebSocket(urlOf(ending, '/mqtt'), 'mqtt');
  t.teardown(() => client.terminate());
  await once(client, 'open');
  client.send(wire.connect({ version: 5, clientId: 'told' }));
  await once(client, 'message');
  const last = once(client, 'message');
  const signal = AbortSignal.timeout(5000);
  const closed = Promise.all(strangers.map((socket) => once(socket, 'close', { signal })));
  const stopped = ending.gateway.stop({ drainTimeoutMs: 60_000 });
  await closed;
  await stopped;
  const [bytes] = (await last) as [Buffer];
  t.equal(bytes.subarray(0, 1).toString('hex') + bytes.subarray(2, 3).toString('hex'), 'e08b', 'DISCONNECT');
});

t.test(
  'who is still in HTTP counts as a handshake, beyond the limit is closed, and gives its place back',
  async (t) => {
    const limits = { handshakesPerAddressMax: 4, connectionsMax: 5 };
    const strict = await startTestGateway(t, { limits, mqtt: { connectTimeoutMs: 60_000 } });
    const { lanes } = strict.gateway;
    const HALF = 'GET /mqtt HTTP/1.1\r\nHost: x\r\n';
    const UPGRADE = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n`;
    const leaving = quiet(t, strict);
    const noWebSocket = quiet(t, strict, HALF);
    const badPath = quiet(t, strict, HALF.replace('/mqtt', '/other') + UPGRADE);
    const noHttp = quiet(t, strict);
    await once(quiet(t, strict), 'close', { signal: AbortSignal.timeout(5000) });
    t.strictSame([lanes.handshakes, lanes.connectionCount], [4, 4]);
    t.equal(lanes.counters[C.connectionRefusedLimit], 1);
    leaving.destroy();
    await eventually(() => lanes.handshakes === 3);
    const client = new WebSocket(urlOf(strict, '/mqtt'), 'mqtt');
    t.teardown(() => client.terminate());
    await once(client, 'open');
    t.strictSame([lanes.handshakes, lanes.connectionCount], [4, 4], 'it is counted once');
    client.send(wire.connect({ version: 4 }));
    await eventually(() => lanes.handshakes === 3);
    t.equal(lanes.connectionCount, 4);
    const last = quiet(t, strict);
    await eventually(() => lanes.connectionCount === 5);
    last.destroy();
    await eventually(() => lanes.connectionCount === 4);
    noWebSocket.write('\r\n');
    badPath.write('Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n');
    noHttp.write('hello\r\n\r\n');
    await eventually(() => lanes.handshakes === 0);
    t.equal(lanes.connectionCount, 1, 'the client');
    client.terminate();
    await eventually(() => lanes.connectionCount === 0);
  },
);

t.test('clients over WebSocket and over TCP reach each other', async (t) => {
  const over = async (url: string): Promise<mqtt.MqttClient> => {
    const client = await mqtt.connectAsync(url, { reconnectPeriod: 0 });
    t.teardown(() => client.endAsync(true));
    return client;
  };
  const web = await over(urlOf(gateway, '/mqtt'));
  const tcp = await over(`mqtt://127.0.0.1:${gateway.port('mqtt')}`);
  const next = (client: mqtt.MqttClient): Promise<string> =>
    new Promise((resolve) => client.once('message', (_topic, payload) => resolve(payload.toString())));
  await web.subscribeAsync('to/web', { qos: 1 });
  await tcp.subscribeAsync('to/tcp', { qos: 1 });
  const [atWeb, atTcp] = [next(web), next(tcp)];
  await tcp.publishAsync('to/web', 'from tcp', { qos: 1 });
  await web.publishAsync('to/tcp', 'from web', { qos: 1 });
  t.strictSame([await atWeb, await atTcp], ['from tcp', 'from web']);
});
