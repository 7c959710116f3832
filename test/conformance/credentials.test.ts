/** Chapters 3.1.4, 3.3.5 and 5.4: who may connect, publish and subscribe. */
import t from 'tap';
import { RawClient, unique, type ConnectOptions } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import * as wire from '../support/wire.js';

const ACL =
  ['user ann', 'topic readwrite ann/#', 'topic read shared/#', 'topic write drop/#'].join('\n') + '\n';
const server = await startServer(t, { anonymous: false, users: { ann: 'secret', bob: 'other' }, acl: ACL });
const VERSIONS = [4, 5] as const;

t.test(
  '3.1.1 [MQTT-3.2.2-4] [MQTT-3.2.2-5] [MQTT-3.2.2-6] 5 [MQTT-3.1.4-2] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.2.2-8] [MQTT-4.13.2-1] wrong or missing credentials are refused in CONNACK, and the connection ends',
  async (t) => {
    const attempts: ConnectOptions[] = [
      {},
      { username: 'ann' },
      { username: 'ann', password: 'wrong' },
      { username: 'ann', password: '' },
      { username: 'nobody', password: 'secret' },
      { username: 'bob', password: 'secret' },
      { username: '', password: '' },
    ];
    for (const attempt of attempts) {
      const young = await RawClient.open(t, server.port);
      young.send(wire.connect({ clientId: unique('cred'), ...attempt }));
      await young.expectRefused([0x86, 0x87]);
      const old = await RawClient.open(t, server.port, { version: 4 });
      old.send(wire.connect({ version: 4, clientId: unique('cred'), ...attempt }));
      await old.expectRefused([0x04, 0x05]);
    }
    for (const version of VERSIONS)
      await RawClient.connect(t, server.port, { version, username: 'ann', password: 'secret' });
  },
);

t.test(
  '3.1.1 [MQTT-3.1.4-5] 5 [MQTT-3.1.4-6] a refused client does not disturb the one whose id it used',
  async (t) => {
    const clientId = unique('victim');
    const victim = await RawClient.connect(t, server.port, { clientId, username: 'ann', password: 'secret' });
    const stranger = await RawClient.open(t, server.port);
    stranger.send(wire.connect({ clientId, username: 'ann', password: 'wrong' }));
    await stranger.expectRefused([0x86, 0x87]);
    await victim.expectNothing();
  },
);

t.test(
  '5 [MQTT-3.4.2-1] [MQTT-3.5.2-1] a publish without permission reaches nobody and is answered with 0x87',
  async (t) => {
    const credentials = { username: 'ann', password: 'secret' };
    const watcher = await RawClient.connect(t, server.port, credentials);
    await watcher.subscribe(['shared/#', 'ann/#'], { qos: 0 });
    for (const qos of [0, 1, 2]) {
      const client = await RawClient.connect(t, server.port, credentials);
      const answer = await client.publish('shared/x', 'no', { qos });
      if (qos > 0) t.equal(answer?.reasonCode, 0x87);
      await client.publish('ann/x', 'yes', { qos: 1 });
      await watcher.expectPublish('ann/x', 'yes');
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.3.5-2] a publish without permission reaches nobody and is acknowledged like any other, or ends the connection',
  async (t) => {
    const credentials = { version: 4, username: 'ann', password: 'secret' } as const;
    const watcher = await RawClient.connect(t, server.port, credentials);
    await watcher.subscribe(['shared/#', 'ann/#'], { qos: 0 });
    for (const qos of [1, 2]) {
      const client = await RawClient.connect(t, server.port, credentials);
      client.sendPublish('shared/x', 'no', { qos, packetId: 9 });
      const answer = await client.take('an answer', () => true).catch(() => undefined);
      const type = qos === 1 ? 'puback' : 'pubrec';
      if (answer === undefined) await client.expectClose();
      else t.same([answer.type, answer.packetId], [type, 9]);
    }
    await watcher.publish('ann/x', 'yes', { qos: 1 });
    await watcher.take('publish', ({ payload }) => payload === 'yes');
    t.notOk(watcher.received.some(({ payload }) => payload === 'no'));
  },
);

t.test('5 [MQTT-4.3.3-9] the id of a refused QoS 2 publish is free at once', async (t) => {
  const client = await RawClient.connect(t, server.port, { username: 'ann', password: 'secret' });
  await client.subscribe('ann/#');
  for (const [topic, code] of [
    ['shared/x', 0x87],
    ['shared/y', 0x87],
    ['ann/x', 0],
  ] as const) {
    client.sendPublish(topic, 'x', { qos: 2, packetId: 7 });
    t.equal((await client.take('pubrec', ({ type }) => type === 'pubrec')).reasonCode, code);
  }
  client.ack('pubrel', 7);
  t.equal((await client.take('pubcomp', ({ type }) => type === 'pubcomp')).reasonCode, 0);
});

t.test(
  '3.1.1 [MQTT-3.8.4-5] [MQTT-3.9.3-1] [MQTT-3.9.3-2] 5 [MQTT-3.9.3-1] [MQTT-3.9.3-2] a subscription without permission is refused in its place or brings nothing',
  async (t) => {
    for (const version of VERSIONS) {
      const credentials = { version, username: 'ann', password: 'secret' };
      const client = await RawClient.connect(t, server.port, credentials);
      const { reasonCodes } = await client.subscribe(['ann/a', 'drop/a', 'shared/a'], {
        qos: 1,
        allowRefusal: true,
      });
      t.equal(reasonCodes.length, 3);
      t.equal(reasonCodes[0], 1);
      t.equal(reasonCodes[2], 1);
      const refusal = version === 5 ? 0x87 : 0x80;
      t.ok([refusal, 1].includes(reasonCodes[1] ?? -1));
      await client.publish('drop/a', 'x', { qos: 1 });
      await client.expectNothing();
    }
  },
);

t.test('3.1.1 [MQTT-3.1.2-8] 5 [MQTT-3.1.2-8] a will without permission reaches nobody', async (t) => {
  const credentials = { username: 'ann', password: 'secret' };
  const watcher = await RawClient.connect(t, server.port, credentials);
  await watcher.subscribe(['shared/#', 'ann/#']);
  const clientId = unique('will');
  const client = await RawClient.open(t, server.port);
  client.send(wire.connect({ clientId, will: { topic: 'shared/will' }, ...credentials }));
  const connack = await client.expect('connack');
  t.ok([0, 0x87].includes(connack.reasonCode));
  client.destroy();
  // Accepted only once the server has seen the end of the first.
  await RawClient.connect(t, server.port, { clientId, ...credentials });
  await watcher.publish('ann/marker', 'x', { qos: 1 });
  await watcher.expectPublish('ann/marker');
});
