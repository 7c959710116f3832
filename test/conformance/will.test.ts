/** Chapters 3.1.2.5 to 3.1.2.7 and 3.1.3.2: the will and when it is published. */
import { performance } from 'node:perf_hooks';
import t, { type Test } from 'tap';
import { elapse, RawClient, unique, type Received } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import type { Version, WillFields } from '../support/wire.js';

const server = await startServer(t);
const VERSIONS = [4, 5] as const;

/** A subscriber to the will's topic. */
async function watch(t: Test, version: Version, topic: string): Promise<RawClient> {
  const watcher = await RawClient.connect(t, server.port, { version });
  await watcher.subscribe(topic, { qos: 2, ...(version === 5 && { retainAsPublished: true }) });
  return watcher;
}

/** Ends the connection without DISCONNECT; returns when the server has seen it: only then can the id connect again. */
async function lost(t: Test, client: RawClient, clientId: string): Promise<void> {
  client.destroy();
  await RawClient.connect(t, server.port, { version: client.version, clientId });
}

/** Publishes a marker and expects it to be the first that arrives. */
async function nothingBefore(watcher: RawClient, topic: string): Promise<void> {
  watcher.sendPublish(topic, 'marker');
  await watcher.expectPublish(topic, 'marker');
}

t.test(
  '3.1.1 [MQTT-3.1.2-8] [MQTT-3.1.2-10] 5 [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-10] a lost connection publishes the will, once',
  async (t) => {
    for (const version of VERSIONS) {
      for (const qos of [0, 1, 2]) {
        const topic = unique('will');
        const watcher = await watch(t, version, topic);
        const clientId = unique('will');
        const client = await RawClient.connect(t, server.port, {
          version,
          clientId,
          will: { topic, payload: 'gone', qos },
        });
        client.destroy();
        const will = await watcher.expectPublish(topic, 'gone');
        t.equal(will.qos, qos);
        await watcher.complete(will);
        const back = await RawClient.connect(t, server.port, { version, clientId });
        await lost(t, back, clientId);
        await nothingBefore(watcher, topic);
      }
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.1.2-8] 5 [MQTT-3.1.2-8] a connection that the client closes without DISCONNECT publishes the will',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('will');
      const watcher = await watch(t, version, topic);
      const client = await RawClient.connect(t, server.port, { version, will: { topic } });
      client.end();
      await watcher.expectPublish(topic);
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.1.2-8] 5 [MQTT-3.1.2-8] a connection that the server ends for an error publishes the will',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('will');
      const watcher = await watch(t, version, topic);
      const client = await RawClient.connect(t, server.port, { version, will: { topic } });
      client.send(Buffer.from([0x00, 0x00]));
      await watcher.expectPublish(topic);
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.1.2-24] [MQTT-3.1.2-8] 5 [MQTT-3.1.2-22] [MQTT-3.1.2-8] a keep alive timeout publishes the will',
  async (t) => {
    const wills = VERSIONS.map(async (version) => {
      const topic = unique('will');
      const watcher = await watch(t, version, topic);
      await RawClient.connect(t, server.port, { version, keepAlive: 1, will: { topic } });
      await watcher.expectPublish(topic, undefined, 8000);
    });
    await Promise.all(wills);
  },
);

t.test(
  '3.1.1 [MQTT-3.1.2-10] [MQTT-3.14.4-3] 5 [MQTT-3.1.2-10] [MQTT-3.14.4-3] DISCONNECT discards the will',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('will');
      const watcher = await watch(t, version, topic);
      const client = await RawClient.connect(t, server.port, { version, will: { topic } });
      await client.disconnect();
      await nothingBefore(watcher, topic);
    }
  },
);

t.test(
  '5 [MQTT-3.14.2-1] [MQTT-3.1.2-8] DISCONNECT with 0x04 or an error code publishes the will',
  async (t) => {
    for (const code of [0x04, 0x80, 0x93]) {
      const topic = unique('will');
      const watcher = await watch(t, 5, topic);
      const client = await RawClient.connect(t, server.port, { will: { topic } });
      await client.disconnect(code);
      await watcher.expectPublish(topic);
    }
  },
);

t.test('3.1.1 [MQTT-3.1.2-12] a connection without a will publishes none', async (t) => {
  const watcher = await RawClient.connect(t, server.port, { version: 4 });
  await watcher.subscribe('#');
  const clientId = unique('none');
  const client = await RawClient.connect(t, server.port, { version: 4, clientId });
  await lost(t, client, clientId);
  await nothingBefore(watcher, unique('none'));
});

t.test(
  '3.1.1 [MQTT-3.1.2-16] [MQTT-3.1.2-17] 5 [MQTT-3.1.2-14] [MQTT-3.1.2-15] a will is retained if it asked to be, and only then',
  async (t) => {
    for (const version of VERSIONS) {
      for (const retain of [true, false]) {
        const topic = unique('will');
        const watcher = await watch(t, version, topic);
        const client = await RawClient.connect(t, server.port, {
          version,
          will: { topic, payload: 'gone', retain },
        });
        client.destroy();
        const will = await watcher.expectPublish(topic, 'gone');
        t.equal(will.retain, version === 5 && retain, 'RETAIN as published is asked for in MQTT 5');
        const late = await watch(t, version, topic);
        if (retain) await late.expectPublish(topic, 'gone');
        else await late.expectNothing();
      }
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.1.4-2] [MQTT-3.1.2-8] 5 [MQTT-3.1.2-8] the will of a connection that is taken over is published',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('will');
      const clientId = unique('will');
      const watcher = await watch(t, version, topic);
      await RawClient.connect(t, server.port, { version, clientId, will: { topic, payload: 'first' } });
      await RawClient.connect(t, server.port, { version, clientId });
      await watcher.expectPublish(topic, 'first');
    }
  },
);

t.test('5 [MQTT-3.1.3-10] a will carries its properties unaltered, User Properties in order', async (t) => {
  const topic = unique('will');
  const watcher = await watch(t, 5, topic);
  const properties: WillFields['properties'] = {
    payloadFormatIndicator: 1,
    messageExpiryInterval: 60,
    contentType: 'text/plain',
    responseTopic: 'answers',
    correlationData: 'c-1',
    userProperty: [
      ['b', '1'],
      ['a', '2'],
      ['b', '1'],
    ],
  };
  const client = await RawClient.connect(t, server.port, { will: { topic, properties } });
  client.destroy();
  const will = await watcher.expectPublish(topic);
  t.same({ ...will.properties, messageExpiryInterval: 60 }, properties);
  t.ok([59, 60].includes(will.properties.messageExpiryInterval ?? 0));
});

/** Connects a client with a delayed will and loses the connection. */
async function lose(
  t: Test,
  topic: string,
  delay: number,
  expiry: number,
): Promise<{ clientId: string; watcher: RawClient; lostAtMs: number }> {
  const clientId = unique('delayed');
  const watcher = await watch(t, 5, topic);
  const client = await RawClient.connect(t, server.port, {
    clientId,
    will: { topic, payload: 'late', properties: { willDelayInterval: delay } },
    properties: { sessionExpiryInterval: expiry },
  });
  client.destroy();
  return { clientId, watcher, lostAtMs: performance.now() };
}

t.test('5 [MQTT-3.1.2-8] a delayed will', async (t) => {
  t.jobs = 8;
  const options = { buffered: true };
  const late = (watcher: RawClient, topic: string): Promise<Received> =>
    watcher.expectPublish(topic, 'late', 5000);

  t.test(
    '5 [MQTT-3.1.2-8] a delayed will is published when its delay has passed, not before',
    options,
    async (t) => {
      const topic = unique('will');
      const { watcher, lostAtMs } = await lose(t, topic, 1, 60);
      const { atMs } = await late(watcher, topic);
      t.ok(atMs - lostAtMs > 800, `${atMs - lostAtMs} ms`);
    },
  );

  t.test('5 [MQTT-3.1.2-8] a delayed will is published when the session ends first', options, async (t) => {
    const topic = unique('will');
    const { watcher, lostAtMs } = await lose(t, topic, 60, 1);
    const { atMs } = await late(watcher, topic);
    t.ok(atMs - lostAtMs > 800, `${atMs - lostAtMs} ms`);
  });

  t.test('5 [MQTT-3.1.2-8] without a session to wait for there is no delay', options, async (t) => {
    const topic = unique('will');
    const { watcher } = await lose(t, topic, 60, 0);
    await late(watcher, topic);
  });

  t.test(
    '5 [MQTT-3.1.3-9] a delayed will is not published when its client comes back in time',
    options,
    async (t) => {
      const topic = unique('will');
      const { watcher, clientId } = await lose(t, topic, 1, 60);
      await RawClient.connect(t, server.port, {
        clientId,
        clean: false,
        properties: { sessionExpiryInterval: 60 },
      });
      await elapse(2500);
      await nothingBefore(watcher, topic);
    },
  );

  t.test(
    '5 [MQTT-3.1.2-8] [MQTT-3.1.2-4] a takeover with Clean Start ends the session and publishes its delayed will',
    options,
    async (t) => {
      const topic = unique('will');
      const clientId = unique('delayed');
      const watcher = await watch(t, 5, topic);
      await RawClient.connect(t, server.port, {
        clientId,
        properties: { sessionExpiryInterval: 60 },
        will: { topic, payload: 'late', properties: { willDelayInterval: 60 } },
      });
      await RawClient.connect(t, server.port, { clientId, clean: true });
      await late(watcher, topic);
    },
  );

  t.test(
    '5 [MQTT-3.1.3-9] a takeover that resumes the session cancels a delayed will',
    options,
    async (t) => {
      const topic = unique('will');
      const clientId = unique('delayed');
      const watcher = await watch(t, 5, topic);
      const properties = { sessionExpiryInterval: 60 };
      const will = { topic, payload: 'late', properties: { willDelayInterval: 1 } };
      await RawClient.connect(t, server.port, { clientId, clean: false, properties, will });
      await RawClient.connect(t, server.port, { clientId, clean: false, properties });
      await elapse(2500);
      await nothingBefore(watcher, topic);
    },
  );
});
