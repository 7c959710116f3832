/** Chapters 3.1.2.11.6 and 3.1.2.11.7: what a client asked to be told, and what not. */
import t from 'tap';
import { RawClient, unique } from '../support/raw-client.js';
import { startEmbedded } from '../integration/embedding.js';
import { startServer } from '../support/server.js';
import { target } from '../support/target.js';
import * as wire from '../support/wire.js';

const server = await startServer(t, { acl: 'topic readwrite open/#\n' });

t.test(
  '5 [MQTT-3.1.2-29] with Request Problem Information 0 no acknowledgement carries a reason string or user properties',
  async (t) => {
    const client = await RawClient.connect(t, server.port, { properties: { requestProblemInformation: 0 } });
    await client
      .subscribe(['open/a', 'open/a#', 'closed/a'], { qos: 2, allowRefusal: true })
      .catch(() => undefined);
    const other = await RawClient.connect(t, server.port, { properties: { requestProblemInformation: 0 } });
    await other.unsubscribe('never');
    await other.publish('closed/a', 'x', { qos: 1 });
    await other.publish('closed/a', 'x', { qos: 2 });
    other.ack('pubrec', 900);
    other.ack('pubrel', 901);
    await other.ping();
    for (const packet of [...client.received, ...other.received]) {
      if (packet.type === 'connack' || packet.type === 'disconnect') continue;
      t.equal(packet.properties.reasonString, undefined);
      t.equal(packet.properties.userProperty, undefined);
    }
    t.ok(other.received.length >= 6);
  },
);

t.test(
  '5 [MQTT-3.1.2-29] [MQTT-3.3.2-17] the user properties of messages are no problem information',
  async (t) => {
    const topic = `open/${unique('rpi')}`;
    const client = await RawClient.connect(t, server.port, { properties: { requestProblemInformation: 0 } });
    await client.subscribe(topic);
    client.sendPublish(topic, 'x', { properties: { userProperty: [['a', 'b']] } });
    t.same((await client.expectPublish(topic)).properties.userProperty, [['a', 'b']]);
  },
);

t.test('5 [MQTT-3.1.2-28] without Request Response Information CONNACK has none', async (t) => {
  for (const properties of [{}, { requestResponseInformation: 0 }]) {
    const client = await RawClient.open(t, server.port);
    t.equal((await client.connect({ properties })).properties.responseInformation, undefined);
  }
  const client = await RawClient.open(t, server.port);
  t.equal((await client.connect({ properties: { requestResponseInformation: 1 } })).reasonCode, 0);
  if (target === 'mosquitto') return;
  // A gateway has something to withhold only where the program that embeds it gives it some.
  const { port } = await startEmbedded(t, { responseInformation: 'answers' });
  for (const [requestResponseInformation, given] of [
    [undefined, undefined],
    [0, undefined],
    [1, 'answers'],
  ] as const) {
    const one = await RawClient.open(t, port);
    const properties = requestResponseInformation === undefined ? {} : { requestResponseInformation };
    t.equal((await one.connect({ properties })).properties.responseInformation, given);
  }
});

t.test(
  '5 [MQTT-3.2.2-8] [MQTT-3.14.2-1] [MQTT-4.13.2-1] a second CONNECT, a wrong packet and an expired keep alive are told apart by their codes',
  async (t) => {
    const cases: readonly (readonly [wire.Bytes, number])[] = [
      [wire.connect(), 0x82],
      [wire.frame(0x00), 0x81],
      [wire.publish({ topic: 'open/a', properties: { topicAlias: 60_000 } }), 0x94],
    ];
    for (const [bytes, code] of cases) {
      const client = await RawClient.connect(t, server.port);
      client.send(bytes);
      await client.expectDisconnect(code === 0x81 ? [0x81, 0x82] : code);
    }
  },
);
