import t from 'tap';
import type { LogFields, Logger } from '../../../lib/contracts/logger.js';
import { Retention, type RetentionLimits } from '../../../lib/ingest/retention.js';
import { createMessage, type Message } from '../../../lib/message/message.js';
import { MemoryStore } from '../../../storage/index.js';
import { str } from '../../support/protocol-bytes.js';

const UNLIMITED: RetentionLimits = {
  retainedMaxCount: 1000,
  retainedMaxBytes: 1_000_000,
  retainedPerClientMaxCount: 0,
};

function messageOf(topic: string, publisher: string, payload = 'x', expiresAt = Infinity): Message {
  const topicBytes = str(topic);
  return createMessage({
    topic,
    topicBytes,
    payload: Buffer.from(payload),
    qos: 1,
    retain: true,
    publisher,
    expiresAt,
  });
}

function world(limits: Partial<RetentionLimits> = {}) {
  const { retained } = new MemoryStore();
  const warnings: (LogFields | undefined)[] = [];
  const ignore = (): void => {};
  const logger: Logger = {
    trace: ignore,
    debug: ignore,
    info: ignore,
    warn: (_message, fields) => void warnings.push(fields),
    error: ignore,
    child: () => logger,
  };
  const time = { now: 0 };
  const create = (): Retention =>
    new Retention({
      retained,
      limits: { ...UNLIMITED, ...limits },
      clock: { now: () => time.now, wall: () => 0 },
      logger,
      isAssignedClientId: (clientId) => clientId.startsWith('auto-'),
    });
  const retention = create();
  /** As the ingest does. @returns why not */
  const publish = (topic: string, publisher: string, payload = 'x', expiresAt = Infinity) => {
    const message = messageOf(topic, publisher, payload, expiresAt);
    const refusal = retention.refusalOf(message);
    if (refusal === undefined && payload === '') retention.delete(topic);
    else if (refusal === undefined) retention.keep(message);
    return refusal;
  };
  return { retained, retention, create, publish, warnings, time };
}

t.test('a client holds so many topics and no more; what it holds it may change', async (t) => {
  const { publish, retained, retention } = world({ retainedPerClientMaxCount: 2 });
  t.equal(publish('a', 'one'), undefined);
  t.equal(publish('b', 'one'), undefined);
  t.equal(publish('c', 'one'), 'quota');
  t.equal(publish('a', 'one', 'changed'), undefined);
  t.equal(publish('c', 'two'), undefined, 'another client has its own');
  t.equal(retained.count, 3);
  t.equal(retention.heldBy('one'), 2);
  t.equal(retention.heldBy('nobody'), 0);
});

t.test('a topic that is cleared gives its room back to the one who had it, whoever clears it', async (t) => {
  const { publish, retention } = world({ retainedPerClientMaxCount: 1 });
  publish('a', 'one');
  t.equal(publish('b', 'one'), 'quota');
  t.equal(publish('a', 'two', ''), undefined);
  t.equal(publish('b', 'one'), undefined);
  t.equal(publish('never', 'one', ''), undefined, 'clearing is always allowed');
  t.equal(retention.heldBy('one'), 1);
  t.equal(retention.heldBy('two'), 0);
});

t.test("a topic that another client replaces is the other's, if it has room", async (t) => {
  const { publish, retention, retained } = world({ retainedPerClientMaxCount: 1 });
  publish('a', 'one');
  publish('b', 'two');
  t.equal(publish('a', 'two'), 'quota', 'two cannot hold more by taking from each other');
  t.equal(retained.get('a')?.publisher, 'one');
  publish('b', 'two', '');
  t.equal(publish('a', 'two'), undefined);
  t.equal(retention.heldBy('one'), 0);
  t.equal(publish('c', 'one'), undefined);
});

t.test("what is the gateway's own counts for nobody", async (t) => {
  const { publish, retention } = world({ retainedPerClientMaxCount: 1 });
  for (const topic of ['$SYS/a', '$SYS/b', 'a']) t.equal(publish(topic, ''), undefined);
  t.equal(retention.heldBy(''), 0);
  t.equal(publish('a', 'one'), undefined);
  t.equal(publish('a', ''), undefined);
  t.equal(retention.heldBy('one'), 0);
});

t.test('clients that leave their id to the gateway count as one', async (t) => {
  const { publish } = world({ retainedPerClientMaxCount: 2 });
  t.equal(publish('a', 'auto-1'), undefined);
  t.equal(publish('b', 'auto-2'), undefined);
  t.equal(publish('c', 'auto-3'), 'quota');
  t.equal(publish('a', 'auto-3'), undefined, 'what one of them holds the others may change');
  t.equal(publish('c', 'named'), undefined);
});

t.test('0 is no quota', async (t) => {
  const { publish, retention } = world();
  for (let n = 0; n < 100; n++) t.equal(publish(`${n}`, 'one'), undefined);
  t.equal(retention.heldBy('one'), 100);
});

t.test('the limits of all clients together go before the quota', async (t) => {
  const counted = world({ retainedMaxCount: 1, retainedPerClientMaxCount: 1 });
  counted.publish('a', 'one');
  t.equal(counted.publish('b', 'one'), 'limit');
  t.equal(counted.publish('a', 'two'), undefined, 'no topic more');
  const weighed = world({ retainedMaxBytes: 1000, retainedPerClientMaxCount: 1 });
  t.equal(weighed.publish('a', 'one', 'x'.repeat(300)), 'limit');
  t.equal(weighed.publish('a', 'one'), undefined);
  t.equal(weighed.publish('a', 'one', 'x'.repeat(300)), 'limit');
});

t.test(
  'where the bytes are used up a topic may go on as it is: others and larger messages are refused',
  async (t) => {
    const { retention, publish, retained } = world({ retainedMaxBytes: 2000 });
    t.equal(publish('a', 'one', 'x'.repeat(100)), undefined);
    t.equal(publish('b', 'one', 'x'.repeat(100)), undefined);
    t.equal(publish('c', 'one'), 'limit');
    t.equal(publish('a', 'one', 'y'.repeat(101)), undefined, 'one of nearly the same size is taken');
    t.equal(publish('a', 'one', 'y'.repeat(1000)), 'limit');
    t.equal(retained.get('a')?.payloadLength, 101);
    t.equal(retention.keep(messageOf('b', 'one', 'z'.repeat(1000))), 'limit');
    t.equal(publish('b', 'one', ''), undefined);
    t.equal(publish('c', 'one'), undefined, 'there is room again');
  },
);

t.test(
  'what is retained counts as much as it takes in memory, topic and payload and 812 bytes',
  async (t) => {
    const { publish, retained } = world();
    publish('a/b', 'one', 'payload');
    t.equal(retained.bytes, 3 + 7 + 812);
  },
);

t.test(
  'what an earlier version acknowledged is kept at the next start, though it counts more now',
  async (t) => {
    const limits = { retainedMaxBytes: 1000, retainedMaxCount: 4 };
    const { retained, retention, publish, warnings } = world(limits);
    for (const topic of ['a', 'b', 'c']) retention.keepAgain(messageOf(topic, 'one'));
    t.equal(retained.count, 3, '164 bytes each, as it was');
    t.ok(retained.bytes > 1000);
    retention.keepAgain(messageOf('a', 'one', 'x'.repeat(5000)));
    t.equal(retained.get('a')?.payloadLength, 5000, 'and the newest of a topic in any case');
    retention.keepAgain(messageOf('d', 'one'));
    t.equal(retained.get('d'), undefined, 'what was not kept then is not kept now');
    t.equal(publish('d', 'one'), 'limit');
    t.equal(publish('b', 'one', 'changed'), undefined);
    t.match(warnings, []);
    retention.tellOfExcess();
    t.match(warnings, [{ count: 3, maxBytes: 1000, raise: 'limits.retainedMaxBytes' }]);
  },
);

t.test('the count and the quota hold at a start, too', async (t) => {
  const { retained, retention, warnings, time } = world({
    retainedMaxCount: 2,
    retainedPerClientMaxCount: 1,
  });
  retention.keepAgain(messageOf('a', 'one'));
  retention.keepAgain(messageOf('b', 'one'));
  retention.keepAgain(messageOf('b', 'two'));
  retention.keepAgain(messageOf('c', 'three'));
  t.equal(retained.count, 2);
  retention.tellOfExcess();
  t.same(warnings, []);
  retained.set(messageOf('a', 'one', 'x', 50));
  time.now = 10_000;
  retention.keepAgain(messageOf('c', 'three'));
  t.equal(retained.get('a'), undefined, 'what has expired makes room');
  t.equal(retained.get('c')?.publisher, 'three');
  retained.set(messageOf('d', 'four'));
  retention.tellOfExcess();
  t.match(warnings, [{ count: 3, raise: 'limits.retainedMaxCount' }]);
});

t.test('after a restart the account comes out of the retained messages', async (t) => {
  const { publish, create, retained, retention } = world({ retainedPerClientMaxCount: 3 });
  publish('a', 'one');
  publish('$x/b', 'one');
  publish('c', 'two');
  publish('c', 'one');
  publish('d', 'two');
  const again = create();
  for (const clientId of ['one', 'two']) t.equal(again.heldBy(clientId), retention.heldBy(clientId));
  t.equal(again.refusalOf(messageOf('e', 'one')), 'quota');
  t.equal(retained.count, 4);
});

t.test('messages that have expired make room where it is short, looked for at most every 10 s', async (t) => {
  const { publish, retention, retained, time } = world({ retainedPerClientMaxCount: 2 });
  publish('a', 'one', 'x', 100);
  publish('b', 'one', 'x', 20_000);
  t.equal(publish('c', 'one'), 'quota');
  time.now = 100;
  t.equal(publish('c', 'one'), 'quota', 'it was looked for just now');
  t.equal(retained.count, 2);
  time.now = 10_000;
  t.equal(publish('c', 'one'), undefined);
  t.equal(retained.get('a'), undefined);
  t.equal(retention.heldBy('one'), 2);
  time.now = 20_000;
  t.equal(publish('d', 'one'), undefined);

  const full = world({ retainedMaxCount: 1 });
  full.publish('a', 'one', 'x', 50);
  full.time.now = 50;
  t.equal(full.publish('b', 'two'), undefined);
});

t.test('the log names a client at its quota, not more than one in 10 s', async (t) => {
  const { publish, warnings, time } = world({ retainedPerClientMaxCount: 1 });
  publish('a', 'one');
  for (let n = 0; n < 50; n++) publish(`more/${n}`, 'one');
  t.match(warnings, [{ client: 'one', held: 1 }]);
  time.now = 10_000;
  publish('b', 'one');
  t.equal(warnings.length, 2);
});
