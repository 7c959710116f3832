/** Chapter 4.7: topic names, filters and how they match. */
import t, { type Test } from 'tap';
import { RawClient, unique } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import type { Version } from '../support/wire.js';

const server = await startServer(t);
const VERSIONS = [4, 5] as const;

const open = (t: Test, version: Version): Promise<RawClient> =>
  RawClient.connect(t, server.port, { version });

/** filter, topics that match, topics that do not. `~` is a prefix of the test's own. */
const MATCHES: readonly (readonly [
  filter: string,
  matching: readonly string[],
  others: readonly string[],
])[] = [
  ['~', ['~'], ['~/', '~x', '~/a']],
  ['~/#', ['~', '~/', '~/a', '~/a/b', '~//'], ['~x/a']],
  ['~/+', ['~/', '~/a'], ['~', '~/a/b', '~//']],
  ['~/+/c', ['~/b/c', '~//c'], ['~/c', '~/b/c/', '~/b/b/c']],
  ['~/+/+', ['~/a/b', '~//'], ['~/a', '~/a/b/c']],
  ['~/+/#', ['~/a', '~/a/b', '~/'], ['~']],
  ['~/a/#', ['~/a', '~/a/b/c'], ['~/A', '~/ab', '~/']],
  ['~//', ['~//'], ['~/', '~///', '~']],
  ['+/~', ['x/~', '/~'], ['~', 'x/y/~']],
  ['/~', ['/~'], ['~', '//~']],
  ['~/a b', ['~/a b'], ['~/a', '~/ab', '~/a%20b']],
  ['~/ä', ['~/ä'], ['~/a\u0308', '~/Ä', '~/a']],
];

t.test(
  '3.1.1 [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.3-4] [MQTT-3.3.2-3] 5 [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-4] [MQTT-3.3.2-3] filters match the topics that they should, to the letter',
  async (t) => {
    for (const version of VERSIONS) {
      const publisher = await open(t, version);
      for (const [filter, matching, others] of MATCHES) {
        const own = unique('m');
        const name = (text: string): string => text.replace('~', own);
        const subscriber = await open(t, version);
        await subscriber.subscribe(name(filter));
        for (const topic of others) publisher.sendPublish(name(topic), 'no');
        for (const topic of matching) publisher.sendPublish(name(topic), 'yes');
        for (const topic of matching) await subscriber.expectPublish(name(topic), 'yes');
        await subscriber.expectNothing(publisher);
      }
    }
  },
);

t.test(
  '3.1.1 [MQTT-4.7.2-1] 5 [MQTT-4.7.2-1] topics that begin with $ do not match a leading wildcard, their own filters do',
  async (t) => {
    for (const version of VERSIONS) {
      const hidden = await open(t, version);
      await hidden.subscribe(['#', '+/broker/#', '+/+/uptime']);
      const explicit = await open(t, version);
      await explicit.subscribe('$SYS/#');
      t.ok((await explicit.expect('publish', 5000)).topic.startsWith('$SYS/'));
      await hidden.ping();
      t.notOk(hidden.received.some(({ topic }) => topic.startsWith('$')));
    }
  },
);

t.test(
  '3.1.1 [MQTT-4.7.3-4] 5 [MQTT-4.7.3-4] names that mean something to JavaScript are ordinary levels',
  async (t) => {
    for (const version of VERSIONS) {
      const client = await open(t, version);
      for (const name of [
        'constructor',
        '__proto__',
        'toString',
        'hasOwnProperty',
        'valueOf',
        '0',
        '-1',
        'null',
      ]) {
        for (const topic of [name, `${name}/${name}`]) {
          await client.subscribe(topic, { qos: 1 });
          await client.publish(topic, 'x', { qos: 1 });
          await client.complete(await client.expectPublish(topic, 'x'));
          await client.unsubscribe(topic);
          await client.publish(topic, 'y', { qos: 1 });
          await client.expectNothing();
        }
      }
    }
  },
);

t.test(
  '3.1.1 [MQTT-4.7.3-3] 5 [MQTT-4.7.3-3] topics that are too long or too deep for the server are refused, their client told or closed',
  async (t) => {
    for (const version of VERSIONS) {
      for (const topic of ['a/'.repeat(5000), 'x'.repeat(65_535)]) {
        const client = await open(t, version);
        client.sendPublish(topic, 'x', { qos: 1, packetId: 1 });
        const answer = await client.take('an answer', () => true).catch(() => undefined);
        t.ok(answer === undefined || answer.type === 'puback' || answer.type === 'disconnect');
        t.ok(answer !== undefined || client.closedAtMs !== undefined, 'an answer or the end');
      }
    }
  },
);
