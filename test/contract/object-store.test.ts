/** What every object store has to do. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { FileObjectStore } from '../../bridge/archive/file-object-store.js';
import { bodyOf, keyFault, type ObjectStore } from '../../bridge/archive/object-store.js';
import { S3ObjectStore, type S3Options } from '../../bridge/archive/s3-object-store.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { S3Server, type S3ServerOptions } from '../support/s3-server.js';

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();
const body = (content: string): ReturnType<typeof bodyOf> => bodyOf(Buffer.from(content));

async function s3(t: Test, options: S3ServerOptions, more: Partial<S3Options> = {}): Promise<ObjectStore> {
  const server = new S3Server(options);
  await server.listen();
  const store = new S3ObjectStore({
    ...{ bucket: 'bucket', prefix: 'plant/one', region: 'eu-central-1', endpoint: server.endpoint },
    ...{ pathStyle: true, timeoutMs: 10_000, partBytes: 1_000_000 },
    credentials: { accessKeyId: 'AKTEST', secretAccessKey: 'very secret' },
    ...more,
  });
  t.teardown(async () => {
    store.close();
    await server.close();
  });
  return store;
}

const STORES: Readonly<Record<string, (t: Test) => ObjectStore | Promise<ObjectStore>>> = {
  memory: () => new MemoryObjectStore(),
  's3, listed in small pages': (t) => s3(t, { pageMaxKeys: 3 }),
  's3 without a prefix': (t) => s3(t, {}, { prefix: '' }),
  files: (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sprawl-objects-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    return new FileObjectStore(join(folder, 'archive'));
  },
};

async function keysOf(store: ObjectStore, prefix: string, after?: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key, length } of store.list(prefix, after)) keys.push(`${key} ${length}`);
  return keys;
}

for (const [name, make] of Object.entries(STORES)) {
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

t.test('what is wrong with a key is said', async (t) => {
  t.equal(keyFault('archive/v1/date=2026-11-29/a%20b.parquet'), undefined);
  t.match(keyFault('a/b c'), '"b c" in it is no name');
  t.match(keyFault(`a/${'x'.repeat(201)}`), 'a name in it has 201 characters, at most 200');
  t.match(keyFault('a/'.repeat(600)), 'it has 1200 characters, at most 1024');
});
