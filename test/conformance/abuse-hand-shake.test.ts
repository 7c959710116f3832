/** Misuse of hand-shakes, wills, retained messages and connections in great numbers: what each must come to. */
import { performance } from 'node:perf_hooks';
import t, { type Test } from 'tap';
import { RawClient, unique, type ConnectOptions } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import { target } from '../support/target.js';
import * as wire from '../support/wire.js';

const server = await startServer(t);
const VERSIONS = [4, 5] as const;
const ownLimits = target === 'mosquitto' && 'a limit of the gateway';

const open = (t: Test, options: ConnectOptions = {}): Promise<RawClient> =>
  RawClient.connect(t, server.port, options);

t.test('two PUBRELs in one segment get two PUBCOMPs', async (t) => {
  for (const version of VERSIONS) {
    const client = await open(t, { version });
    client.sendPublish('a', 'x', { qos: 2, packetId: 1 });
    await client.expect('pubrec');
    client.send(wire.ack('pubrel', 1), wire.ack('pubrel', 1), wire.PINGREQ);
    await client.expect('pubcomp');
    await client.expect('pubcomp');
    await client.expect('pingresp');
  }
});

t.test('a QoS 2 publish and two repetitions in one segment are delivered once', async (t) => {
  for (const version of VERSIONS) {
    const topic = unique('dup');
    const subscriber = await open(t, { version });
    await subscriber.subscribe(topic, { qos: 2 });
    const client = await open(t, { version });
    const packet = { version, topic, payload: 'x', qos: 2, packetId: 1 };
    const again = wire.publish({ ...packet, dup: true });
    client.send(wire.publish(packet), again, again, wire.ack('pubrel', 1));
    for (let n = 0; n < 3; n++) await client.expect('pubrec');
    await client.expect('pubcomp');
    await subscriber.complete(await subscriber.expectPublish(topic, 'x'));
    await subscriber.expectNothing(client);
  }
});

t.test('a QoS 2 id that an earlier, cleaned session left open is new in the next', async (t) => {
  for (const version of VERSIONS) {
    const topic = unique('reuse');
    const clientId = unique('reuse');
    const subscriber = await open(t, { version });
    await subscriber.subscribe(topic);
    const first = await open(t, { version, clientId });
    first.sendPublish(topic, 'first', { qos: 2, packetId: 1 });
    await first.expect('pubrec');
    first.destroy();
    const second = await open(t, { version, clientId });
    await second.publish(topic, 'second', { qos: 2, packetId: 1 });
    await subscriber.take('publish', ({ payload }) => payload === 'second');
  }
});

t.test(
  'QoS 2 publishes that are never released end the connection at the announced window',
  { skip: ownLimits },
  async (t) => {
    const bystander = await open(t);
    const client = await RawClient.open(t, server.port);
    const { receiveMaximum = 65_535 } = (await client.connect()).properties;
    t.ok(receiveMaximum <= 100);
    client.send(
      ...Array.from({ length: 400 }, (_, n) => wire.publish({ topic: 'a', qos: 2, packetId: n + 1 })),
    );
    await client.take('the refusal', ({ type, reasonCode }) => type === 'disconnect' && reasonCode === 0x93);
    // Those that still waited for the disk are not answered any more.
    t.ok(client.received.filter(({ type }) => type === 'pubrec').length <= receiveMaximum);
    await bystander.expectNothing();
  },
);

t.test(
  'clients of 3.1.1, which know no window, may leave any number of QoS 2 publishes unreleased: one id more costs no message',
  async (t) => {
    const topic = unique('open');
    const subscriber = await open(t, { version: 4, timeoutMs: 10_000 });
    await subscriber.subscribe(topic);
    const client = await open(t, { version: 4, timeoutMs: 10_000 });
    for (const dup of [false, true]) {
      const ids = Array.from({ length: 5000 }, (_, n) => n + 1);
      client.send(...ids.map((packetId) => wire.publish({ version: 4, topic, qos: 2, packetId, dup })));
      const answers: number[] = [];
      for (const _ of ids) answers.push((await client.expect('pubrec')).packetId);
      t.same(answers, ids);
    }
    await client.ping();
    await subscriber.ping();
    t.equal(subscriber.drain().length, 5000, 'each once');
  },
);

t.test('wills that come and go with their connections, hundreds of times, leave no trace', async (t) => {
  const topic = unique('will');
  const watcher = await open(t);
  await watcher.subscribe(topic);
  const clientId = unique('will');
  for (let n = 0; n < 100; n++) {
    const client = await open(t, {
      version: n % 2 === 0 ? 4 : 5,
      clientId,
      will: { topic, retain: n % 3 === 0 },
    });
    client.send(wire.disconnect());
    await client.expectClose();
  }
  await watcher.expectNothing();
});

t.test('a will to a wildcard is refused, a will to $SYS never published', async (t) => {
  for (const topic of ['#', '+/a', 'a/#', '']) {
    const client = await RawClient.open(t, server.port);
    client.send(wire.connect({ clientId: unique('will'), will: { topic } }));
    await client.expectRefused([0x81, 0x82, 0x90]);
  }
  const watcher = await open(t);
  await watcher.subscribe('$SYS/#');
  const clientId = unique('will');
  const client = await RawClient.open(t, server.port);
  client.send(wire.connect({ clientId, will: { topic: '$SYS/broker/uptime', payload: 'forged' } }));
  await client.expect('connack');
  client.destroy();
  // Accepted only once the server has seen the end of the first.
  await open(t, { clientId });
  await watcher.expect('publish', 5000);
  await watcher.ping();
  t.notOk(watcher.received.some(({ payload }) => payload === 'forged'));
});

t.test('many clients lost at once: every will is published, and the server goes on', async (t) => {
  const topic = unique('wills');
  const watcher = await open(t, { timeoutMs: 10_000 });
  await watcher.subscribe(`${topic}/+`, { qos: 0 });
  const clients = await Promise.all(
    Array.from({ length: 200 }, (_, n) => open(t, { will: { topic: `${topic}/${n}` }, timeoutMs: 10_000 })),
  );
  for (const client of clients) client.destroy();
  const seen = new Set<string>();
  while (seen.size < clients.length) seen.add((await watcher.expect('publish', 10_000)).topic);
  await (await open(t)).ping();
});

t.test(
  'retained messages have a limit: a new topic beyond it is refused, what is kept can change and go',
  { skip: ownLimits },
  async (t) => {
    const strict = await startServer(t, {
      gateway: { limits: { retainedMaxCount: 3 }, sys: { intervalS: 0 } },
    });
    const client = await RawClient.connect(t, strict.port);
    const retain = async (topic: string, payload = 'x') =>
      (await client.publish(topic, payload, { qos: 1, retain: true }))?.reasonCode;
    for (const topic of ['a', 'b', 'c']) t.ok([0, 0x10].includes((await retain(topic)) ?? -1));
    t.equal(await retain('d'), 0x97);
    t.not(await retain('a', 'changed'), 0x97);
    t.not(await retain('b', ''), 0x97);
    t.not(await retain('d'), 0x97, 'the place of b');
    await client.subscribe('+');
    await client.ping();
    const kept = client.received
      .filter(({ type }) => type === 'publish')
      .map(({ topic, payload }) => `${topic} ${payload}`);
    t.same(kept.sort(), ['a changed', 'c x', 'd x']);
  },
);

t.test(
  'a client that retains ever new topics is stopped at its quota, also when it comes back; nobody else is',
  { skip: ownLimits },
  async (t) => {
    const strict = await startServer(t, {
      gateway: { limits: { retainedPerClientMaxCount: 3 }, sys: { intervalS: 0 } },
    });
    const accepted = (code: number | undefined): boolean => code === 0 || code === 0x10;
    const clientId = unique('greedy');
    for (let connection = 0; connection < 3; connection++) {
      const greedy = await RawClient.connect(t, strict.port, { clientId });
      const codes: (number | undefined)[] = [];
      for (const qos of [1, 2, 1, 2, 1]) {
        const topic = `greedy/${connection}/${codes.length}`;
        codes.push((await greedy.publish(topic, 'x', { qos, retain: true }))?.reasonCode);
      }
      t.same(
        codes.map(accepted),
        connection === 0 ? [true, true, true, false, false] : codes.map(() => false),
      );
      t.ok(codes.every((code) => accepted(code) || code === 0x97));
      await greedy.publish('greedy/live', 'x', { qos: 1 });
      await greedy.disconnect();
    }
    const old = await RawClient.connect(t, strict.port, { clientId, version: 4 });
    const watcher = await RawClient.connect(t, strict.port);
    await watcher.subscribe('greedy/old', { qos: 1 });
    await old.publish('greedy/old', 'x', { qos: 1, retain: true });
    await watcher.complete(await watcher.expectPublish('greedy/old', 'x'));
    const other = await RawClient.connect(t, strict.port);
    t.ok(accepted((await other.publish('other', 'x', { qos: 1, retain: true }))?.reasonCode));
    // Room comes back when somebody else replaces or clears what the client holds.
    await other.publish('greedy/0/0', 'mine', { qos: 1, retain: true });
    await other.publish('greedy/0/1', '', { qos: 1, retain: true });
    for (const topic of ['again/0', 'again/1', 'again/2'])
      await old.publish(topic, 'x', { qos: 1, retain: true });
    await other.subscribe('#');
    await other.ping();
    const kept = other.received.filter(({ type }) => type === 'publish').map(({ topic }) => topic);
    t.same(kept.sort(), ['again/0', 'again/1', 'greedy/0/0', 'greedy/0/2', 'other']);
  },
);

t.test(
  'clients without an id of their own share one quota of retained messages: reconnecting does not help',
  { skip: ownLimits },
  async (t) => {
    const strict = await startServer(t, { gateway: { limits: { retainedPerClientMaxCount: 2 } } });
    const codes: (number | undefined)[] = [];
    for (let n = 0; n < 4; n++) {
      const client = await RawClient.connect(t, strict.port, { clientId: '' });
      codes.push((await client.publish(`nameless/${n}`, 'x', { qos: 1, retain: true }))?.reasonCode);
      await client.disconnect();
    }
    t.same(codes, [0x10, 0x10, 0x97, 0x97]);
  },
);

t.test('a storm of takeovers leaves one connection, and other clients alone', async (t) => {
  const clientId = unique('storm');
  const bystander = await open(t);
  const clients: RawClient[] = [];
  for (let n = 0; n < 60; n++) clients.push(await RawClient.open(t, server.port));
  await Promise.all(clients.map((client) => client.connect({ clientId }).catch(() => undefined)));
  const alive = await Promise.all(
    clients.map((client) =>
      client.ping().then(
        () => true,
        () => false,
      ),
    ),
  );
  t.equal(alive.filter(Boolean).length, 1);
  await bystander.expectNothing();
});

t.test(
  'connections of one id may replace each other only so often: then the newer one is refused and the older stays',
  { skip: ownLimits },
  async (t) => {
    const strict = await startServer(t, { gateway: { limits: { takeoversMaxCount: 2 } } });
    for (const version of VERSIONS) {
      const clientId = unique('twins');
      let last = await RawClient.connect(t, strict.port, { version, clientId });
      for (let n = 0; n < 2; n++) {
        const next = await RawClient.connect(t, strict.port, { version, clientId });
        await last.expectDisconnect(0x8e);
        last = next;
      }
      const refused = await RawClient.open(t, strict.port, { version });
      refused.send(wire.connect({ version, clientId }));
      await refused.expectRefused(version === 5 ? [0x97, 0x9f] : 0x03);
      await last.expectNothing();
    }
  },
);

t.test(
  'a client id belongs to its user: another one neither ends the connection nor gets the messages',
  { skip: ownLimits },
  async (t) => {
    const guarded = await startServer(t, { anonymous: false, users: { ann: 'p', bob: 'p' } });
    const clientId = unique('mine');
    const topic = unique('mine');
    const session = { clientId, clean: false, password: 'p', properties: { sessionExpiryInterval: 60 } };
    const victim = await RawClient.connect(t, guarded.port, { ...session, username: 'ann' });
    await victim.subscribe(topic, { qos: 1 });
    const live = await RawClient.open(t, guarded.port);
    live.send(wire.connect({ ...session, username: 'bob' }));
    await live.expectRefused([0x85, 0x87]);
    await victim.expectNothing();
    victim.destroy();
    const publisher = await RawClient.connect(t, guarded.port, { username: 'ann', password: 'p' });
    await publisher.publish(topic, 'for ann', { qos: 1 });
    const later = await RawClient.open(t, guarded.port);
    later.send(wire.connect({ ...session, username: 'bob' }));
    await later.expectRefused([0x85, 0x87]);
    const owner = await RawClient.open(t, guarded.port);
    t.equal((await owner.connect({ ...session, username: 'ann' })).sessionPresent, true);
    await owner.expectPublish(topic, 'for ann');
  },
);

t.test('a storm of connections is answered, each one: taken, refused or closed', async (t) => {
  const start = performance.now();
  const outcomes = await Promise.all(
    Array.from({ length: 400 }, async () => {
      const client = await RawClient.open(t, server.port, { timeoutMs: 10_000 });
      return client.connect().then(
        ({ reasonCode }) => reasonCode,
        () => (client.closedAtMs === undefined ? 'nothing' : 'closed'),
      );
    }),
  );
  t.ok(
    outcomes.every((outcome) => [0, 0x88, 0x89, 0x97, 0x9f, 'closed'].includes(outcome)),
    String(new Set(outcomes)),
  );
  t.ok(outcomes.includes(0));
  t.comment(`400 connections in ${Math.round(performance.now() - start)} ms`);
});

t.test(
  'CONNECTs beyond their rate are refused, each at its own time; who is in notices nothing and the others get in later',
  { skip: ownLimits },
  async (t) => {
    const strict = await startServer(t, { gateway: { limits: { connectsPerSecondMax: 2 } } });
    const topic = unique('in');
    const inside = await RawClient.connect(t, strict.port);
    await inside.subscribe(topic, { qos: 1 });
    const refusedAfter: number[] = [];
    let accepted = 1;
    const attempt = async (version: 4 | 5): Promise<void> => {
      const client = await RawClient.open(t, strict.port, { version, timeoutMs: 10_000 });
      const start = performance.now();
      const { reasonCode } = await client.connect();
      if (reasonCode === 0) accepted++;
      else {
        t.equal(reasonCode, version === 5 ? 0x9f : 0x03);
        await client.expectClose();
        refusedAfter.push(performance.now() - start);
      }
    };
    const storm = Promise.all(Array.from({ length: 60 }, (_, n) => attempt(n % 2 === 0 ? 4 : 5)));
    await inside.publish(topic, 'meanwhile', { qos: 1 });
    await inside.complete(await inside.expectPublish(topic, 'meanwhile'));
    await storm;
    t.ok(
      accepted >= 6 && accepted <= 12,
      `${accepted} of 61: three seconds' worth, and what came in meanwhile`,
    );
    t.ok(Math.max(...refusedAfter) < 5000);
    t.ok(new Set(refusedAfter.map((ms) => Math.floor(ms / 250))).size >= 3, 'the answers are spread');
    // The refusals took longer than a token takes.
    await RawClient.connect(t, strict.port);
    await inside.expectNothing();
  },
);

t.test(
  'a client that is refused for its rate is not asked for its password: right and wrong look alike',
  { skip: ownLimits },
  async (t) => {
    const guarded = await startServer(t, {
      anonymous: false,
      users: { ann: 'p' },
      gateway: { limits: { connectsPerSecondMax: 1 } },
    });
    const login = async (password: string): Promise<number> => {
      const client = await RawClient.open(t, guarded.port, { timeoutMs: 10_000 });
      return (await client.connect({ username: 'ann', password })).reasonCode;
    };
    for (let n = 0; n < 3; n++) t.equal(await login('p'), 0);
    const passwords = Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? 'wrong' : 'p'));
    const codes = await Promise.all(passwords.map(login));
    t.ok(codes.filter((code) => code === 0x9f).length >= 15, String(codes));
  },
);

t.test('a subscription to # brings what its client may read, and nothing else', async (t) => {
  const guarded = await startServer(t, {
    anonymous: false,
    users: { ann: 'p', root: 'p' },
    acl: 'user ann\ntopic read ann/#\nuser root\ntopic readwrite #\n',
  });
  const ann = await RawClient.connect(t, guarded.port, { username: 'ann', password: 'p' });
  const root = await RawClient.connect(t, guarded.port, { username: 'root', password: 'p' });
  await root.publish('secret/kept', 'secret', { qos: 1, retain: true });
  await ann.subscribe(['#', '+/+', 'ann/#'], { allowRefusal: true });
  await root.publish('secret/live', 'secret', { qos: 1 });
  await root.publish('ann/live', 'open', { qos: 1 });
  await ann.take('publish', ({ payload }) => payload === 'open');
  t.notOk(ann.received.some(({ payload }) => payload === 'secret'));
});

/** A generator whose numbers are the same in every run [Numerical Recipes, ranqd1]. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 0x1_0000_0000) * below);
  };
}

t.test('random and mutated packets of many clients end nobody but their senders', async (t) => {
  const next = random(20_260_101);
  const topic = unique('fuzz');
  const watchers = await Promise.all(([3, 4, 5] as const).map((version) => open(t, { version })));
  for (const watcher of watchers) await watcher.subscribe([topic, 'fuzz/#'], { qos: 2 });
  const seeds = [
    wire.publish({
      topic: 'fuzz/a',
      qos: 2,
      packetId: 9,
      retain: true,
      payload: 'x',
      properties: { contentType: 'a', userProperty: [['a', 'b']] },
    }),
    wire.subscribe(3, [{ filter: 'fuzz/+', qos: 2 }], { properties: { subscriptionIdentifier: 4 } }),
    wire.unsubscribe(4, ['fuzz/+']),
    wire.ack('pubrel', 9, 0, { reasonString: 'a' }),
    wire.ack('pubrec', 1),
    wire.auth(0x18, { authenticationMethod: 'a' }),
    wire.disconnect(4, { sessionExpiryInterval: 3 }),
  ];
  for (let round = 0; round < 300; round++) {
    const version = VERSIONS[next(2)] ?? 5;
    const client = await open(t, { version, will: { topic: 'fuzz/will' } });
    for (let n = 0; n < 4; n++) {
      const bytes = Buffer.from(seeds[next(seeds.length)] ?? wire.PINGREQ);
      for (let flips = 1 + next(3); flips > 0; flips--) bytes[next(bytes.length)] = next(256);
      client.send(bytes);
    }
    client.end();
  }
  for (const watcher of watchers) {
    await watcher.ping();
    watcher.sendPublish(topic, 'alive', {});
    await watcher.take('publish', (packet) => packet.topic === topic && packet.payload === 'alive');
  }
});
