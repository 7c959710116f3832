/** Archives whose objects are encrypted: what writers make of it, what readers need, and what the store gets to see. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { KEY_ID_METADATA, SealedSpool } from '../../../bridge/archive/encryption/sealed-spool.js';
import type { FileFormat } from '../../../bridge/archive/object-key.js';
import { entryKey } from '../../../bridge/archive/manifest.js';
import type { ArchivedObject } from '../../../bridge/archive/manifest-entry.js';
import { Pace, paced } from '../../../bridge/archive/paced-body.js';
import { Catalog } from '../../../bridge/archive/reading/catalog.js';
import { openObject } from '../../../bridge/archive/reading/opened-object.js';
import { PARQUET_DEFAULTS } from '../../../bridge/archive/parquet-options.js';
import { readParquet } from '../../../bridge/archive/reading/parquet-reader.js';
import { FolderSpool } from '../../../bridge/archive/spool.js';
import { type MasterKey, parseKeyFile } from '../../../lib/contracts/master-key.js';
import { ArchiveWorld, ORIGIN, rowOf, rowsOf, START_MS } from '../../support/archive-world.js';
import { compact, GRACE_MS, NOW_MS, rowTexts, verify } from '../../support/compaction-world.js';
import { MemoryObjectStore } from '../../support/memory-object-store.js';

const keyOf = (fill: number): MasterKey =>
  parseKeyFile(Buffer.alloc(32, fill).toString('hex'), 'keys', 'archive')[0] as MasterKey;
const [OLD, NEW] = [keyOf(1), keyOf(2)];
const PAYLOAD = 'nobody-is-to-read-this';
const LEAF = 'secret-leaf';
const ROW = { topic: `site/door/${LEAF}`, payload: Buffer.from(`{"state":"${PAYLOAD}"}`) };

async function archive(
  t: Test,
  format: FileFormat = 'parquet',
  keys: readonly MasterKey[] = [OLD],
): Promise<MemoryObjectStore> {
  const store = new MemoryObjectStore();
  store.keys = keys;
  const world = new ArchiveWorld(t, store, { format });
  await world.cut(10, rowsOf(1, 10, ROW));
  await world.cut(20, rowsOf(11, 20, ROW));
  return store;
}

const dataKeys = ({ objects }: MemoryObjectStore): string[] =>
  [...objects.keys()].filter((key) => key.startsWith('data/')).sort();

async function objectsIn(store: MemoryObjectStore): Promise<ArchivedObject[]> {
  const objects: ArchivedObject[] = [];
  for await (const { object } of new Catalog(store).objects()) objects.push(object);
  return objects;
}

/** As somebody who has other keys. */
function seenWith(store: MemoryObjectStore, keys: readonly MasterKey[]): MemoryObjectStore {
  const other = new MemoryObjectStore();
  for (const [key, bytes] of store.objects) other.objects.set(key, bytes);
  other.keys = keys;
  return other;
}

for (const format of ['parquet', 'ndjson'] as const)
  t.test(
    `${format}: who has the key reads what a plain archive has, and the store has nothing of it`,
    async (t) => {
      const store = await archive(t, format);
      const plain = await archive(t, format, []);
      t.same(await rowTexts(store), await rowTexts(plain));
      t.match(await verify(store), { faults: [], notes: [], origins: [{ rows: 20, lockedCount: 0 }] });
      const everything = [...store.objects].map(
        ([key, bytes]) => key + Buffer.from(bytes).toString('latin1'),
      );
      for (const text of [PAYLOAD, LEAF, 'PAR1', Buffer.from(OLD.key.export()).toString('latin1')])
        t.notOk(
          everything.some((one) => one.includes(text)),
          text,
        );
      t.ok(
        [...plain.objects.values()].some((bytes) => Buffer.from(bytes).includes(LEAF)),
        'it would be seen',
      );
      for (const { key, keyId, length } of await objectsIn(store)) {
        t.equal(keyId, OLD.id);
        t.equal(store.objects.get(key)?.length, length, 'of what is stored');
        t.same(store.metadata.get(key), { [KEY_ID_METADATA]: OLD.id });
      }
    },
  );

t.test('a plain archive has no keys, no metadata, and the format that it always had', async (t) => {
  const store = await archive(t, 'parquet', []);
  const entry = Buffer.from(store.objects.get(entryKey(ORIGIN, 1)) ?? []).toString();
  t.match(entry, /^\{"format":1,/);
  t.notMatch(entry, 'keyId');
  t.equal(store.metadata.size, 0);
  const encrypted = await archive(t);
  t.match(
    Buffer.from(encrypted.objects.get(entryKey(ORIGIN, 1)) ?? []).toString(),
    /^\{"format":2,.*"sha256":"[0-9a-f]{64}","keyId":"[0-9a-f]{16}"\}/,
  );
});

t.test('who makes the same cut again makes the same objects, with another key others', async (t) => {
  const [one, again, other] = [await archive(t), await archive(t), await archive(t, 'parquet', [NEW])];
  t.same(again.objects, one.objects);
  t.equal(new Set([...dataKeys(one), ...dataKeys(other)]).size, 2 * dataKeys(one).length);
});

t.test('without the key nothing is read, and it is said which one is needed', async (t) => {
  const store = await archive(t);
  const [object] = await objectsIn(store);
  await t.rejects(rowTexts(seenWith(store, [])), {
    ...{ name: 'KeyMissing', needed: OLD.id, key: object?.key },
    message: `${object?.key} is encrypted with key ${OLD.id}, and no key is configured`,
  });
  await t.rejects(rowTexts(seenWith(store, [NEW])), { message: /, and the configured key is [0-9a-f]{16}$/ });
  await t.rejects(rowTexts(seenWith(store, [NEW, keyOf(3)])), { message: /configured keys are \w+, \w+$/ });
  const bare = seenWith(store, []);
  t.match(await verify(bare, false), { faults: [], notes: [] });
  t.match(await verify(bare), {
    faults: [],
    notes: [
      new RegExp(
        `^locked ${object?.key}: is encrypted with key ${OLD.id} \\(so are 1 more\\), which is not configured .*: length and SHA-256 were checked, rows were not$`,
      ),
    ],
    origins: [{ lockedCount: 2, objects: 2 }],
  });
  const bytes = bare.objects.get(object?.key ?? '') ?? new Uint8Array(0);
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  t.match(await verify(bare), { faults: [/^object .* its SHA-256 is/], notes: [/: is encrypted with/] });
});

t.test('objects of several keys, and plain ones, are one archive', async (t) => {
  const store = await archive(t, 'parquet', []);
  const world = new ArchiveWorld(t, store);
  for await (const { upTo } of world.manifest.read()) if (upTo < 0) break;
  store.keys = [OLD];
  await world.cut(30, rowsOf(21, 30, ROW));
  store.keys = [NEW, OLD];
  await world.cut(40, rowsOf(31, 40, ROW));
  t.same(
    (await objectsIn(store)).map(({ keyId }) => keyId),
    [undefined, undefined, OLD.id, NEW.id],
  );
  t.equal((await rowTexts(store)).length, 40);
  t.match(await verify(store), { faults: [], notes: [] });
});

t.test('an object that is not what its manifest says of its key is damaged', async (t) => {
  const store = await archive(t);
  const [object] = await objectsIn(store);
  const both = seenWith(store, [OLD, NEW]);
  await t.rejects(openObject(both, { ...(object as ArchivedObject), keyId: NEW.id }), {
    ...{
      name: 'ObjectDamage',
      message: new RegExp(`is encrypted with key ${OLD.id}, and its manifest names ${NEW.id}`),
    },
  });
  const plain = await archive(t, 'parquet', []);
  plain.keys = [OLD];
  const [open] = await objectsIn(plain);
  await t.rejects(openObject(plain, { ...(open as ArchivedObject), keyId: OLD.id }), {
    ...{ name: 'ObjectDamage', message: /is not encrypted, and its manifest says that it is/ },
  });
});

t.test('of what is too large for memory only the parts that are wanted are opened', async (t) => {
  const store = new MemoryObjectStore();
  store.keys = [OLD];
  const noise = (n: number): Buffer =>
    Buffer.from(Uint8Array.from({ length: 5000 }, (_, i) => (i * n * 7919) >> 3));
  const rows = Array.from({ length: 200 }, (_, n) =>
    rowOf(n + 1, { topic: 'site/a', payload: noise(n + 1) }),
  );
  const world = new ArchiveWorld(t, store, { format: 'ndjson' });
  await world.cut(200, rows);
  const [object] = await objectsIn(store);
  const [whole, parts] = [
    await openObject(store, object as ArchivedObject),
    await openObject(store, object as ArchivedObject, 1000),
  ];
  t.equal(parts.isWhole, false);
  store.asked.length = 0;
  for (const offset of [0, 65_530, 700_000, whole.length - 9])
    t.same(await parts.read(offset, 9), await whole.read(offset, 9), `from ${offset}`);
  t.equal(store.asked.length, 4, 'one request for each');
});

t.test('a large Parquet file is read by its row groups', async (t) => {
  const store = new MemoryObjectStore();
  store.keys = [OLD];
  const parquet = { ...PARQUET_DEFAULTS, compression: 'none' as const, groupMaxRows: 100 };
  await new ArchiveWorld(t, store, { parquet }).cut(1000, rowsOf(1, 1000, { ...ROW, topic: 'site/a' }));
  const [object] = await objectsIn(store);
  const sequences: number[] = [];
  const large = await openObject(store, object as ArchivedObject, 1000);
  for await (const batch of readParquet(large, {
    fromMs: START_MS + 450_000,
    toMs: Infinity,
    isWanted: undefined,
  }))
    sequences.push(...batch.map(({ sequence }) => sequence));
  t.same(
    sequences,
    Array.from({ length: 551 }, (_, n) => 450 + n),
  );
});

t.test('a file of the spool has nothing that can be read', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-spool-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const file = new SealedSpool(new FolderSpool(folder), () => OLD).create();
  const bytes = Buffer.from(`${PAYLOAD} `.repeat(10_000));
  for (let at = 0; at < bytes.length; at += 70_001) file.append(bytes.subarray(at, at + 70_001));
  const [name = ''] = readdirSync(folder);
  t.equal(readFileSync(join(folder, name)).length, bytes.length);
  t.notOk(readFileSync(join(folder, name)).includes(PAYLOAD.slice(0, 8)));
  const { body } = await file.finish();
  const [whole, part] = [await body.read(0, body.length), await body.read(66_003, 70_000)];
  t.same(part, whole.slice(66_003, 136_003));
  await file.remove();
  t.same(readdirSync(folder), []);
});

t.test('the pace of an upload keeps what is beside an object', async (t) => {
  const store = new MemoryObjectStore();
  store.keys = [OLD];
  const clock = { now: () => 0, wall: () => 0 };
  const slow = paced(store, new Pace(() => 1000, clock, { after: (_, fire) => (fire(), { cancel: fire }) }));
  t.same(slow.keys, [OLD]);
  await new ArchiveWorld(t, slow).cut(3, rowsOf(1, 3));
  t.equal(store.metadata.size, 3);
});

for (const format of ['parquet', 'ndjson'] as const)
  t.test(`${format}: compacting reads every key and writes the first one`, async (t) => {
    const store = await archive(t, format);
    store.keys = [NEW, OLD];
    const before = await rowTexts(store);
    t.match(await compact(store, NOW_MS), [{ merges: 1, before: { objects: 2 }, after: { objects: 1 } }]);
    t.same(await rowTexts(store), before);
    const [merged] = await objectsIn(store);
    t.equal(merged?.keyId, NEW.id);
    t.same(store.metadata.get(merged?.key ?? ''), { [KEY_ID_METADATA]: NEW.id });
    await compact(store, NOW_MS + GRACE_MS);
    t.match(await verify(seenWith(store, [NEW])), {
      faults: [],
      notes: [],
      origins: [{ rows: 20, objects: 1 }],
    });
  });

t.test('who compacts without a key that is needed changes nothing', async (t) => {
  const store = await archive(t);
  store.keys = [NEW];
  const before = [...store.objects.keys()];
  await t.rejects(compact(store, NOW_MS), { name: 'KeyMissing', needed: OLD.id });
  t.same([...store.objects.keys()], before);
});

t.test(
  'with another key everything is written again, large or small, and then the old one may go',
  async (t) => {
    const store = await archive(t);
    const world = new ArchiveWorld(t, store);
    for await (const { upTo } of world.manifest.read()) if (upTo < 0) break;
    store.keys = [];
    await world.cut(30, rowsOf(21, 30, ROW));
    store.keys = [NEW, OLD];
    const limits = { minBytes: 1, targetBytes: 1, entriesMaxCount: 1000 };
    const before = await rowTexts(store);
    t.match(await compact(store, NOW_MS, { limits }), [{ merges: 0 }], 'all are large');
    t.match(await compact(store, NOW_MS, { limits, rekeyTo: NEW.id, isDry: true }), [{ merges: 3 }]);
    t.match(await compact(store, NOW_MS, { limits, rekeyTo: NEW.id }), [
      { before: { objects: 3 }, after: { objects: 3 }, removed: { waiting: { objects: 3 } } },
    ]);
    t.same(await rowTexts(store), before);
    t.same(new Set((await objectsIn(store)).map(({ keyId }) => keyId)), new Set([NEW.id]));
    t.match(await compact(store, NOW_MS + GRACE_MS, { limits, rekeyTo: NEW.id }), [
      { merges: 0, removed: { replaced: { objects: 3 } } },
    ]);
    const alone = seenWith(store, [NEW]);
    t.same(await rowTexts(alone), before);
    t.match(await verify(alone), { faults: [], notes: [], origins: [{ rows: 30 }] });
  },
);
