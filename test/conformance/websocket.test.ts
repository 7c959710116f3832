/** Chapter 6: MQTT over WebSocket. */
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { RawClient, unique } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import * as wire from '../support/wire.js';
import type { Version } from '../support/wire.js';

const server = await startServer(t, { websocket: true });
const VERSIONS = [4, 5] as const;

/** An open WebSocket and the MQTT client on it; each `send` is one frame. */
async function open(t: Test, version: Version, protocols: string[] = ['mqtt']) {
  const socket = new WebSocket(`ws://127.0.0.1:${server.wsPort}/mqtt`, protocols);
  t.teardown(() => socket.terminate());
  const client = new RawClient(
    { write: (bytes) => socket.send(bytes), end: () => socket.close(), destroy: () => socket.terminate() },
    { version },
  );
  socket.on('message', (data, isBinary) => {
    t.ok(isBinary, 'the server sends binary frames');
    if (Buffer.isBuffer(data)) client.feed(data);
  });
  socket.on('error', (error) => client.fault(error.message));
  socket.on('close', () => client.closed());
  await once(socket, 'open', { signal: AbortSignal.timeout(2000) });
  return { socket, client };
}

t.test(
  '3.1.1 [MQTT-6.0.0-4] 5 [MQTT-6.0.0-4] [MQTT-6.0.0-3] the server picks the subprotocol mqtt',
  async (t) => {
    for (const protocols of [['mqtt'], ['other', 'mqtt']]) {
      const { socket, client } = await open(t, 5, protocols);
      t.equal(socket.protocol, 'mqtt');
      t.equal((await client.connect()).reasonCode, 0);
    }
  },
);

t.test(
  '3.1.1 [MQTT-6.0.0-1] 5 [MQTT-6.0.0-1] MQTT runs in binary frames, and a text frame ends the connection',
  async (t) => {
    for (const version of VERSIONS) {
      const { socket, client } = await open(t, version);
      await client.connect();
      await client.expectNothing();
      socket.send('text');
      await client.take('the end', ({ type }) => type === 'disconnect').catch(() => undefined);
      await client.expectClose();
    }
  },
);

t.test(
  '3.1.1 [MQTT-6.0.0-2] 5 [MQTT-6.0.0-2] frames may hold several packets and parts of packets',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('ws');
      const { client } = await open(t, version);
      const bytes = Buffer.concat([
        wire.connect({ version, clientId: unique('ws') }),
        wire.subscribe(1, [{ filter: topic }], { version }),
        wire.publish({ version, topic, payload: 'x'.repeat(300) }),
        wire.PINGREQ,
      ]);
      for (let offset = 0; offset < bytes.length; offset += 7)
        client.send(bytes.subarray(offset, offset + 7));
      t.equal((await client.expect('connack')).reasonCode, 0);
      await client.expect('suback');
      await client.take('publish', ({ payload }) => payload.length === 300);
      await client.take('pingresp', ({ type }) => type === 'pingresp');
      client.send(wire.PINGREQ, wire.publish({ version, topic, payload: 'y' }), wire.PINGREQ);
      await client.take('publish', ({ payload }) => payload === 'y');
      for (let n = 0; n < 2; n++) await client.take('pingresp', ({ type }) => type === 'pingresp');
    }
  },
);

t.test(
  '3.1.1 [MQTT-7.1.1-1] 5 [MQTT-4.2-1] a message crosses between TCP and WebSocket in both directions',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('ws');
      const { client } = await open(t, version);
      await client.connect();
      const tcp = await RawClient.connect(t, server.port, { version });
      await client.subscribe(topic, { qos: 1 });
      await tcp.subscribe(topic, { qos: 1 });
      for (const publisher of [client, tcp]) {
        await publisher.publish(topic, 'x', { qos: 1 });
        for (const one of [client, tcp])
          await one.complete(await one.take('publish', ({ type }) => type === 'publish'));
      }
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.1.2-8] 5 [MQTT-3.1.2-8] a WebSocket that closes without DISCONNECT publishes the will',
  async (t) => {
    for (const end of ['end', 'destroy'] as const) {
      const topic = unique('ws');
      const watcher = await RawClient.connect(t, server.port);
      await watcher.subscribe(topic);
      const { client } = await open(t, 5);
      await client.connect({ will: { topic, payload: 'gone' } });
      client[end]();
      await watcher.expectPublish(topic, 'gone');
    }
  },
);
