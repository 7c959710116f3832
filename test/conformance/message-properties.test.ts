/** Chapter 3.3.2.3: what a message carries through the server, and its expiry. */
import t, { type Test } from 'tap';
import { elapse, RawClient, unique } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import * as wire from '../support/wire.js';
import type { Properties } from '../support/wire.js';

const server = await startServer(t);

async function scene(t: Test) {
  const topic = unique('props');
  const subscriber = await RawClient.connect(t, server.port);
  await subscriber.subscribe(topic, { qos: 2 });
  const publisher = await RawClient.connect(t, server.port);
  return { topic, subscriber, publisher };
}

t.test(
  '5 [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20] the properties of a message arrive unaltered, User Properties in order',
  async (t) => {
    const { topic, subscriber, publisher } = await scene(t);
    const properties: Properties = {
      payloadFormatIndicator: 1,
      contentType: 'application/json; charset=utf-8',
      responseTopic: 'answers/ä',
      correlationData: 'c\u0000d',
      userProperty: [
        ['z', 'last'],
        ['a', ''],
        ['', 'empty name'],
        ['z', 'last'],
        ['constructor', '__proto__'],
      ],
    };
    for (const qos of [0, 1, 2]) {
      await publisher.publish(topic, '{}', { qos, properties });
      const delivery = await subscriber.expectPublish(topic, '{}');
      t.same(delivery.properties, properties);
      await subscriber.complete(delivery);
    }
    await publisher.publish(topic, '{}', { qos: 1, retain: true, properties });
    const late = await RawClient.connect(t, server.port);
    await late.subscribe(topic);
    t.same((await late.expectPublish(topic, '{}')).properties, properties, 'also when it was retained');
  },
);

t.test(
  '5 [MQTT-3.3.2-4] a Payload Format Indicator of 0 and of 1 arrive as they were, and none when there was none',
  async (t) => {
    const { topic, subscriber, publisher } = await scene(t);
    for (const payloadFormatIndicator of [0, 1]) {
      publisher.sendPublish(topic, 'x', { properties: { payloadFormatIndicator } });
      t.equal(
        (await subscriber.expectPublish(topic)).properties.payloadFormatIndicator ?? 0,
        payloadFormatIndicator,
      );
    }
    publisher.sendPublish(topic, 'x');
    t.same((await subscriber.expectPublish(topic)).properties, {});
  },
);

t.test(
  '5 [MQTT-3.3.2-17] a 3.1.1 client gets the message without its properties, a 3.1.1 publisher sends none',
  async (t) => {
    const topic = unique('props');
    const old = await RawClient.connect(t, server.port, { version: 4 });
    const young = await RawClient.connect(t, server.port);
    await old.subscribe(topic);
    await young.subscribe(topic);
    await young.publish(topic, 'x', {
      qos: 1,
      properties: { contentType: 'text', userProperty: [['a', 'b']] },
    });
    t.same((await old.expectPublish(topic, 'x')).bytes, wire.publish({ version: 4, topic, payload: 'x' }));
    await young.take('publish', ({ type }) => type === 'publish');
    await old.publish(topic, 'y', { qos: 0 });
    t.same((await young.expectPublish(topic, 'y')).properties, {});
  },
);

t.test(
  '5 [MQTT-3.3.2-14] [MQTT-3.3.4-6] [MQTT-3.3.2-8] [MQTT-4.13.1-1] wrong properties of PUBLISH end the connection of the publisher and of nobody else',
  async (t) => {
    const p = wire.propertyBytes;
    const twice = (properties: Properties): Buffer => Buffer.concat([p(properties), p(properties)]);
    const cases: readonly (readonly [string, Buffer, number[]])[] = [
      ['an unknown property', Buffer.from([0x7f, 0x00]), [0x81]],
      ['a property of CONNECT', p({ receiveMaximum: 1 }), [0x81]],
      ['Will Delay Interval', p({ willDelayInterval: 1 }), [0x81]],
      ['Payload Format Indicator 2', p({ payloadFormatIndicator: 2 }), [0x81, 0x82]],
      ['Payload Format Indicator twice', twice({ payloadFormatIndicator: 1 }), [0x82]],
      ['Message Expiry Interval twice', twice({ messageExpiryInterval: 1 }), [0x82]],
      ['Topic Alias twice', twice({ topicAlias: 1 }), [0x82]],
      ['Topic Alias 0', p({ topicAlias: 0 }), [0x94]],
      ['Response Topic twice', twice({ responseTopic: 'a' }), [0x82]],
      ['a Response Topic with a wildcard', p({ responseTopic: 'a/#' }), [0x81, 0x82, 0x90]],
      ['an empty Response Topic', p({ responseTopic: '' }), [0x81, 0x82, 0x90]],
      ['Correlation Data twice', twice({ correlationData: 'a' }), [0x82]],
      ['Content Type twice', twice({ contentType: 'a' }), [0x82]],
      ['Subscription Identifier', p({ subscriptionIdentifier: 1 }), [0x81, 0x82]],
      ['a truncated User Property', Buffer.from([0x26, 0x00, 0x01, 0x61]), [0x81]],
      ['half a User Property', Buffer.from([0x26, 0x00, 0x01]), [0x81]],
      ['a truncated Message Expiry Interval', Buffer.from([0x02, 0x00, 0x00]), [0x81]],
    ];
    const { topic, subscriber } = await scene(t);
    for (const [what, properties, codes] of cases) {
      const publisher = await RawClient.connect(t, server.port);
      publisher.sendPublish(topic, 'x', { properties });
      await t.resolves(publisher.expectDisconnect(codes), what);
    }
    await subscriber.expectNothing();
  },
);

t.test('5 [MQTT-3.3.2-6] the remaining Message Expiry Interval is sent', async (t) => {
  const topic = unique('expiry');
  const options = { clientId: unique('expiry'), clean: false, properties: { sessionExpiryInterval: 60 } };
  const subscriber = await RawClient.connect(t, server.port, options);
  await subscriber.subscribe(topic, { qos: 1 });
  const publisher = await RawClient.connect(t, server.port);
  await publisher.publish(topic, 'live', { qos: 1, properties: { messageExpiryInterval: 100 } });
  const live = await subscriber.expectPublish(topic, 'live');
  t.ok([99, 100].includes(live.properties.messageExpiryInterval ?? 0), 'at once');
  await subscriber.complete(live);
  await subscriber.disconnect();
  await publisher.publish(topic, 'queued', {
    qos: 1,
    retain: true,
    properties: { messageExpiryInterval: 100 },
  });
  await elapse(2100);
  const back = await RawClient.connect(t, server.port, options);
  const queued = (await back.expectPublish(topic, 'queued')).properties.messageExpiryInterval ?? 0;
  t.ok(queued >= 97 && queued <= 98, `after 2 s in the queue: ${queued}`);
  await publisher.subscribe(topic);
  const kept = (await publisher.expectPublish(topic, 'queued')).properties.messageExpiryInterval ?? 0;
  t.ok(kept >= 97 && kept <= 98, `after 2 s as retained: ${kept}`);
});

t.test(
  '5 [MQTT-3.3.2-5] a message whose expiry has passed is not delivered, neither from a queue nor as retained',
  async (t) => {
    const topic = unique('expired');
    const options = { clientId: unique('expired'), clean: false, properties: { sessionExpiryInterval: 60 } };
    const subscriber = await RawClient.connect(t, server.port, options);
    await subscriber.subscribe(topic, { qos: 1 });
    await subscriber.disconnect();
    const publisher = await RawClient.connect(t, server.port);
    await publisher.publish(topic, 'short', { qos: 1, properties: { messageExpiryInterval: 1 } });
    await publisher.publish(topic, 'long', { qos: 1, properties: { messageExpiryInterval: 100 } });
    await publisher.publish(`${topic}/r`, 'short', {
      qos: 1,
      retain: true,
      properties: { messageExpiryInterval: 1 },
    });
    await elapse(2200);
    const back = await RawClient.connect(t, server.port, options);
    await back.complete(await back.expectPublish(topic, 'long'));
    await back.expectNothing();
    await publisher.subscribe(`${topic}/r`);
    await publisher.expectNothing();
  },
);

t.test(
  '5 [MQTT-4.3.3-7] [MQTT-4.3.3-13] expiry does not interrupt a QoS 2 hand-shake that has begun',
  async (t) => {
    const { topic, subscriber, publisher } = await scene(t);
    await publisher.publish(topic, 'x', { qos: 2, properties: { messageExpiryInterval: 1 } });
    const { packetId } = await subscriber.expectPublish(topic, 'x');
    publisher.sendPublish(topic, 'y', { qos: 2, packetId: 500, properties: { messageExpiryInterval: 1 } });
    await publisher.take('pubrec', ({ packetId: id }) => id === 500);
    await elapse(2200);
    subscriber.ack('pubrec', packetId);
    await subscriber.take('pubrel', ({ type, packetId: id }) => type === 'pubrel' && id === packetId);
    subscriber.ack('pubcomp', packetId);
    publisher.ack('pubrel', 500);
    t.equal((await publisher.expect('pubcomp')).reasonCode, 0);
  },
);

t.test(
  '5 [MQTT-3.3.2-15] [MQTT-3.3.2-16] a request finds its answer through Response Topic and Correlation Data',
  async (t) => {
    const requests = unique('requests');
    const answers = unique('answers');
    const requester = await RawClient.connect(t, server.port);
    const responder = await RawClient.connect(t, server.port);
    await requester.subscribe(answers, { qos: 1 });
    await responder.subscribe(requests, { qos: 1 });
    await requester.publish(requests, 'what?', {
      qos: 1,
      properties: { responseTopic: answers, correlationData: '42' },
    });
    const { properties } = await responder.expectPublish(requests, 'what?');
    const { responseTopic = '', correlationData = '' } = properties;
    responder.sendPublish(responseTopic, 'this', { properties: { correlationData } });
    t.equal((await requester.expectPublish(answers, 'this')).properties.correlationData, '42');
  },
);
