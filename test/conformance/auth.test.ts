/** Chapters 3.15 and 4.12: enhanced authentication, with SCRAM-SHA-256. */
import t, { type Test } from 'tap';
import { RawClient, unique } from '../support/raw-client.js';
import { ScramClient } from '../support/scram-client.js';
import { startServer } from '../support/server.js';
import { target } from '../support/target.js';
import * as wire from '../support/wire.js';

const METHOD = 'SCRAM-SHA-256';
const server = await startServer(t, { scramUsers: { ann: 'secret' } });
const skip = target === 'mosquitto' && 'this mosquitto offers no enhanced authentication';

const bytesOf = (data: string | wire.Bytes | undefined): Buffer => Buffer.from(data ?? '');

/** Sends CONNECT with the first SCRAM message and waits for the challenge. */
async function challenged(t: Test, scram: ScramClient, fields: wire.ConnectFields = {}) {
  const client = await RawClient.open(t, server.port);
  const { properties, ...rest } = fields;
  client.send(
    wire.connect({
      clientId: unique('auth'),
      ...rest,
      properties: {
        authenticationMethod: METHOD,
        authenticationData: scram.first(),
        ...(properties instanceof Uint8Array ? {} : properties),
      },
    }),
  );
  const challenge = await client.expect('auth');
  return { client, challenge };
}

function answer(scram: ScramClient, challenge: { properties: wire.Properties }): Buffer {
  return wire.auth(0x18, {
    authenticationMethod: METHOD,
    authenticationData: scram.final(bytesOf(challenge.properties.authenticationData)),
  });
}

async function authenticated(t: Test, fields?: wire.ConnectFields): Promise<RawClient> {
  const scram = new ScramClient('ann', 'secret');
  const { client, challenge } = await challenged(t, scram, fields);
  client.send(answer(scram, challenge));
  const connack = await client.expect('connack');
  if (connack.reasonCode !== 0) throw client.failure('was not authenticated');
  return client;
}

t.test(
  '5 [MQTT-4.12.0-1] [MQTT-3.2.2-8] an unknown authentication method is refused with 0x8C',
  async (t) => {
    for (const authenticationMethod of ['UNKNOWN', '', 'scram-sha-256', 'SCRAM-SHA-1']) {
      const client = await RawClient.open(t, server.port);
      client.send(
        wire.connect({
          clientId: unique('auth'),
          properties: { authenticationMethod, authenticationData: 'x' },
        }),
      );
      await client.expectRefused(0x8c);
    }
  },
);

t.test(
  '5 [MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5] [MQTT-3.15.2-1] [MQTT-3.1.2-30] [MQTT-3.2.0-1] SCRAM succeeds with the right password, and both sides have proved themselves',
  { skip },
  async (t) => {
    const scram = new ScramClient('ann', 'secret');
    const { client, challenge } = await challenged(t, scram);
    t.equal(challenge.reasonCode, 0x18);
    t.equal(challenge.properties.authenticationMethod, METHOD);
    client.send(answer(scram, challenge));
    const connack = await client.expect('connack');
    t.equal(connack.reasonCode, 0);
    t.equal(connack.properties.authenticationMethod, METHOD);
    t.ok(scram.trusts(bytesOf(connack.properties.authenticationData)));
    await client.expectNothing();
  },
);

t.test(
  '5 [MQTT-4.12.0-4] SCRAM with a wrong password or an unknown user is refused in CONNACK, after the same steps',
  { skip },
  async (t) => {
    for (const [user, password] of [
      ['ann', 'wrong'],
      ['nobody', 'secret'],
    ] as const) {
      const scram = new ScramClient(user, password);
      const { client, challenge } = await challenged(t, scram);
      client.send(answer(scram, challenge));
      await client.expectRefused([0x86, 0x87]);
    }
  },
);

t.test(
  '5 [MQTT-4.12.0-4] [MQTT-4.12.0-3] data that is no SCRAM, an answer of another method or code, and packets before CONNACK are refused',
  { skip },
  async (t) => {
    const cases: readonly (readonly [string, wire.Bytes])[] = [
      ['garbage', wire.auth(0x18, { authenticationMethod: METHOD, authenticationData: 'garbage' })],
      ['no data', wire.auth(0x18, { authenticationMethod: METHOD })],
      ['another method', wire.auth(0x18, { authenticationMethod: 'OTHER', authenticationData: 'x' })],
      ['no method', wire.auth(0x18)],
      ['code 0x00', wire.auth(0x00, { authenticationMethod: METHOD, authenticationData: 'x' })],
      ['code 0x19', wire.auth(0x19, { authenticationMethod: METHOD, authenticationData: 'x' })],
      ['a second CONNECT', wire.connect()],
      ['PUBLISH', wire.publish({ topic: 'a' })],
      ['SUBSCRIBE', wire.subscribe(1, [{ filter: '#' }])],
    ];
    for (const [what, packet] of cases) {
      const { client } = await challenged(t, new ScramClient('ann', 'secret'));
      client.send(packet);
      await t.resolves(client.expectRefused([0x81, 0x82, 0x86, 0x87, 0x8c]), what);
    }
  },
);

t.test('5 [MQTT-3.1.2-30] a client may leave in the middle of its authentication', { skip }, async (t) => {
  const { client } = await challenged(t, new ScramClient('ann', 'secret'));
  await client.disconnect();
});

t.test(
  '5 [MQTT-4.12.0-6] without a method in CONNECT the server sends no AUTH, and no method in CONNACK',
  async (t) => {
    const client = await RawClient.open(t, server.port);
    const connack = await client.connect();
    t.equal(connack.properties.authenticationMethod, undefined);
    t.equal(connack.properties.authenticationData, undefined);
  },
);

t.test(
  '5 [MQTT-4.12.0-7] [MQTT-4.13.1-1] AUTH without a method in CONNECT ends the connection',
  async (t) => {
    for (const packet of [
      wire.auth(0x19, { authenticationMethod: METHOD, authenticationData: 'x' }),
      wire.auth(0x18),
      wire.frame(0xf0),
    ]) {
      const client = await RawClient.connect(t, server.port);
      client.send(packet);
      await client.expectDisconnect([0x81, 0x82]);
    }
  },
);

t.test(
  '5 [MQTT-4.12.1-1] [MQTT-4.12.0-5] [MQTT-3.15.2-1] a client may authenticate again, while its traffic goes on',
  { skip },
  async (t) => {
    const client = await authenticated(t);
    const topic = unique('reauth');
    await client.subscribe(topic);
    for (let round = 0; round < 2; round++) {
      const scram = new ScramClient('ann', 'secret');
      client.send(wire.auth(0x19, { authenticationMethod: METHOD, authenticationData: scram.first() }));
      const challenge = await client.expect('auth');
      t.equal(challenge.reasonCode, 0x18);
      t.equal(challenge.properties.authenticationMethod, METHOD);
      client.sendPublish(topic, 'meanwhile');
      await client.expectPublish(topic, 'meanwhile');
      client.send(answer(scram, challenge));
      const done = await client.expect('auth');
      t.equal(done.reasonCode, 0x00);
      t.equal(done.properties.authenticationMethod, METHOD);
      t.ok(scram.trusts(bytesOf(done.properties.authenticationData)));
      await client.expectNothing();
    }
  },
);

t.test(
  '5 [MQTT-4.12.1-2] [MQTT-4.12.1-1] a re-authentication that fails, or has another method, ends the connection',
  { skip },
  async (t) => {
    const client = await authenticated(t);
    const scram = new ScramClient('ann', 'wrong');
    client.send(wire.auth(0x19, { authenticationMethod: METHOD, authenticationData: scram.first() }));
    client.send(answer(scram, await client.expect('auth')));
    await client.expectDisconnect([0x86, 0x87]);
    const other = await authenticated(t);
    other.send(wire.auth(0x19, { authenticationMethod: 'OTHER', authenticationData: 'x' }));
    await other.expectDisconnect([0x82, 0x87, 0x8c]);
    const third = await authenticated(t);
    third.send(wire.auth(0x18, { authenticationMethod: METHOD, authenticationData: 'x' }));
    await third.expectDisconnect([0x81, 0x82]);
  },
);

t.test(
  '5 [MQTT-3.1.4-3] [MQTT-4.12.0-4] who fails to authenticate takes over nothing',
  { skip },
  async (t) => {
    const clientId = unique('auth');
    const victim = await authenticated(t, { clientId });
    const scram = new ScramClient('ann', 'wrong');
    const { client, challenge } = await challenged(t, scram, { clientId });
    client.send(answer(scram, challenge));
    await client.expectRefused([0x86, 0x87]);
    await victim.expectNothing();
    await authenticated(t, { clientId });
    await victim.expectDisconnect(0x8e);
  },
);

t.test(
  '5 [MQTT-3.15.2-2] [MQTT-3.15.2-3] AUTH packets stay within the Maximum Packet Size of the client',
  { skip },
  async (t) => {
    const maximumPacketSize = 250;
    const client = await authenticated(t, { properties: { maximumPacketSize } });
    for (const { bytes } of client.received) t.ok(bytes.length <= maximumPacketSize);
    t.ok(client.received.some(({ type }) => type === 'auth'));
  },
);
