/** A gateway that archives through others: which one it takes, when it goes over to another one, and what it does not believe. */
import t, { type Test } from 'tap';
import { bodyOf, ObjectFault } from '../../../../bridge/archive/object-store.js';
import {
  ANSWER_WITHIN_MS,
  OFFER_WITHIN_MS,
  PULLED_MAX_BYTES,
} from '../../../../bridge/archive/relay/limits.js';
import { RelayClient } from '../../../../bridge/archive/relay/relay-client.js';
import {
  answerOf,
  decodeFrame,
  encodeAnswer,
  encodeFrame,
} from '../../../../bridge/archive/relay/relay-frames.js';
import { allTurns } from '../../../sim/scheduler.js';
import { MemoryObjectStore } from '../../../support/memory-object-store.js';
import { nullLogger } from '../../../support/null-logger.js';
import { IdleTime, idOf, RelayWorld, SELF } from '../../../support/relay-world.js';

const KEY = `manifest/${SELF}/entries/000000000001.json`;
const OTHER_KEY = `manifest/${SELF}/entries/000000000002.json`;

async function fault(t: Test, promise: Promise<unknown>): Promise<ObjectFault> {
  try {
    t.fail(`it was done: ${String(await promise)}`);
  } catch (error) {
    if (error instanceof ObjectFault) return error;
    throw error;
  }
  throw new Error('no fault');
}

t.test('objects go to the store of another gateway, and are read back from it', async (t) => {
  const world = new RelayWorld();
  const { time, store } = world;
  const there = new MemoryObjectStore();
  world.link(world.hub(2, there));
  const bytes = Buffer.alloc(350_001, 'what is in it ');
  const data = `data/date=2026-11-30/prefix=site/${SELF.slice(0, 16)}-1-6-55-ef42b6ca.parquet`;
  t.equal(await time.settle(store.createsOnce()), true);
  t.equal(await time.settle(store.create(data, bodyOf(bytes))), true);
  t.ok(bytes.equals(there.objects.get(data) ?? Buffer.alloc(0)), 'as it was');
  t.equal(await time.settle(store.create(data, bodyOf(bytes))), false);
  t.same(await time.settle(store.stat(data)), { key: data, length: bytes.length });
  t.equal(await time.settle(store.stat(KEY)), undefined);
  t.equal(await time.settle(store.read(KEY)), undefined);
  const [whole, part] = [store.read(data), store.read(data, { offset: 349_990, length: 65_536 })];
  t.ok(bytes.equals((await time.settle(whole)) ?? Buffer.alloc(0)));
  t.same(Buffer.from((await time.settle(part)) ?? []), bytes.subarray(349_990));
  t.equal((await time.settle(store.read(data, { offset: 3, length: 0 })))?.length, 0);
  t.equal(await time.settle(store.create(KEY, bodyOf(new Uint8Array(0)))), true, 'an empty one is one');
  t.equal((await time.settle(store.read(KEY)))?.length, 0);
  t.match(world.client.way, { gateway: idOf(2), site: 'hub2', target: 'memory' });
  t.same(world.log, ['messages are archived through another gateway hub2']);
  t.match(await fault(t, store.remove(data)), { kind: 'denied' });
  t.match(await fault(t, store.list('').next()), { kind: 'denied' });
});

t.test('where nobody archives for others that is said, with what to do', async (t) => {
  const world = new RelayWorld();
  const startedAt = world.time.now();
  const none = await fault(t, world.time.settle(world.store.stat(KEY)));
  t.match(none, { kind: 'unreachable', message: /no member of the mesh .* set archive\.forPeers/ });
  t.equal(world.time.now() - startedAt, OFFER_WITHIN_MS, 'links take a moment to come up');
  const named = new RelayWorld({ wanted: 'harbour' });
  t.match(await fault(t, named.time.settle(named.store.stat(KEY))), { message: /no link to harbour/ });
  named.client.linked({ id: idOf(3), site: 'harbour', isRelayed: false });
  t.match(await fault(t, named.time.settle(named.store.stat(KEY))), {
    message: /harbour \(03030303\) does not offer its archive: set archive\.forPeers there/,
  });
});

t.test('whoever offers its archive while one is looked for is taken at once', async (t) => {
  const world = new RelayWorld();
  const startedAt = world.time.now();
  const asked = world.store.stat(KEY);
  world.link(world.hub(2, new MemoryObjectStore()));
  t.equal(await world.time.settle(asked), undefined);
  t.ok(world.time.now() - startedAt < 1000);
});

t.test('while one is looked for that has the archive, those that come up are looked at', async (t) => {
  const world = new RelayWorld();
  world.client.begin('02'.repeat(16), () => undefined);
  world.link(world.hub(2, new MemoryObjectStore()));
  const asked = world.store.stat(KEY);
  await allTurns();
  world.link(world.hub(3, new MemoryObjectStore()));
  t.equal(await world.time.settle(asked), undefined);
  t.equal(world.client.way?.site, 'hub3');
  t.notOk(world.time.isWaited);
});

t.test('it stays with a gateway, and goes over to another one with the same store', async (t) => {
  const world = new RelayWorld();
  const { time, store, client } = world;
  const there = new MemoryObjectStore();
  const [relayed, first, second] = [
    world.hub(4, there, { isRelayed: true }),
    world.hub(2, there),
    world.hub(3, there),
  ] as const;
  world.link(relayed);
  world.link(first);
  t.equal(await time.settle(store.create(KEY, bodyOf(Buffer.from('one')))), true);
  t.equal(client.way?.site, 'hub2', 'a direct link is better');
  world.link(second);
  await time.settle(store.stat(KEY));
  t.equal(client.way?.site, 'hub2', 'that there is another one changes nothing');
  world.unlink(first);
  t.equal(client.way, null);
  t.equal(await time.settle(store.create(KEY, bodyOf(Buffer.from('two')))), false, 'it is there already');
  t.equal(client.way?.site, 'hub3');
  world.link(first);
  await time.settle(store.stat(KEY));
  t.equal(client.way?.site, 'hub3');
});

t.test(
  'a gateway whose store fails is left for another one, and taken again where there is none',
  async (t) => {
    const world = new RelayWorld();
    const { time, store, client } = world;
    const there = new MemoryObjectStore();
    for (const number of [2, 3]) world.link(world.hub(number, there));
    await time.settle(store.stat(KEY));
    t.equal(client.way?.site, 'hub2');
    there.fault = () => ({ when: 'before', kind: 'unreachable' });
    t.match(await fault(t, time.settle(store.stat(KEY))), {
      kind: 'unreachable',
      message: /^hub2 \(02020202\): .*made to fail/,
    });
    there.fault = () => undefined;
    await time.settle(store.stat(KEY));
    t.equal(client.way?.site, 'hub3');
    const alone = world.hubs.get(idOf(2));
    if (alone !== undefined) world.unlink(alone);
    there.fault = () => ({ when: 'before', kind: 'busy' });
    t.match(await fault(t, time.settle(store.stat(KEY))), { kind: 'busy' });
    t.equal(client.way?.site, 'hub3', 'it is asked again later');
    there.fault = () => ({ when: 'before', kind: 'denied' });
    t.match(await fault(t, time.settle(store.stat(KEY))), { kind: 'denied' });
    there.fault = () => undefined;
    await time.settle(store.stat(KEY));
    t.equal(client.way?.site, 'hub3');
  },
);

t.test('another store is another archive: it is not gone over to', async (t) => {
  const world = new RelayWorld();
  const { time, store, client } = world;
  const bound: string[] = [];
  client.begin(undefined, (identity) => bound.push(identity));
  const [first, other] = [world.hub(2, new MemoryObjectStore()), world.hub(3, new MemoryObjectStore())];
  world.link(first);
  await time.settle(store.stat(KEY));
  t.same(bound, ['01'.repeat(16)]);
  world.unlink(first);
  world.link(other);
  const refused = await fault(t, time.settle(store.stat(KEY)));
  t.match(refused, {
    kind: 'unreachable',
    message: /hub3 \(03030303\) has another archive \(memory\).*mesh:hub3/,
  });
  world.link(first);
  await time.settle(store.stat(KEY));
  t.equal(client.way?.site, 'hub2');
  t.equal(bound.length, 1, 'it is told once');
});

t.test('the store of an earlier start is looked for, unless a gateway is named', async (t) => {
  const remembered = 'ab'.repeat(16);
  const world = new RelayWorld();
  world.client.begin(remembered, () => t.fail('it is none'));
  world.link(world.hub(2, new MemoryObjectStore()));
  t.match(await fault(t, world.time.settle(world.store.stat(KEY))), {
    kind: 'unreachable',
    message: /another archive/,
  });
  const named = new RelayWorld({ wanted: idOf(2).slice(0, 8) });
  const bound: string[] = [];
  named.client.begin(remembered, (identity) => bound.push(identity));
  named.link(named.hub(3, new MemoryObjectStore()));
  named.link(named.hub(2, new MemoryObjectStore()));
  t.equal(await named.time.settle(named.store.stat(KEY)), undefined);
  t.same([named.client.way?.site, bound.length], ['hub2', 1]);
});

t.test('a gateway that cannot say which store it has is passed over', async (t) => {
  const world = new RelayWorld();
  const broken = new MemoryObjectStore();
  broken.fault = () => ({ when: 'before', kind: 'denied' });
  world.link(world.hub(2, broken));
  t.match(await fault(t, world.time.settle(world.store.stat(KEY))), {
    kind: 'denied',
    message: /^hub2 \(02020202\): read archive-id was made to fail/,
  });
  world.link(world.hub(3, new MemoryObjectStore()));
  await world.time.settle(world.store.stat(KEY));
  t.equal(world.client.way?.site, 'hub3');
  const foreign = new RelayWorld();
  const store = new MemoryObjectStore();
  store.objects.set('archive-id', Buffer.from('something else'));
  foreign.link(foreign.hub(2, store));
  t.match(await fault(t, foreign.time.settle(foreign.store.stat(KEY))), {
    message: /does not say which archive/,
  });
});

t.test('a link that breaks leaves what was asked for unknown, and nothing else', async (t) => {
  for (const [kind, ask] of [
    [
      'unknown',
      (world: RelayWorld): Promise<unknown> => world.store.create(OTHER_KEY, bodyOf(Buffer.alloc(100_000))),
    ],
    ['unreachable', (world: RelayWorld): Promise<unknown> => world.store.stat(KEY)],
  ] as const) {
    const world = new RelayWorld();
    world.link(world.hub(2, new MemoryObjectStore()));
    await world.time.settle(world.store.stat(KEY));
    let left = 1;
    world.breaks = () => left-- === 0;
    t.match(await fault(t, world.time.settle(ask(world))), { kind, message: /the link to hub2 .* broke/ });
  }
});

/** The test is the other gateway. */
function alone(): { client: RelayClient; time: IdleTime; sent: Uint8Array[]; isBroken: () => void } {
  const time = new IdleTime();
  const sent: Uint8Array[] = [];
  let isBroken = false;
  const client = new RelayClient(
    {
      ...{ timers: time, logger: nullLogger, random: () => 0, frameMaxBytes: 1000 },
      send: (_to, frame) => !isBroken && sent.push(frame) > 0,
    },
    '',
  );
  client.linked({ id: idOf(2), site: '', isRelayed: false });
  client.onFrame(idOf(2), encodeFrame('offer', 0, [1]));
  return { client, time, sent, isBroken: () => void (isBroken = true) };
}

const identity = (id: number): Uint8Array =>
  encodeAnswer(id, { kind: 'identity', identity: 'ab'.repeat(16), name: 's3://b' });

t.test('it sends what was asked for of an object, and ends the link to whoever asks for more', async (t) => {
  const wrong: readonly (readonly [number, number])[] = [
    [0, 0],
    [0, 2_000_001],
    [2_000_000, 1],
    [0, PULLED_MAX_BYTES + 1],
  ];
  for (const [offset, length] of wrong) {
    const { client } = alone();
    const asked = client.ask(
      { kind: 'create', key: KEY, length: 2_000_000 },
      async (_, count) => new Uint8Array(count),
    );
    await Promise.resolve();
    client.onFrame(idOf(2), identity(1));
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    t.match(
      client.onFrame(idOf(2), encodeFrame('pull', 2, [offset, length])),
      /it asked for/,
      `${offset} ${length}`,
    );
    client.unlinked(idOf(2));
    t.match(await asked, { kind: 'fault', fault: 'unknown' });
  }
  const { client, sent, time } = alone();
  const asked = client.ask({ kind: 'create', key: KEY, length: 2500 }, async (offset, count) =>
    new Uint8Array(count).fill(offset / 1000),
  );
  await Promise.resolve();
  client.onFrame(idOf(2), identity(1));
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  t.equal(client.onFrame(idOf(9), encodeFrame('pull', 2, [0, 1])), undefined, 'to whom there is no link');
  client.onFrame(idOf(2), encodeFrame('pull', 77, [0, 1]));
  t.match(decodeFrame(sent.at(-1) ?? new Uint8Array(0)), { kind: 'noPart', id: 77 });
  client.onFrame(idOf(2), encodeFrame('pull', 2, [0, 2500]));
  client.onFrame(idOf(2), encodeFrame('pull', 2, [2000, 500]));
  for (let turn = 0; turn < 40; turn++) await Promise.resolve();
  const parts = sent
    .map((frame) => decodeFrame(frame))
    .flatMap((frame) =>
      typeof frame === 'object' && frame.kind === 'part' ? [[frame.numbers[0], frame.rest.length]] : [],
    );
  t.same(parts, [
    [0, 1000],
    [1000, 1000],
    [2000, 500],
    [2000, 500],
  ]);
  client.onFrame(idOf(2), encodeAnswer(2, { kind: 'is', value: true }));
  t.same(await time.settle(asked), { kind: 'is', value: true });
  t.match(client.onFrame(idOf(2), Buffer.from([9])), /cannot be read/);
});

t.test(
  'a body that cannot be read, a link that takes no more, and a gateway that is silent end a request',
  async (t) => {
    const begun = async (read: () => Promise<Uint8Array>) => {
      const world = alone();
      const asked = world.client.ask({ kind: 'create', key: KEY, length: 500 }, read);
      await Promise.resolve();
      world.client.onFrame(idOf(2), identity(1));
      for (let turn = 0; turn < 10; turn++) await Promise.resolve();
      return { ...world, asked };
    };
    const unreadable = await begun(() => Promise.reject(new Error('the disk is gone')));
    unreadable.client.onFrame(idOf(2), encodeFrame('pull', 2, [0, 500]));
    t.match(await unreadable.asked, { kind: 'fault', text: 'the disk is gone' });
    t.match(decodeFrame(unreadable.sent.at(-1) ?? new Uint8Array(0)), { kind: 'noPart' });
    const full = await begun(async () => new Uint8Array(500));
    full.isBroken();
    full.client.onFrame(idOf(2), encodeFrame('pull', 2, [0, 500]));
    t.match(await full.asked, { kind: 'fault', fault: 'unknown', text: /too much waits/ });
    const silent = await begun(async () => new Uint8Array(500));
    const before = silent.time.now();
    t.match(await silent.time.settle(silent.asked), {
      kind: 'fault',
      fault: 'unknown',
      text: /nothing was heard/,
    });
    t.equal(silent.time.now() - before, ANSWER_WITHIN_MS);
    t.equal(
      silent.client.onFrame(idOf(2), encodeAnswer(2, { kind: 'none' })),
      undefined,
      'it is answered late',
    );
  },
);

t.test('an answer that is none of the question is a fault', async (t) => {
  for (const [answer, ask] of [
    [{ kind: 'none' }, (world: RelayWorld): Promise<unknown> => world.store.createsOnce()],
    [{ kind: 'is', value: true }, (world: RelayWorld): Promise<unknown> => world.store.stat(KEY)],
    [{ kind: 'is', value: true }, (world: RelayWorld): Promise<unknown> => world.store.read(KEY)],
    [
      { kind: 'bytes', bytes: new Uint8Array(0), isEnd: false },
      (world: RelayWorld): Promise<unknown> => world.store.read(KEY),
    ],
    [
      { kind: 'bytes', bytes: new Uint8Array(9), isEnd: false },
      (world: RelayWorld): Promise<unknown> => world.store.read(KEY, { offset: 0, length: 8 }),
    ],
  ] as const) {
    const world = new RelayWorld();
    const hub = world.hub(2, new MemoryObjectStore());
    world.link(hub);
    await world.time.settle(world.store.stat(KEY));
    hub.server.onFrame = (_from, bytes) => {
      const frame = decodeFrame(bytes);
      if (typeof frame === 'object') world.client.onFrame(hub.gateway.id, encodeAnswer(frame.id, answer));
      return undefined;
    };
    t.match(await fault(t, world.time.settle(ask(world))), { kind: 'unknown', message: /answered .* with/ });
  }
  const world = alone();
  const asked = world.client.ask({ kind: 'stat', key: KEY }, () => Promise.reject(new Error('no')));
  await Promise.resolve();
  world.client.onFrame(idOf(2), encodeAnswer(1, { kind: 'none' }));
  t.match(await world.time.settle(asked), {
    kind: 'fault',
    text: /02020202 does not say which archive it has/,
  });
  t.equal(answerOf({ kind: 'offer', id: 0, numbers: [1], rest: new Uint8Array(0) }), undefined);
});

t.test(
  'a link that is a new one since a gateway was chosen is asked nothing that was for the old one',
  async (t) => {
    const { client, sent, time } = alone();
    const asked = client.ask({ kind: 'stat', key: KEY }, () => Promise.reject(new Error('no')));
    await Promise.resolve();
    client.onFrame(idOf(2), identity(1));
    client.unlinked(idOf(2));
    client.linked({ id: idOf(2), site: '', isRelayed: false });
    const before = time.now();
    t.match(await time.settle(asked), { kind: 'fault', fault: 'unreachable', text: /the link to .* broke/ });
    t.equal(time.now(), before);
    t.equal(sent.length, 1);
  },
);

t.test('once it is closed nothing is waited for', async (t) => {
  const { client, time } = alone();
  const asked = client.ask({ kind: 'stat', key: KEY }, () => Promise.reject(new Error('no')));
  await Promise.resolve();
  client.close();
  t.match(await asked, { kind: 'fault', fault: 'unreachable' });
  t.match(await client.ask({ kind: 'stat', key: KEY }, () => Promise.reject(new Error('no'))), {
    kind: 'fault',
  });
  t.notOk(time.isWaited);
});
