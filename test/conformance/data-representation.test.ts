/** Chapter 1.5: UTF-8 strings and variable byte integers. */
import t, { type Test } from 'tap';
import { RawClient, unique } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import * as wire from '../support/wire.js';
import type { Bytes, Version } from '../support/wire.js';

const server = await startServer(t);
const VERSIONS = [4, 5] as const;

const ILL_FORMED: readonly (readonly [string, Bytes])[] = [
  ['a lone continuation byte', Buffer.from([0x61, 0x80])],
  ['a truncated sequence', Buffer.from([0x61, 0xc3])],
  ['an overlong form of U+0000', Buffer.from([0x61, 0xc0, 0x80])],
  ['the surrogate U+D800', Buffer.from([0x61, 0xed, 0xa0, 0x80])],
  ['the surrogate U+DFFF', Buffer.from([0x61, 0xed, 0xbf, 0xbf])],
  ['a code point above U+10FFFF', Buffer.from([0x61, 0xf4, 0x90, 0x80, 0x80])],
];
const NULL: readonly (readonly [string, Bytes])[] = [['U+0000', Buffer.from([0x61, 0x00, 0x62])]];

/** Every packet after CONNECT that carries the text. */
function packetsWith(text: Bytes, version: Version): (readonly [string, Bytes])[] {
  const packets: (readonly [string, Bytes])[] = [
    ['the topic of PUBLISH', wire.publish({ version, topic: text })],
    ['the filter of SUBSCRIBE', wire.subscribe(1, [{ filter: text }], { version })],
    ['the filter of UNSUBSCRIBE', wire.unsubscribe(1, [text], { version })],
  ];
  if (version !== 5) return packets;
  const property = (id: number): Buffer => Buffer.concat([wire.u8(id), wire.str(text)]);
  const pair = (name: Bytes, value: Bytes): Buffer =>
    Buffer.concat([wire.u8(0x26), wire.str(name), wire.str(value)]);
  const publish = (properties: Bytes): Bytes => wire.publish({ topic: 'a', properties });
  const word = Buffer.from('word');
  return packets.concat([
    ['the Content Type', publish(property(0x03))],
    ['the Response Topic', publish(property(0x08))],
    ['the name of a User Property', publish(pair(text, word))],
    ['the value of a User Property', publish(pair(word, text))],
    ['a User Property of SUBSCRIBE', wire.subscribe(1, [{ filter: 'a' }], { properties: pair(word, text) })],
    ['the Reason String of DISCONNECT', wire.disconnect(0, property(0x1f))],
  ]);
}

async function refusesEverywhere(t: Test, texts: readonly (readonly [string, Bytes])[]): Promise<void> {
  for (const version of VERSIONS) {
    for (const [what, text] of texts) {
      await t.test(`version ${version}: ${what}`, async (t) => {
        for (const [where, packet] of packetsWith(text, version)) {
          const client = await RawClient.connect(t, server.port, { version });
          client.send(packet);
          await t.resolves(client.expectDisconnect([0x81, 0x82]), `${what} in ${where}`);
        }
      });
    }
  }
}

async function refusesInConnect(t: Test, texts: readonly (readonly [string, Bytes])[]): Promise<void> {
  for (const version of VERSIONS) {
    for (const [what, text] of texts) {
      for (const fields of [
        { clientId: text },
        { username: text, password: 'p' },
        { will: { topic: text } },
      ] satisfies wire.ConnectFields[]) {
        const client = await RawClient.open(t, server.port, { version });
        client.send(wire.connect({ clientId: unique('utf8'), ...fields, version }));
        const ended = version === 5 ? client.expectRefused([0x81, 0x82, 0x85, 0x90]) : client.expectClose();
        await t.resolves(ended, `version ${version}: ${what} in ${Object.keys(fields).join()}`);
      }
    }
  }
}

t.test(
  '3.1.1 [MQTT-1.5.3-1] [MQTT-3.3.2-1] [MQTT-3.8.3-1] [MQTT-3.10.3-1] 5 [MQTT-1.5.4-1] [MQTT-1.5.7-1] [MQTT-3.3.2-1] [MQTT-3.3.2-13] [MQTT-3.3.2-19] [MQTT-3.8.3-1] [MQTT-3.10.3-1] ill-formed UTF-8 in any string of any packet ends the connection',
  async (t) => {
    await refusesEverywhere(t, ILL_FORMED);
  },
);

t.test(
  '3.1.1 [MQTT-1.5.3-1] [MQTT-3.1.3-4] [MQTT-3.1.3-10] [MQTT-3.1.3-11] 5 [MQTT-1.5.4-1] [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12] ill-formed UTF-8 in CONNECT is refused',
  async (t) => {
    await refusesInConnect(t, ILL_FORMED);
  },
);

t.test(
  '3.1.1 [MQTT-1.5.3-2] [MQTT-4.7.3-2] 5 [MQTT-1.5.4-2] [MQTT-1.5.7-1] [MQTT-4.7.3-2] U+0000 in any string of any packet ends the connection',
  async (t) => {
    await refusesEverywhere(t, NULL);
    await refusesInConnect(t, NULL);
  },
);

t.test(
  '3.1.1 [MQTT-1.5.3-3] 5 [MQTT-1.5.4-3] the bytes EF BB BF are a character of the text and survive',
  async (t) => {
    for (const version of VERSIONS) {
      const client = await RawClient.connect(t, server.port, { version });
      const plain = unique('bom');
      await client.subscribe(`\uFEFF${plain}`);
      client.sendPublish(plain, 'without');
      client.sendPublish(`\uFEFF${plain}`, 'with');
      const { bytes } = await client.expectPublish(`\uFEFF${plain}`, 'with');
      t.ok(bytes.includes(Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(plain)])));
      const other = await RawClient.connect(t, server.port, { version, clientId: `\uFEFF${plain}` });
      await RawClient.connect(t, server.port, { version, clientId: plain });
      await t.resolves(other.expectNothing(), 'a client id with and one without are two clients');
    }
  },
);

t.test(
  '3.1.1 [MQTT-4.7.3-3] 5 [MQTT-4.7.3-3] a topic name may be long, and comes back as it was',
  async (t) => {
    for (const version of VERSIONS) {
      const client = await RawClient.connect(t, server.port, { version });
      const topic = `${unique('long')}/${'ä'.repeat(200)}`;
      await client.subscribe(topic);
      await client.publish(topic, 'x', { qos: 1 });
      t.equal((await client.take('publish', ({ type }) => type === 'publish')).topic, topic);
    }
  },
);

t.test('5 [MQTT-1.5.5-1] the server writes lengths in as few bytes as they need', async (t) => {
  const client = await RawClient.connect(t, server.port);
  await client.subscribe('len/#');
  for (const size of [100, 110, 118, 119, 120, 121, 128, 16_370, 16_384]) {
    client.sendPublish('len/x', 'x'.repeat(size));
    const { bytes } = await client.expectPublish('len/x');
    const body = wire.publish({ topic: 'len/x', payload: 'x'.repeat(size) });
    t.same(bytes.subarray(0, 4), body.subarray(0, 4), `a payload of ${size} bytes`);
  }
});

t.test('5 [MQTT-1.5.5-1] a length written in more bytes than it needs is malformed', async (t) => {
  const client = await RawClient.connect(t, server.port);
  client.send(Buffer.from([0xc0, 0x80, 0x00]));
  await t.resolves(client.expectDisconnect(0x81), 'Remaining Length');
  const other = await RawClient.connect(t, server.port);
  other.send(wire.frame(0x30, wire.str('a'), Buffer.from([0x80, 0x00])));
  await t.resolves(other.expectDisconnect(0x81), 'Property Length');
});

t.test(
  '3.1.1 [MQTT-4.8.0-1] 5 [MQTT-4.13.1-1] a Remaining Length of more than four bytes ends the connection',
  async (t) => {
    for (const version of VERSIONS) {
      const client = await RawClient.connect(t, server.port, { version });
      client.send(Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01]));
      await t.resolves(client.expectDisconnect([0x81, 0x95]));
    }
  },
);
