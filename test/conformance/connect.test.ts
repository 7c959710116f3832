/** Chapter 3.1: the form of CONNECT and what follows from a wrong one. */
import t from 'tap';
import { RawClient, unique, type Owner } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import * as wire from '../support/wire.js';
import type { Bytes, ConnectFields, Version } from '../support/wire.js';

const server = await startServer(t);
const VERSIONS = [4, 5] as const;

/** Sends the bytes as the first of a connection and expects to be refused. */
async function refused(t: Owner, version: Version, bytes: Bytes, codes: number | number[]): Promise<void> {
  const client = await RawClient.open(t, server.port, { version });
  client.send(bytes);
  await (version === 5 ? client.expectRefused(codes) : client.expectClose());
}

t.test(
  '3.1.1 [MQTT-3.1.0-1] 5 [MQTT-3.1.0-1] [MQTT-3.14.0-1] [MQTT-3.2.0-1] whatever comes before CONNECT ends the connection without an answer',
  async (t) => {
    for (const version of VERSIONS) {
      for (const packet of [
        wire.PINGREQ,
        wire.publish({ version, topic: 'a' }),
        wire.subscribe(1, [{ filter: 'a' }], { version }),
        wire.unsubscribe(1, ['a'], { version }),
        wire.ack('puback', 1),
        wire.ack('pubrel', 1),
        wire.disconnect(),
        wire.auth(0x18),
        wire.frame(0x20, Buffer.from([0, 0])),
        wire.frame(0x00),
        Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
      ]) {
        const client = await RawClient.open(t, server.port, { version });
        client.send(packet);
        await client.expectClose();
      }
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.1.0-2] 5 [MQTT-3.1.0-2] [MQTT-3.2.0-2] a second CONNECT ends the connection',
  async (t) => {
    for (const version of VERSIONS) {
      const client = await RawClient.connect(t, server.port, { version });
      client.send(wire.connect({ version, clientId: unique('second') }));
      await client.expectDisconnect(0x82);
    }
  },
);

t.test('3.1.1 [MQTT-3.1.2-1] 5 [MQTT-3.1.2-1] another protocol name is not processed as MQTT', async (t) => {
  for (const protocolName of ['mqtt', 'MQTTX', '', 'MQIsdp']) {
    for (const version of VERSIONS) {
      const client = await RawClient.open(t, server.port, { version });
      client.send(wire.connect({ version, protocolName, clientId: unique('name') }));
      const first = await client.take('the end', () => true).catch(() => undefined);
      t.ok(first === undefined || (first.type === 'connack' && first.reasonCode !== 0), protocolName);
      await client.expectClose();
    }
  }
});

t.test(
  '3.1.1 [MQTT-3.1.2-2] [MQTT-3.2.2-4] [MQTT-3.2.2-5] 5 [MQTT-3.1.2-2] [MQTT-3.2.2-6] [MQTT-3.2.2-7] an unknown protocol level is answered in words its client can read',
  async (t) => {
    for (const level of [0, 1, 2, 6, 0x7f, 0xff]) {
      const client = await RawClient.open(t, server.port, { version: 4 });
      client.send(wire.connect({ version: 4, level, clientId: unique('level') }));
      const connack = await client.expect('connack');
      t.ok([0x01, 0x84].includes(connack.reasonCode), `level ${level}: ${connack.reasonCode}`);
      t.equal(connack.ackFlags, 0);
      await client.expectClose();
    }
  },
);

t.test('3.1.1 [MQTT-3.1.2-3] 5 [MQTT-3.1.2-3] the reserved connect flag must be 0', async (t) => {
  for (const version of VERSIONS) {
    await refused(t, version, wire.connect({ version, clientId: unique('r'), flags: 0x03 }), 0x81);
  }
});

t.test('3.1.1 [MQTT-3.1.2-14] 5 [MQTT-3.1.2-12] a Will QoS of 3 is refused', async (t) => {
  for (const version of VERSIONS) {
    const fields: ConnectFields = { version, clientId: unique('w'), will: {}, flags: 0x02 | 0x04 | 0x18 };
    await refused(t, version, wire.connect(fields), 0x81);
  }
});

t.test(
  '3.1.1 [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-15] 5 [MQTT-3.1.2-11] [MQTT-3.1.2-13] Will QoS and Will Retain without a will are refused',
  async (t) => {
    for (const version of VERSIONS) {
      for (const flags of [0x02 | 0x08, 0x02 | 0x10, 0x02 | 0x20]) {
        await refused(t, version, wire.connect({ version, clientId: unique('w'), flags }), [0x81, 0x82]);
      }
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.1.2-9] [MQTT-3.1.2-11] [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.2-20] [MQTT-3.1.2-21] 5 [MQTT-3.1.2-9] [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19] the payload has the fields that the flags announce and no others',
  async (t) => {
    for (const version of VERSIONS) {
      const base = { version, clientId: unique('f') } as const;
      for (const fields of [
        { ...base, flags: 0x06 },
        { ...base, flags: 0x82 },
        { ...base, username: 'u', flags: 0xc2 },
        { ...base, will: {}, flags: 0x02 },
        { ...base, username: 'u', flags: 0x02 },
        { ...base, username: 'u', password: 'p', flags: 0x82 },
      ] satisfies ConnectFields[]) {
        await refused(t, version, wire.connect(fields), [0x81, 0x82]);
      }
    }
  },
);

t.test('3.1.1 [MQTT-3.1.2-22] a password without a user name is refused; MQTT 5 allows it', async (t) => {
  await refused(t, 4, wire.connect({ version: 4, clientId: unique('p'), password: 'p' }), []);
  const client = await RawClient.open(t, server.port);
  client.send(wire.connect({ clientId: unique('p'), password: 'p' }));
  t.not(
    (await client.expect('connack')).reasonCode,
    0x81,
    'well-formed, whatever is thought of the password',
  );
});

t.test(
  '3.1.1 [MQTT-3.1.3-1] [MQTT-3.1.3-3] 5 [MQTT-3.1.3-1] [MQTT-3.1.3-3] all fields together are read in their order',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('order');
      const watcher = await RawClient.connect(t, server.port, { version });
      await watcher.subscribe(topic);
      const client = await RawClient.connect(t, server.port, {
        version,
        clientId: unique('all'),
        will: { topic, payload: 'the will', ...(version === 5 && { properties: { contentType: 'text' } }) },
        username: 'user',
        password: 'secret',
      });
      client.destroy();
      await watcher.expectPublish(topic, 'the will');
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.1.4-1] [MQTT-2.2.2-2] 5 [MQTT-3.1.4-1] [MQTT-2.1.3-1] a CONNECT that does not follow its format ends the connection',
  async (t) => {
    for (const version of VERSIONS) {
      const whole = wire.connect({ version, clientId: unique('fmt') });
      const body = whole.subarray(2);
      for (const headerFlags of [1, 2, 4, 8, 15]) {
        await refused(t, version, wire.connect({ version, clientId: 'x', headerFlags }), [0x81, 0x82]);
      }
      for (const cut of [0, 1, 6, 7, 9, body.length - 1]) {
        const client = await RawClient.open(t, server.port, { version });
        client.send(wire.frame(0x10, body.subarray(0, cut)));
        const first = await client.take('the end', () => true).catch(() => undefined);
        t.ok(first === undefined || first.reasonCode >= 1, `version ${version}: cut at ${cut}`);
        await client.expectClose();
      }
      await refused(t, version, wire.frame(0x10, body, Buffer.from([0])), [0x81, 0x82]);
    }
  },
);

t.test(
  '5 [MQTT-3.1.4-1] [MQTT-3.1.4-2] [MQTT-2.2.2-1] wrong properties of CONNECT are refused with their code',
  async (t) => {
    const p = wire.propertyBytes;
    const twice = (properties: wire.Properties): Bytes => Buffer.concat([p(properties), p(properties)]);
    const cases: readonly (readonly [string, Bytes, number | number[]])[] = [
      ['an unknown property', Buffer.from([0x7f, 0x00]), 0x81],
      ['a property of PUBLISH', p({ topicAlias: 1 }), 0x81],
      ['a property of CONNACK', p({ maximumQoS: 1 }), 0x81],
      ['Session Expiry Interval twice', twice({ sessionExpiryInterval: 1 }), 0x82],
      ['Receive Maximum twice', twice({ receiveMaximum: 1 }), 0x82],
      ['Receive Maximum 0', p({ receiveMaximum: 0 }), 0x82],
      ['Maximum Packet Size twice', twice({ maximumPacketSize: 1000 }), 0x82],
      ['Maximum Packet Size 0', p({ maximumPacketSize: 0 }), 0x82],
      ['Topic Alias Maximum twice', twice({ topicAliasMaximum: 1 }), 0x82],
      ['Request Response Information 2', p({ requestResponseInformation: 2 }), 0x82],
      ['Request Response Information twice', twice({ requestResponseInformation: 1 }), 0x82],
      ['Request Problem Information 2', p({ requestProblemInformation: 2 }), 0x82],
      ['Request Problem Information twice', twice({ requestProblemInformation: 1 }), 0x82],
      ['Authentication Data without a method', p({ authenticationData: 'x' }), 0x82],
      ['Authentication Method twice', twice({ authenticationMethod: 'x' }), 0x82],
      ['a truncated value', Buffer.from([0x11, 0x00]), 0x81],
      ['a truncated User Property', Buffer.from([0x26, 0x00, 0x01, 0x61, 0x00]), 0x81],
    ];
    for (const [what, properties, codes] of cases) {
      const bytes = wire.connect({ clientId: unique('prop'), properties });
      await t.resolves(refused(t, 5, bytes, codes), what);
    }
    const clientId = unique('prop');
    const tooLong = wire.frame(0x10, wire.str('MQTT'), Buffer.from([5, 2, 0, 0, 100]), wire.str(clientId));
    await t.resolves(refused(t, 5, tooLong, 0x81), 'a Property Length beyond the packet');
  },
);

t.test('5 [MQTT-3.1.2-9] wrong properties of a will are refused with their code', async (t) => {
  const p = wire.propertyBytes;
  const cases: readonly (readonly [string, Bytes, number | number[]])[] = [
    ['a property of CONNECT', p({ receiveMaximum: 1 }), 0x81],
    ['Will Delay Interval twice', p({ willDelayInterval: 1 }), 0x82],
    ['Payload Format Indicator 2', p({ payloadFormatIndicator: 2 }), [0x81, 0x82]],
    ['a Response Topic with a wildcard', p({ responseTopic: 'a/+' }), [0x81, 0x82, 0x90]],
    ['an empty Response Topic', p({ responseTopic: '' }), [0x81, 0x82, 0x90]],
  ];
  for (const [what, bytes, codes] of cases) {
    const properties = what.endsWith('twice') ? Buffer.concat([bytes, bytes]) : bytes;
    const connect = wire.connect({ clientId: unique('will'), will: { properties } });
    await t.resolves(refused(t, 5, connect, codes), what);
  }
});

t.test(
  '3.1.1 [MQTT-4.7.1-1] [MQTT-4.7.3-1] 5 [MQTT-4.7.0-1] [MQTT-4.7.3-1] a will topic is a topic name: not empty, without wildcards',
  async (t) => {
    for (const version of VERSIONS) {
      for (const topic of ['', 'a/+', '#', 'a/#/b', '+']) {
        const bytes = wire.connect({ version, clientId: unique('will'), will: { topic } });
        await t.resolves(refused(t, version, bytes, [0x81, 0x82, 0x90]), `version ${version}: ${topic}`);
      }
    }
  },
);

t.test('5 [MQTT-3.1.2-9] all properties of CONNECT and of its will are accepted together', async (t) => {
  await RawClient.connect(t, server.port, {
    properties: {
      sessionExpiryInterval: 10,
      receiveMaximum: 5,
      maximumPacketSize: 10_000,
      topicAliasMaximum: 5,
      requestResponseInformation: 1,
      requestProblemInformation: 1,
      userProperty: [
        ['a', '1'],
        ['a', '1'],
      ],
    },
    will: {
      topic: unique('will'),
      properties: {
        willDelayInterval: 1,
        payloadFormatIndicator: 1,
        messageExpiryInterval: 10,
        contentType: 'text',
        responseTopic: 'answer',
        correlationData: 'data',
        userProperty: [['b', '']],
      },
    },
  });
});

t.test('3.1.1 [MQTT-3.1.4-5] 5 [MQTT-3.1.4-6] what follows a refused CONNECT is not processed', async (t) => {
  for (const version of VERSIONS) {
    const topic = unique('after-refusal');
    const watcher = await RawClient.connect(t, server.port, { version });
    await watcher.subscribe(topic);
    const client = await RawClient.open(t, server.port, { version });
    client.send(
      wire.connect({ version, clientId: unique('r'), flags: 0x03 }),
      wire.publish({ version, topic, payload: 'never' }),
    );
    await (version === 5 ? client.expectRefused(0x81) : client.expectClose());
    await watcher.publish(topic, 'marker', { qos: 1 });
    t.equal((await watcher.take('publish', ({ type }) => type === 'publish')).payload, 'marker');
  }
});

t.test(
  '3.1.1 [MQTT-3.1.4-4] [MQTT-3.2.0-1] 5 [MQTT-3.1.4-5] [MQTT-3.2.0-1] packets sent right behind CONNECT are answered after CONNACK, in their order',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('pipelined');
      const client = await RawClient.open(t, server.port, { version });
      client.send(
        wire.connect({ version, clientId: unique('pipe') }),
        wire.subscribe(1, [{ filter: topic, qos: 1 }], { version }),
        wire.publish({ version, topic, payload: 'x', qos: 1, packetId: 7 }),
        wire.PINGREQ,
      );
      t.equal((await client.expect('connack')).reasonCode, 0);
      await client.expect('suback');
      await client.take('puback', ({ type, packetId }) => type === 'puback' && packetId === 7);
      await client.take('publish', (packet) => packet.type === 'publish' && packet.topic === topic);
      await client.take('pingresp', ({ type }) => type === 'pingresp');
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.2.2-6] 5 [MQTT-3.2.2-1] [MQTT-3.2.2-8] CONNACK has no reserved flags and a code of its table',
  async (t) => {
    const accepted = await RawClient.connect(t, server.port);
    t.equal(accepted.received[0]?.ackFlags, 0);
    const again = await RawClient.open(t, server.port, { version: 4 });
    t.same((await again.connect()).bytes, Buffer.from([0x20, 2, 0, 0]), 'a 3.1.1 CONNACK has four bytes');
    const kept = { clientId: unique('flags'), clean: false, properties: { sessionExpiryInterval: 60 } };
    await RawClient.connect(t, server.port, kept);
    const resumed = await RawClient.connect(t, server.port, kept);
    t.equal(resumed.received[0]?.ackFlags, 1, 'Session Present and nothing else');
  },
);
