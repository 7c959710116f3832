/** Chapters 3.1.2.10, 3.2.2.3.14 and 3.12: keep alive and PINGREQ. */
import { performance } from 'node:perf_hooks';
import t from 'tap';
import { elapse, RawClient, unique } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import { target } from '../support/target.js';
import * as wire from '../support/wire.js';

const server = await startServer(t);
const capped = await startServer(t, { keepAliveMaxS: 2 });
const VERSIONS = [4, 5] as const;
const noShortCap = target === 'mosquitto' && 'mosquitto takes no limit below 10 s';
/** Mosquitto looks for silent clients every 5 s only. */
const slackMs = target === 'mosquitto' ? 5500 : 1000;
t.jobs = 8;

for (const version of VERSIONS) {
  t.test(`version ${version}`, { buffered: true }, async (t) => {
    t.jobs = 8;

    t.test(
      '3.1.1 [MQTT-3.1.2-24] 5 [MQTT-3.1.2-22] [MQTT-3.2.2-22] a client silent for 1.5 keep alives is disconnected',
      { buffered: true },
      async (t) => {
        const client = await RawClient.connect(t, server.port, { version, keepAlive: 1, timeoutMs: 8000 });
        const start = performance.now();
        await client.expectDisconnect(0x8d);
        const lasted = performance.now() - start;
        t.ok(lasted >= 1400, 'not before');
        t.ok(lasted < 1500 + slackMs, 'nor much later');
      },
    );

    t.test(
      '3.1.1 [MQTT-3.1.2-24] 5 [MQTT-3.1.2-22] any packet keeps a client alive, PINGREQ and others',
      { buffered: true },
      async (t) => {
        const client = await RawClient.connect(t, server.port, { version, keepAlive: 1 });
        for (let n = 0; n < 5; n++) {
          await elapse(600);
          if (n % 2 === 0) client.sendPublish('keep-alive', 'x');
          else await client.ping();
        }
        await client.expectNothing();
      },
    );

    t.test(
      '3.1.1 [MQTT-3.1.2-24] 5 [MQTT-3.1.2-22] what a client receives does not keep it alive',
      { buffered: true },
      async (t) => {
        const topic = unique('one-way');
        const silent = await RawClient.connect(t, server.port, { version, keepAlive: 1, timeoutMs: 8000 });
        await silent.subscribe(topic);
        const start = performance.now();
        const publisher = await RawClient.connect(t, server.port, { version });
        const timer = setInterval(() => publisher.sendPublish(topic, 'x'), 200);
        const ended = silent.take('disconnect', ({ type }) => type === 'disconnect', 8000);
        await ended.catch(() => undefined);
        clearInterval(timer);
        t.not(silent.closedAtMs ?? silent.received.at(-1)?.atMs, undefined);
        t.ok(performance.now() - start < 1500 + slackMs);
      },
    );

    t.test(
      '3.1.1 [MQTT-3.1.2-24] 5 [MQTT-3.1.2-22] keep alive 0 lets a client be silent',
      { buffered: true },
      async (t) => {
        const client = await RawClient.connect(t, server.port, { version, keepAlive: 0 });
        await elapse(2500);
        await client.expectNothing();
      },
    );

    t.test(
      '3.1.1 [MQTT-3.12.4-1] 5 [MQTT-3.12.4-1] each PINGREQ gets a PINGRESP of two bytes',
      { buffered: true },
      async (t) => {
        const client = await RawClient.connect(t, server.port, { version });
        client.send(wire.PINGREQ, wire.PINGREQ, wire.PINGREQ);
        for (let n = 0; n < 3; n++)
          t.same((await client.expect('pingresp')).bytes, Buffer.from([0xd0, 0x00]));
      },
    );
  });
}

t.test(
  '5 [MQTT-3.2.2-21] [MQTT-3.2.2-22] [MQTT-3.1.2-21] a keep alive above the limit of the server is replaced, and the replacement enforced',
  { buffered: true, skip: noShortCap },
  async (t) => {
    const above = await RawClient.open(t, capped.port, { timeoutMs: 8000 });
    t.equal((await above.connect({ keepAlive: 60 })).properties.serverKeepAlive, 2);
    const start = performance.now();
    await above.expectDisconnect(0x8d);
    t.ok(performance.now() - start >= 2800);
    const below = await RawClient.open(t, capped.port);
    t.equal((await below.connect({ keepAlive: 1 })).properties.serverKeepAlive, undefined);
  },
);
