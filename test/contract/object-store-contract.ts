/** What every object store has to do, as a function that takes a factory: each implementation runs it. */
import type { Test } from 'tap';
import { bodyOf, type ObjectStore } from '../../bridge/archive/object-store.js';

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();
const body = (content: string): ReturnType<typeof bodyOf> => bodyOf(Buffer.from(content));

async function keysOf(store: ObjectStore, prefix: string, after?: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key, length } of store.list(prefix, after)) keys.push(`${key} ${length}`);
  return keys;
}

/** @param make a store that is empty */
export function objectStoreContract(
  t: Test,
  name: string,
  make: (t: Test) => ObjectStore | Promise<ObjectStore>,
): void {
  t.test(`${name}: an object is created once`, async (t) => {
    const store = await make(t);
    t.equal(await store.createsOnce(), true);
    t.equal(await store.read('a/b'), undefined);
    t.equal(await store.stat('a/b'), undefined);
    t.equal(await store.create('a/b', body('first')), true);
    t.equal(await store.create('a/b', body('second')), false);
    t.equal(text(await store.read('a/b')), 'first');
    t.same(await store.stat('a/b'), { key: 'a/b', length: 5 });
    await store.remove('a/b');
    await store.remove('a/b');
    t.equal(await store.stat('a/b'), undefined);
    t.equal(await store.create('a/b', body('')), true, 'an empty one is one');
    t.equal(text(await store.read('a/b')), '');
  });

  t.test(`${name}: of many that create one key at the same time one comes first`, async (t) => {
    const store = await make(t);
    for (let round = 0; round < 10; round++) {
      const key = `race/${round}`;
      const came = await Promise.all(
        Array.from({ length: 20 }, (_, n) => store.create(key, body(`writer ${n} `.repeat(100)))),
      );
      t.equal(came.filter(Boolean).length, 1);
      t.equal(text(await store.read(key)), `writer ${came.indexOf(true)} `.repeat(100));
    }
  });

  t.test(`${name}: a part of an object is read`, async (t) => {
    const store = await make(t);
    await store.create('a', body('0123456789'));
    for (const [offset, length, expected] of [
      [0, 3, '012'],
      [7, 3, '789'],
      [8, 100, '89'],
      [10, 1, ''],
      [11, 1, ''],
    ] as const)
      t.equal(text(await store.read('a', { offset, length })), expected);
    t.equal(await store.read('b', { offset: 0, length: 1 }), undefined);
  });

  t.test(`${name}: a large object comes back as it was`, async (t) => {
    const store = await make(t);
    const bytes = Buffer.alloc(3_000_001, 'large ');
    t.equal(await store.create('large', bodyOf(bytes)), true);
    t.ok(bytes.equals((await store.read('large')) ?? Buffer.alloc(0)));
  });

  t.test(`${name}: keys are listed in their order`, async (t) => {
    const store = await make(t);
    t.same(await keysOf(store, ''), []);
    const keys = ['a/b/c', 'a/b-1', 'a/b/a', 'a.x', 'a/b.1', 'b', 'a/c/d=1/x', 'ab/c'];
    for (const key of keys) await store.create(key, body(key));
    const listed = (prefix: string): string[] =>
      [...keys]
        .sort()
        .filter((key) => key.startsWith(prefix))
        .map((key) => `${key} ${key.length}`);
    for (const prefix of ['', 'a', 'a/', 'a/b', 'a/b/', 'a/c/d', 'b', 'x', 'a/b/c', 'b/c'])
      t.same(await keysOf(store, prefix), listed(prefix), `below ${JSON.stringify(prefix)}`);
    for (const after of ['', ...keys, 'a/b0', 'a/', 'a', 'a/b/b', 'b0', 'z'])
      for (const prefix of ['', 'a/', 'a/b/'])
        t.same(
          await keysOf(store, prefix, after),
          listed(prefix).filter((text) => (text.split(' ')[0] ?? '') > after),
          `below ${JSON.stringify(prefix)}, behind ${after}`,
        );
  });

  t.test(`${name}: what is no key is refused`, async (t) => {
    const store = await make(t);
    for (const key of [
      '',
      '/a',
      'a/',
      'a//b',
      '../a',
      'a/../b',
      '.hidden',
      'a/.b',
      'a b',
      'ä',
      'x'.repeat(201),
    ])
      await t.rejects(async () => store.create(key, body('')), { message: /is no key of an object/ }, key);
  });
}
