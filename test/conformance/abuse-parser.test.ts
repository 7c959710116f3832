/** Faults that MQTT parsers and encoders in Node are known to have had, one test each. */
import t, { type Test } from 'tap';
import { RawClient, unique, type ConnectOptions } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import * as wire from '../support/wire.js';

const server = await startServer(t);
const VERSIONS = [4, 5] as const;

const open = (t: Test, options: ConnectOptions = {}): Promise<RawClient> =>
  RawClient.connect(t, server.port, options);

t.test('a packet that ends early is not completed from the bytes of the next one', async (t) => {
  const follower = wire.publish({ topic: 'a', payload: 'x'.repeat(50), qos: 0 });
  for (const short of [
    wire.frame(0x32, wire.str('a')),
    wire.frame(0x30, wire.u16(20), Buffer.from('abc')),
    wire.frame(0x30, wire.str('a'), Buffer.from([0x05, 0x02, 0x00])),
    wire.frame(0x30, wire.str('a'), Buffer.from([0x03, 0x09, 0x00, 0x20])),
    wire.frame(0x40, wire.u8(0)),
    wire.frame(0x40, wire.u16(1), wire.u8(0), wire.u8(9)),
    wire.frame(0x82, wire.u16(1), wire.u8(0), wire.str('a')),
    wire.frame(0x82, wire.u16(1), wire.u8(0), wire.u16(9)),
    wire.frame(0xe0, wire.u8(0), wire.u8(5)),
    wire.frame(0xf0, wire.u8(0x18), wire.u8(5)),
  ]) {
    const client = await open(t);
    client.send(short, follower, wire.PINGREQ);
    await t.resolves(client.expectDisconnect([0x81, 0x82]), short.toString('hex'));
  }
});

t.test('a DISCONNECT without a reason code is a normal one, whatever bytes follow it', async (t) => {
  const topic = unique('will');
  const watcher = await open(t);
  await watcher.subscribe(topic);
  const client = await open(t, { will: { topic } });
  client.send(wire.disconnect(), Buffer.from([0x04, 0x04, 0x04]));
  await client.expectClose();
  await watcher.expectNothing();
});

t.test('a truncated property does not become an empty one', async (t) => {
  for (const properties of ['03000161', '0300', '09000561', '0200', '2600016100', '23', '01']) {
    const bytes = Buffer.from(properties, 'hex');
    const client = await open(t);
    if (properties === '03000161') {
      client.sendPublish('a', 'x', { properties: bytes });
      await client.expectNothing();
      continue;
    }
    client.sendPublish('a', 'x', { properties: bytes });
    await t.resolves(client.expectDisconnect(0x81), properties);
  }
});

t.test('empty texts and data in properties survive the way through the server', async (t) => {
  const topic = unique('empty');
  const client = await open(t);
  await client.subscribe(topic);
  const properties = {
    contentType: '',
    correlationData: '',
    userProperty: [
      ['', ''],
      ['a', ''],
      ['', 'b'],
    ],
  } satisfies wire.Properties;
  client.sendPublish(topic, 'x', { properties });
  const delivery = await client.expectPublish(topic, 'x');
  t.same(delivery.properties.userProperty, properties.userProperty);
  t.equal(delivery.properties.contentType, '');
  t.equal(delivery.properties.correlationData, '');
});

t.test('malformed SUBSCRIBE and UNSUBSCRIBE packets end their connection and nothing else', async (t) => {
  for (const version of VERSIONS) {
    const bystander = await open(t, { version });
    const props = version === 5 ? [wire.u8(0)] : [];
    for (const body of [
      [],
      [wire.u8(0)],
      [wire.u16(1)],
      [wire.u16(1), ...props],
      [wire.u16(1), ...props, wire.u8(0)],
      [wire.u16(1), ...props, wire.u16(0xffff)],
      [wire.u16(1), ...props, wire.str('a'), wire.u8(0), wire.u8(0)],
      [wire.u16(1), ...props, wire.str('a'), wire.u8(0), wire.str('b')],
    ]) {
      const client = await open(t, { version });
      client.send(wire.frame(0x82, ...body), wire.PINGREQ);
      await t.resolves(
        client.expectDisconnect([0x81, 0x82]),
        `version ${version}: ${Buffer.concat(body).toString('hex')}`,
      );
    }
    for (const body of [
      [],
      [wire.u8(0)],
      [wire.u16(1), ...props],
      [wire.u16(1), ...props, wire.u8(0)],
      [wire.u16(1), ...props, wire.u16(9)],
    ]) {
      const client = await open(t, { version });
      client.send(wire.frame(0xa2, ...body), wire.PINGREQ);
      await t.resolves(
        client.expectDisconnect([0x81, 0x82]),
        `version ${version}: ${Buffer.concat(body).toString('hex')}`,
      );
    }
    await bystander.expectNothing();
  }
});

t.test("a message that is unusual but legal ends no subscriber's connection", async (t) => {
  const topic = unique('legal');
  const subscribers = await Promise.all(([3, 4, 5] as const).map((version) => open(t, { version })));
  for (const subscriber of subscribers) await subscriber.subscribe(`${topic}/#`, { qos: 1 });
  const publisher = await open(t);
  const cases: readonly wire.Properties[] = [
    { messageExpiryInterval: 0xffff_ffff },
    { payloadFormatIndicator: 0 },
    { contentType: '\uFFFD\u{1F600}\uFEFF' },
    { correlationData: Buffer.alloc(10_000).toString('latin1') },
    { userProperty: Array.from({ length: 500 }, (_, n) => [`name ${n}`, `value ${n}`] as const) },
    { responseTopic: '/' },
  ];
  for (const [n, properties] of cases.entries()) {
    const name = `${topic}/\u{1F600}/${n}`;
    await publisher.publish(name, `${n}`, { qos: 1, properties });
    for (const subscriber of subscribers)
      await subscriber.complete(await subscriber.expectPublish(name, `${n}`));
  }
  for (const subscriber of subscribers) await subscriber.expectNothing();
});

t.test('different ill-formed texts are refused, not made the same', async (t) => {
  const topic = unique('bytes');
  const watcher = await open(t);
  await watcher.subscribe(`${topic}/#`);
  for (const byte of [0x80, 0xc0, 0xff]) {
    const client = await open(t);
    client.send(wire.publish({ topic: Buffer.concat([Buffer.from(`${topic}/`), Buffer.from([byte])]) }));
    await client.expectDisconnect([0x81, 0x90]);
  }
  await watcher.expectNothing();
});
