import {
  chmodSync,
  mkdirSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { SprawlError } from '../../../lib/contracts/errors.js';
import { CheckedStore } from '../../../storage/state/checked-store.js';
import { LevelStore, toLevelError } from '../../../storage/state/level-store.js';
import { Random } from '../../sim/random.js';
import { MemoryKeyValue } from '../../support/memory-key-value.js';

const ignore = (): void => {};
const text = (value: string): Uint8Array => Buffer.from(value, 'utf8');

async function all(store: CheckedStore, prefix = ''): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const [key, value] of store.entries(prefix)) found[key] = Buffer.from(value).toString('utf8');
  return found;
}

async function fill(store: CheckedStore, batches: number): Promise<void> {
  for (let i = 1; i <= batches; i++) {
    const changes = new Map<string, Uint8Array | null>([[`k/${i}`, text(`value ${i}`.padEnd(200, '.'))]]);
    if (i % 3 === 0) changes.set(`k/${i - 1}`, null);
    await store.write(i * 10, changes);
  }
}

t.test(
  'what was written is there after it was opened again, with the position that it reflects',
  async (t) => {
    const database = new MemoryKeyValue();
    const store = await CheckedStore.create(database, 'k/');
    await fill(store, 9);
    await store.close();
    const again = await CheckedStore.open(database, 'k/', ignore);
    t.equal(again.head.applied, 90);
    t.equal(again.head.digest.count, 6);
    t.match(Buffer.from((await again.get('k/4')) ?? []).toString(), /^value 4\./);
    t.equal(await again.get('k/5'), undefined, 'removed');
    t.equal(await again.get('none'), undefined);
    t.same(Object.keys(await all(again, 'k/')), ['k/1', 'k/3', 'k/4', 'k/6', 'k/7', 'k/9']);
  },
);

t.test('a batch that the database forgot is noticed, wherever it was', async (t) => {
  for (const forgotten of [1, 2, 5, 9, 10]) {
    const database = new MemoryKeyValue();
    const store = await CheckedStore.create(database, 'k/');
    let batch = 0;
    database.onWrite = () => (++batch === forgotten ? 'forget' : undefined);
    await fill(store, 10);
    await store.close();
    if (forgotten === 10) {
      // The newest: the state is an older one, and says so by its position.
      t.equal((await CheckedStore.open(database, 'k/', ignore)).head.applied, 90);
      continue;
    }
    await t.rejects(
      CheckedStore.open(database, 'k/', ignore),
      { code: 'STORAGE_CORRUPT' },
      `batch ${forgotten}`,
    );
  }
});

t.test('a key that vanished, or came back with an older value, is noticed', async (t) => {
  const database = new MemoryKeyValue();
  const store = await CheckedStore.create(database, 'k/');
  await fill(store, 9);
  const old = database.values.get('k/4');
  await store.write(
    100,
    new Map([
      ['k/4', text('newer')],
      ['other', text('not loaded')],
    ]),
  );
  const shown: string[] = [];
  await CheckedStore.open(database, 'k/', (key) => shown.push(key));
  t.same(shown, ['k/1', 'k/3', 'k/4', 'k/6', 'k/7', 'k/9']);
  if (old !== undefined) database.values.set('k/4', old);
  await t.rejects(CheckedStore.open(database, 'k/', ignore), { code: 'STORAGE_CORRUPT' });
  database.values.delete('k/4');
  await t.rejects(CheckedStore.open(database, 'k/', ignore), { code: 'STORAGE_CORRUPT' });
});

t.test('only the newest marks are kept', async (t) => {
  const database = new MemoryKeyValue();
  const store = await CheckedStore.create(database, 'k/');
  for (let i = 0; i < 1100; i++) await store.write(i, new Map());
  const marks = [...database.values.keys()].filter((key) => key.startsWith('!mark/'));
  t.equal(marks.length, 1024);
  t.equal((await CheckedStore.open(database, 'k/', ignore)).head.batch, 1101);
});

t.test(
  'a database that is not there, or has no head, is in doubt and not taken for an empty one',
  async (t) => {
    await t.rejects(CheckedStore.open(new MemoryKeyValue(), 'k/', ignore), { code: 'STORAGE_CORRUPT' });
    const headless = new MemoryKeyValue();
    await (await CheckedStore.create(headless, 'k/')).close();
    headless.values.delete('!head');
    await t.rejects(CheckedStore.open(headless, 'k/', ignore), {
      code: 'STORAGE_CORRUPT',
      message: /its head is missing/,
    });
  },
);

t.test('a newer format is refused, with both versions named', async (t) => {
  const database = new MemoryKeyValue();
  await CheckedStore.create(database, 'k/');
  const { crc32c } = await import('../../../storage/log/crc32c.js');
  const head = text(JSON.stringify({ batch: 1, applied: 0, digest: { count: 0, sum: 0 }, formatVersion: 9 }));
  const bytes = Buffer.concat([Buffer.alloc(4), head]);
  bytes.writeUInt32LE(crc32c(bytes, 4, bytes.length, crc32c(text('!head'), 0, 5)), 0);
  database.values.set('!head', bytes);
  await t.rejects(CheckedStore.open(database, 'k/', ignore), {
    code: 'STORAGE_FORMAT_NEWER',
    message: /format 9.*up to 1/,
  });
});

function folderOf(t: Test): string {
  const root = mkdtempSync(join(tmpdir(), 'sprawl-state-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  return root;
}

t.test('LevelDB: a changed bit anywhere in its files is never taken for the truth', async (t) => {
  const root = folderOf(t);
  const original = join(root, 'original');
  const store = await CheckedStore.create(new LevelStore(original), 'k/');
  await fill(store, 40);
  const expected = await all(store, 'k/');
  await store.close();
  // A second life moves the first one's batches to tables.
  const second = await CheckedStore.open(new LevelStore(original), 'k/', ignore);
  await second.write(1000, new Map([['k/last', text('last')]]));
  await second.close();
  const withLast = { ...expected, 'k/last': 'last' };
  const random = new Random(1, 'flips');
  const outcomes = { right: 0, doubt: 0, older: 0 };
  const files = readdirSync(original).filter((name) => statSync(join(original, name)).size > 0);
  for (let i = 0; i < 150; i++) {
    const copy = join(root, `copy-${i}`);
    cpSync(original, copy, { recursive: true });
    const name = files[i % files.length] as string;
    const bytes = readFileSync(join(copy, name));
    const at = random.integer(0, bytes.length - 1);
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << random.integer(0, 7)), at);
    writeFileSync(join(copy, name), bytes);
    const level = new LevelStore(copy);
    try {
      const damaged = await CheckedStore.open(level, 'k/', ignore);
      const found = await all(damaged, 'k/');
      if (damaged.head.applied === 1000) {
        t.same(found, withLast, `${name} at ${at}`);
        outcomes.right++;
      } else {
        t.equal(damaged.head.applied, 400);
        t.same(found, expected, `${name} at ${at}`);
        outcomes.older++;
      }
      await damaged.close();
    } catch (error) {
      if (!(error instanceof SprawlError)) throw error;
      outcomes.doubt++;
      await level.close();
    }
    rmSync(copy, { recursive: true, force: true });
  }
  t.ok(outcomes.doubt > 0 && outcomes.right > 0, JSON.stringify(outcomes));
});

t.test('LevelDB: without CURRENT, or any one of its files, nothing is made up', async (t) => {
  const root = folderOf(t);
  const original = join(root, 'original');
  const store = await CheckedStore.create(new LevelStore(original), 'k/');
  await fill(store, 20);
  const expected = await all(store, 'k/');
  await store.close();
  for (const name of readdirSync(original)) {
    const copy = join(root, `without-${name}`);
    cpSync(original, copy, { recursive: true });
    rmSync(join(copy, name));
    const level = new LevelStore(copy);
    try {
      const damaged = await CheckedStore.open(level, 'k/', ignore);
      t.same(await all(damaged, 'k/'), expected, name);
      await damaged.close();
    } catch (error) {
      if (!(error instanceof SprawlError)) throw error;
      await level.close();
      t.pass(`${name}: ${error.code}`);
    }
  }
});

t.test('LevelDB: a file that is gone is damage, to be made good, and no fault of the disk', async (t) => {
  const folder = folderOf(t);
  const original = join(folder, 'db');
  await (await CheckedStore.create(new LevelStore(original), 'k/')).close();
  const names = readdirSync(original).filter((name) => /^(CURRENT|MANIFEST-\d+)$/.test(name));
  t.equal(names.length, 2);
  for (const name of names) {
    const copy = join(folder, name);
    cpSync(original, copy, { recursive: true });
    rmSync(join(copy, name));
    await t.rejects(CheckedStore.open(new LevelStore(copy), 'k/', ignore), { code: 'STORAGE_CORRUPT' }, name);
  }
});

t.test('LevelDB: two processes on one folder: the second is told what to do', async (t) => {
  const folder = join(folderOf(t), 'db');
  const first = await CheckedStore.create(new LevelStore(folder), 'k/');
  await t.rejects(CheckedStore.open(new LevelStore(folder), 'k/', ignore), {
    code: 'STORAGE_LOCKED',
    message: /in use by another process.*--data-dir/,
  });
  await first.close();
  await (await CheckedStore.open(new LevelStore(folder), 'k/', ignore)).close();
});

t.test('errors of LevelDB become errors of storage', async (t) => {
  t.equal(toLevelError(new Error('IO error: 000005.ldb: No space left on device'), 'f').code, 'STORAGE_FULL');
  t.equal(toLevelError(new Error('Corruption: bad block'), 'f').code, 'STORAGE_CORRUPT');
  t.equal(
    toLevelError(new Error('x', { cause: Object.assign(new Error('y'), { code: 'LEVEL_LOCKED' }) }), 'f')
      .code,
    'STORAGE_LOCKED',
  );
  t.equal(toLevelError('odd', 'f').code, 'STORAGE_IO');
  const known = new SprawlError('STORAGE_FULL', 'm');
  t.equal(toLevelError(known, 'f'), known);
  const closed = new LevelStore(join(folderOf(t), 'never'));
  await t.rejects(closed.get('k'), { code: 'STORAGE_IO' });
  await t.rejects(closed.write(new Map()), { code: 'STORAGE_IO' });
  await t.rejects(
    async () => {
      for await (const entry of closed.entries('a', 'b')) t.fail(String(entry));
    },
    { code: 'STORAGE_IO' },
  );
});

t.test('LevelDB: the folder of a database is for its owner alone, also one that was not', async (t) => {
  const root = folderOf(t);
  const modes: number[] = [];
  for (const isNew of [true, false]) {
    const folder = join(root, `is new ${isNew}`);
    if (!isNew) mkdirSync(folder, { mode: 0o755 });
    for (const create of [true, false]) {
      const store = new LevelStore(folder);
      await store.open(create);
      await store.close();
      modes.push(statSync(folder).mode & 0o777);
      chmodSync(folder, 0o755);
    }
  }
  t.same(modes, [0o700, 0o700, 0o700, 0o700]);
});
