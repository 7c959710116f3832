/** Chapter 4.8.2: shared subscriptions, which 3.1.1 clients may use too. */
import t, { type Test } from 'tap';
import { RawClient, unique } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import * as wire from '../support/wire.js';
import type { Version } from '../support/wire.js';

const server = await startServer(t);
const VERSIONS = [4, 5] as const;

const open = (t: Test, version: Version = 5): Promise<RawClient> =>
  RawClient.connect(t, server.port, { version });

/** Payloads that a client has got so far. */
const payloads = (client: RawClient): string[] =>
  client.received.filter(({ type }) => type === 'publish').map(({ payload }) => payload);

t.test(
  '5 [MQTT-4.8.2-1] [MQTT-4.8.2-2] each message goes to one member of the group, and every member gets its share',
  async (t) => {
    for (const version of VERSIONS) {
      for (const qos of [0, 1]) {
        const topic = unique('shared');
        const members = await Promise.all([open(t, version), open(t, version), open(t, version)]);
        for (const member of members) await member.subscribe(`$share/group/${topic}`, { qos });
        const plain = await open(t, version);
        await plain.subscribe(topic);
        const publisher = await open(t, version);
        for (let n = 0; n < 30; n++) await publisher.publish(topic, `${n}`, { qos });
        for (const client of [publisher, plain, ...members]) await client.ping();
        const shares = members.map(payloads);
        t.same(shares.flat().sort(), Array.from({ length: 30 }, (_, n) => `${n}`).sort(), 'once each');
        for (const share of shares) t.ok(share.length >= 5, `a share of ${share.length}`);
        t.equal(payloads(plain).length, 30, 'others get everything');
      }
    }
  },
);

t.test('5 [MQTT-4.8.2-1] groups are independent of each other', async (t) => {
  const topic = unique('shared');
  const [a, b] = [await open(t), await open(t)];
  await a.subscribe(`$share/one/${topic}`);
  await b.subscribe(`$share/two/${topic}`);
  a.sendPublish(topic, 'x');
  await a.expectPublish(topic, 'x');
  await b.expectPublish(topic, 'x');
});

t.test('5 [MQTT-4.8.2-1] a client in a group and with a plain subscription gets both', async (t) => {
  const topic = unique('shared');
  const client = await open(t);
  await client.subscribe([`$share/g/${topic}`, topic], { qos: 1 });
  await client.publish(topic, 'x', { qos: 1 });
  await client.ping();
  const count = payloads(client).length;
  t.ok(count === 1 || count === 2, `${count} copies`);
  await client.unsubscribe(topic);
  await client.publish(topic, 'y', { qos: 1 });
  await client.ping();
  t.ok(payloads(client).includes('y'));
});

t.test(
  '5 [MQTT-4.8.2-1] [MQTT-4.8.2-2] a shared filter without a name, with a wildcard in it or without a filter is not granted',
  async (t) => {
    for (const filter of [
      '$share/',
      '$share//a',
      '$share/g',
      '$share/g/',
      '$share/+/a',
      '$share/#',
      '$share/a#/b',
      '$share/g+/a',
      '$share/g/a#',
    ]) {
      const client = await open(t);
      client.send(wire.subscribe(1, [{ filter, qos: 1 }]));
      const answer = await client.take('an answer', () => true).catch(() => undefined);
      const refused =
        answer?.type === 'suback'
          ? (answer.reasonCodes[0] ?? 0) >= 0x80
          : client.closedAtMs !== undefined || answer?.type === 'disconnect';
      t.ok(refused, filter);
    }
  },
);

t.test('5 [MQTT-3.8.3-4] No Local on a shared subscription ends the connection', async (t) => {
  const client = await open(t);
  client.send(wire.subscribe(1, [{ filter: '$share/g/a', noLocal: true }]));
  await client.expectDisconnect(0x82);
});

t.test('5 [MQTT-4.8.2-3] a member gets messages at the QoS that it was granted', async (t) => {
  const topic = unique('shared');
  const publisher = await open(t);
  for (const qos of [0, 1, 2]) {
    const member = await open(t);
    await member.subscribe(`$share/${qos}/${topic}`, { qos });
    await publisher.publish(topic, 'x', { qos: 2 });
    t.equal((await member.expectPublish(topic, 'x')).qos, qos);
    await member.disconnect();
  }
});

t.test('5 [MQTT-3.3.1-9] a shared subscription gets no retained messages', async (t) => {
  const topic = unique('shared');
  const client = await open(t);
  await client.publish(topic, 'kept', { qos: 1, retain: true });
  await client.subscribe(`$share/g/${topic}`);
  await client.expectNothing();
});

t.test('5 [MQTT-3.10.4-1] UNSUBSCRIBE with the whole shared filter leaves the group', async (t) => {
  const topic = unique('shared');
  const [stays, leaves] = [await open(t), await open(t)];
  for (const member of [stays, leaves]) await member.subscribe(`$share/g/${topic}`);
  t.same((await leaves.unsubscribe(topic)).reasonCodes, [0x11], 'the plain filter is another one');
  t.same((await leaves.unsubscribe(`$share/g/${topic}`)).reasonCodes, [0]);
  for (let n = 0; n < 5; n++) await stays.publish(topic, `${n}`, { qos: 1 });
  await leaves.expectNothing();
  t.equal(payloads(stays).length, 5);
});

t.test('5 [MQTT-4.8.2-1] what a member that ends has not got goes to the others from then on', async (t) => {
  const topic = unique('shared');
  const [stays, leaves] = [await open(t), await open(t)];
  for (const member of [stays, leaves]) await member.subscribe(`$share/g/${topic}`, { qos: 1 });
  await leaves.disconnect();
  const publisher = await open(t);
  for (let n = 0; n < 10; n++) {
    await publisher.publish(topic, `${n}`, { qos: 1 });
    await stays.complete(await stays.expectPublish(topic, `${n}`));
  }
});

t.test(
  '5 [MQTT-4.8.2-4] [MQTT-4.8.2-5] a QoS 2 message stays with the member to which it was sent',
  async (t) => {
    const topic = unique('shared');
    const options = { clientId: unique('shared'), clean: false, properties: { sessionExpiryInterval: 60 } };
    const first = await RawClient.connect(t, server.port, options);
    await first.subscribe(`$share/g/${topic}`, { qos: 2 });
    const publisher = await open(t);
    await publisher.publish(topic, 'x', { qos: 2 });
    const sent = await first.expectPublish(topic, 'x');
    const other = await open(t);
    await other.subscribe(`$share/g/${topic}`, { qos: 2 });
    first.destroy();
    await other.expectNothing(publisher);
    const back = await RawClient.connect(t, server.port, options);
    const again = await back.expectPublish(topic, 'x');
    t.equal(again.packetId, sent.packetId);
    await back.complete(again);
    await other.expectNothing(back);
  },
);

t.test("5 [MQTT-4.8.2-5] a QoS 2 message whose member's session ends goes to nobody else", async (t) => {
  const topic = unique('shared');
  const member = await open(t);
  await member.subscribe(`$share/g/${topic}`, { qos: 2 });
  const publisher = await open(t);
  await publisher.publish(topic, 'x', { qos: 2 });
  await member.expectPublish(topic, 'x');
  const other = await open(t);
  await other.subscribe(`$share/g/${topic}`, { qos: 2 });
  await member.disconnect();
  await other.expectNothing(publisher);
});

t.test('5 [MQTT-4.8.2-6] a message that a member refuses is offered to nobody else', async (t) => {
  for (const qos of [1, 2]) {
    const topic = unique('shared');
    const member = await open(t);
    await member.subscribe(`$share/g/${topic}`, { qos });
    const publisher = await open(t);
    await publisher.publish(topic, 'x', { qos });
    const { packetId } = await member.expectPublish(topic, 'x');
    const other = await open(t);
    await other.subscribe(`$share/g/${topic}`, { qos });
    member.ack(qos === 1 ? 'puback' : 'pubrec', packetId, 0x80);
    await member.expectNothing();
    await other.expectNothing(publisher);
  }
});

t.test('5 [MQTT-3.3.4-3] a shared delivery carries the identifier of the member', async (t) => {
  const topic = unique('shared');
  const member = await open(t);
  await member.subscribe(`$share/g/${topic}`, { properties: { subscriptionIdentifier: 77 } });
  member.sendPublish(topic, 'x');
  t.same((await member.expectPublish(topic, 'x')).subscriptionIdentifiers, [77]);
});
