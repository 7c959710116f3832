/** Chapters 2 and 4.13 (4.8 in 3.1.1): packets that are none, and what becomes of their sender and of everybody else. */
import t, { type Test } from 'tap';
import { RawClient, unique } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import * as wire from '../support/wire.js';
import type { Bytes, Version } from '../support/wire.js';

const server = await startServer(t);
const VERSIONS = [4, 5] as const;
const ANY_ERROR = [0x81, 0x82];

/** Sends the bytes on a connection of their own, while a bystander's is checked to live on. */
async function endsOnlyItsSender(
  t: Test,
  version: Version,
  cases: readonly (readonly [string, Bytes, number | number[]])[],
) {
  await t.test(`version ${version}`, async (t) => {
    const topic = unique('bystander');
    const bystander = await RawClient.connect(t, server.port, { version });
    await bystander.subscribe([topic, '#'], { qos: 1 });
    for (const [what, bytes, codes] of cases) {
      const client = await RawClient.connect(t, server.port, { version });
      client.send(bytes, wire.PINGREQ);
      await t.resolves(client.expectDisconnect(codes), what);
    }
    await bystander.expectNothing();
    bystander.sendPublish(topic, 'alive');
    await bystander.expectPublish(topic, 'alive');
  });
}

t.test(
  '3.1.1 [MQTT-2.2.2-1] [MQTT-2.2.2-2] [MQTT-3.6.1-1] [MQTT-3.14.1-1] [MQTT-4.8.0-1] 5 [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.14.1-1] [MQTT-3.15.1-1] [MQTT-4.13.1-1] wrong flags in byte 1 of any packet end the connection of its sender and of nobody else',
  async (t) => {
    for (const version of VERSIONS) {
      const id = wire.u16(1);
      const cases: (readonly [string, Bytes, number])[] = [];
      for (const flags of [1, 2, 4, 8, 15]) {
        if (flags !== 2) cases.push([`PUBREL ${flags}`, wire.frame(0x60 | flags, id), 0x81]);
        cases.push(
          [`PUBACK ${flags}`, wire.frame(0x40 | flags, id), 0x81],
          [`PUBREC ${flags}`, wire.frame(0x50 | flags, id), 0x81],
          [`PUBCOMP ${flags}`, wire.frame(0x70 | flags, id), 0x81],
          [`PINGREQ ${flags}`, wire.frame(0xc0 | flags), 0x81],
          [`DISCONNECT ${flags}`, wire.frame(0xe0 | flags), 0x81],
        );
        if (version === 5) cases.push([`AUTH ${flags}`, wire.frame(0xf0 | flags, wire.u8(0)), 0x81]);
      }
      cases.push(['PUBREL 0', wire.frame(0x60, id), 0x81]);
      await endsOnlyItsSender(t, version, cases);
    }
  },
);

t.test(
  '3.1.1 [MQTT-4.8.0-1] 5 [MQTT-4.13.1-1] packets that only a server sends, and the reserved types, end the connection',
  async (t) => {
    for (const version of VERSIONS) {
      const cases: (readonly [string, Bytes, number[]])[] = [
        ['type 0', wire.frame(0x00), ANY_ERROR],
        ['type 0 with a body', wire.frame(0x00, Buffer.from('abc')), ANY_ERROR],
        ['CONNACK', wire.frame(0x20, Buffer.from([0, 0])), ANY_ERROR],
        ['SUBACK', wire.frame(0x90, Buffer.from([0, 1, 0])), ANY_ERROR],
        ['UNSUBACK', wire.frame(0xb0, Buffer.from([0, 1])), ANY_ERROR],
        ['PINGRESP', wire.frame(0xd0), ANY_ERROR],
      ];
      if (version === 4) cases.push(['type 15', wire.frame(0xf0), ANY_ERROR]);
      await endsOnlyItsSender(t, version, cases);
    }
  },
);

t.test(
  '3.1.1 [MQTT-4.8.0-1] 5 [MQTT-4.13.1-1] packets that are too short or too long for their type end the connection',
  async (t) => {
    for (const version of VERSIONS) {
      const v5 = version === 5;
      const cases: (readonly [string, Bytes, number[]])[] = [
        ['PUBLISH without a topic', wire.frame(0x30), ANY_ERROR],
        ['PUBLISH with half a length', wire.frame(0x30, wire.u8(0)), ANY_ERROR],
        ['PUBLISH with half a topic', wire.frame(0x30, wire.u16(10), Buffer.from('abc')), ANY_ERROR],
        ['PUBLISH without a packet id', wire.frame(0x32, wire.str('a')), ANY_ERROR],
        ['PUBLISH with half a packet id', wire.frame(0x32, wire.str('a'), wire.u8(1)), ANY_ERROR],
        ['SUBSCRIBE without a packet id', wire.frame(0x82), ANY_ERROR],
        [
          'SUBSCRIBE with half a filter',
          wire.frame(0x82, wire.u16(1), v5 ? wire.u8(0) : wire.u16(9), wire.u16(9)),
          ANY_ERROR,
        ],
        [
          'SUBSCRIBE without options',
          wire.frame(0x82, wire.u16(1), ...(v5 ? [wire.u8(0)] : []), wire.str('a')),
          ANY_ERROR,
        ],
        ['UNSUBSCRIBE without a packet id', wire.frame(0xa2), ANY_ERROR],
        [
          'UNSUBSCRIBE with half a filter',
          wire.frame(0xa2, wire.u16(1), ...(v5 ? [wire.u8(0)] : []), wire.u16(9)),
          ANY_ERROR,
        ],
        ['PINGREQ with a body', wire.frame(0xc0, wire.u8(0)), ANY_ERROR],
      ];
      for (const type of ['puback', 'pubrec', 'pubrel', 'pubcomp'] as const) {
        const first = (wire.typeCode(type) << 4) | (type === 'pubrel' ? 2 : 0);
        cases.push([`${type} without a packet id`, wire.frame(first), ANY_ERROR]);
        cases.push([`${type} with half a packet id`, wire.frame(first, wire.u8(1)), ANY_ERROR]);
        if (!v5)
          cases.push([`${type} of three bytes`, wire.frame(first, wire.u16(1), wire.u8(0)), ANY_ERROR]);
      }
      if (!v5) cases.push(['DISCONNECT with a body', wire.frame(0xe0, wire.u8(0)), ANY_ERROR]);
      if (v5) cases.push(['PUBLISH without a Property Length', wire.frame(0x30, wire.str('a')), [0x81]]);
      await endsOnlyItsSender(t, version, cases);
    }
  },
);

t.test(
  '5 [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-3.14.2-1] [MQTT-3.15.2-1] [MQTT-4.13.1-1] reason codes that a packet does not have, and wrong properties, end the connection',
  async (t) => {
    const p = wire.propertyBytes;
    const twice = (properties: wire.Properties): Bytes => Buffer.concat([p(properties), p(properties)]);
    const cases: (readonly [string, Bytes, number[]])[] = [];
    for (const type of ['puback', 'pubrec', 'pubrel', 'pubcomp'] as const) {
      cases.push(
        [`${type} with code 0x01`, wire.ack(type, 1, 0x01), ANY_ERROR],
        [`${type} with code 0xff`, wire.ack(type, 1, 0xff), ANY_ERROR],
        [`${type} with Reason String twice`, wire.ack(type, 1, 0, twice({ reasonString: 'a' })), [0x82]],
        [`${type} with Topic Alias`, wire.ack(type, 1, 0, p({ topicAlias: 1 })), [0x81]],
        [`${type} with an unknown property`, wire.ack(type, 1, 0, Buffer.from([0x7f, 0])), [0x81]],
        [`${type} with a truncated property`, wire.ack(type, 1, 0, Buffer.from([0x1f, 0, 5, 0x61])), [0x81]],
      );
    }
    cases.push(
      ['DISCONNECT with code 0x01', wire.disconnect(0x01), ANY_ERROR],
      ['DISCONNECT with a code of the server only', wire.disconnect(0x8b), ANY_ERROR],
      ['DISCONNECT with Reason String twice', wire.disconnect(0, twice({ reasonString: 'a' })), [0x82]],
      ['DISCONNECT with Server Reference', wire.disconnect(0, p({ serverReference: 'a' })), ANY_ERROR],
      ['DISCONNECT with Receive Maximum', wire.disconnect(0, p({ receiveMaximum: 1 })), [0x81]],
      [
        'DISCONNECT with Session Expiry twice',
        wire.disconnect(0, twice({ sessionExpiryInterval: 0 })),
        [0x82],
      ],
      ['AUTH without a method', wire.auth(0x18), ANY_ERROR],
      ['AUTH with code 0x01', wire.auth(0x01, { authenticationMethod: 'x' }), ANY_ERROR],
    );
    await endsOnlyItsSender(t, 5, cases);
  },
);

t.test('3.1.1 [MQTT-4.8.0-1] 5 [MQTT-4.13.1-1] bytes cut anywhere make the same packets', async (t) => {
  for (const version of VERSIONS) {
    const topic = unique('cut');
    const client = await RawClient.connect(t, server.port, { version });
    const bytes = Buffer.concat([
      wire.subscribe(1, [{ filter: topic, qos: 1 }], { version }),
      wire.publish({ version, topic, payload: 'x'.repeat(200), qos: 1, packetId: 2 }),
      wire.PINGREQ,
    ]);
    for (const byte of bytes) {
      client.send(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.take('suback', ({ type }) => type === 'suback');
    await client.take('puback', ({ type }) => type === 'puback');
    await client.take('publish', ({ payload }) => payload === 'x'.repeat(200));
    await client.take('pingresp', ({ type }) => type === 'pingresp');
  }
});

t.test(
  '5 [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-3.14.2-2] [MQTT-4.13.2-1] the DISCONNECT of a server is the last packet, has no Session Expiry Interval, and the connection ends',
  async (t) => {
    const topic = unique('last');
    const client = await RawClient.connect(t, server.port);
    await client.subscribe(topic);
    client.send(
      wire.publish({ topic, payload: 'a' }),
      wire.frame(0x00),
      wire.publish({ topic, payload: 'b' }),
      wire.PINGREQ,
    );
    await client.expectPublish(topic, 'a');
    await client.expectDisconnect(ANY_ERROR);
    t.equal(client.received.at(-1)?.properties.sessionExpiryInterval, undefined);
  },
);

t.test(
  '3.1.1 [MQTT-3.14.4-2] 5 [MQTT-3.14.4-1] what a client sends behind its DISCONNECT is not processed',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('behind');
      const watcher = await RawClient.connect(t, server.port, { version });
      await watcher.subscribe(topic);
      const client = await RawClient.connect(t, server.port, { version });
      client.send(wire.disconnect(), wire.publish({ version, topic, payload: 'late' }));
      await client.expectClose();
      await watcher.expectNothing();
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.14.4-1] 5 [MQTT-3.14.4-2] the server closes the connection of a client that sent DISCONNECT',
  async (t) => {
    for (const version of VERSIONS) {
      const client = await RawClient.connect(t, server.port, { version });
      await client.disconnect();
      const other = await RawClient.connect(t, server.port, { version });
      other.send(wire.publish({ version, topic: 'a' }), wire.disconnect());
      await other.expectClose();
    }
  },
);
