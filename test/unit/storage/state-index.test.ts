import t from 'tap';
import type { LogPosition } from '../../../lib/contracts/store.js';
import { BlockCensus, queueBlockKey } from '../../../storage/disk/session-table.js';
import { StateIndex } from '../../../storage/disk/state-index.js';
import { FaultyFiles, ioError } from '../../support/faulty-files.js';
import { IDENTITY } from '../../support/log-bench.js';
import { MemoryKeyValue } from '../../support/memory-key-value.js';
import { nullLogger } from '../../support/null-logger.js';

const bytes = (text: string): Uint8Array => Buffer.from(text);

class Bench {
  readonly files = new FaultyFiles();
  readonly database = new MemoryKeyValue();

  async open(
    isNew = false,
    census = (): BlockCensus => new BlockCensus(),
  ): Promise<{ index: StateIndex; loaded: string[] }> {
    const index = new StateIndex({
      files: this.files,
      database: this.database,
      snapshotFolder: 'data/snapshots',
      identity: IDENTITY,
      logger: nullLogger,
      vault: undefined,
    });
    let loaded: string[] = [];
    await index.open(
      isNew,
      (key) => loaded.push(key),
      () => (loaded = []),
      census,
    );
    return { index, loaded };
  }

  /** A state with one key, and a snapshot of it. */
  async withSnapshot(): Promise<void> {
    const { index } = await this.open(true);
    await addSnapshot(index, 70);
    await index.close();
  }
}

async function addSnapshot(index: StateIndex, position: LogPosition): Promise<void> {
  index.beginCheckpoint();
  await index.write(position, new Map([['l/s/c', bytes('session')]]));
  await index.snapshot();
}

t.test('a database that is being made again is not believed before it is whole', async (t) => {
  const bench = new Bench();
  await bench.withSnapshot();
  const { database } = bench;
  await database.destroy();
  // The process ends when the database is created, and nothing is in it yet.
  const created = database.writes + 1;
  database.onWrite = () => {
    if (database.writes > created) throw ioError('write', 'index');
  };
  await t.rejects(bench.open(), { code: 'STORAGE_IO' });
  t.ok(database.exists);
  database.onWrite = undefined;
  const { index, loaded } = await bench.open();
  t.same(loaded, ['l/s/c']);
  t.equal(index.applied, 70);
});

t.test(
  'a damaged snapshot is set aside, and the whole one before it stays until there is another',
  async (t) => {
    for (const failing of ['rename', 'syncFolder', undefined]) {
      const bench = new Bench();
      await bench.withSnapshot();
      const { index } = await bench.open();
      await addSnapshot(index, 80);
      await index.close();
      const [older, newer] = bench.files.paths() as [string, string];
      bench.files.contents(newer)[20] = 255;
      await bench.database.destroy();
      if (failing !== undefined) {
        // The process ends there.
        bench.files.onOperation = (operation, path) => {
          if (operation === failing) throw ioError(operation, path);
        };
        await t.rejects(bench.open(), { code: 'STORAGE_IO' }, failing);
        bench.files.onOperation = () => {};
      }
      const { index: again } = await bench.open();
      t.same([again.applied, again.floor], [70, 1]);
      t.same(bench.files.paths(), [older, `${newer}.bad`]);
      await addSnapshot(again, 90);
      t.equal(again.floor, 71, 'the log is needed from the whole one on');
      t.ok(bench.files.has(older));
      await again.close();
    }
  },
);

t.test('after a failed write the database is opened again, as often as that takes', async (t) => {
  const bench = new Bench();
  await bench.withSnapshot();
  const { index } = await bench.open();
  const key = queueBlockKey(3, 0);
  index.put(key, bytes('block'));
  index.beginCheckpoint();
  await index.write(80, new Map());
  const open = bench.database.open.bind(bench.database);
  bench.database.onWrite = () => {
    throw ioError('write', 'index');
  };
  bench.database.open = () => Promise.reject(ioError('open', 'index'));
  index.beginCheckpoint();
  await t.rejects(index.write(90, new Map()), { code: 'STORAGE_IO' });
  await t.rejects(index.get(key), { code: 'STORAGE_IO' });
  bench.database.open = open;
  bench.database.onWrite = undefined;
  const both = await Promise.all([index.get(key), index.get(key)]);
  t.same(
    both.map((value) => Buffer.from(value).toString()),
    ['block', 'block'],
  );
  index.beginCheckpoint();
  await index.write(90, new Map());
  t.equal(index.applied, 90);
});

t.test('a block of a queue that is missing or damaged is noticed when the database is opened', async (t) => {
  const queue = { storedCount: 8, storedBytes: 8, head: [], tail: [], upTo: 0, floor: 1 };
  const image = {
    ...{ clientId: 'c', username: undefined, expiryS: 1, parkedAt: 0, will: undefined },
    ...{ subscriptions: [], inbound: [], inFlight: [], burned: [], owed: [] },
  };
  const census = (): BlockCensus => {
    const blocks = new BlockCensus();
    blocks.add({ number: 3, image, queue: { ...queue, from: 1, to: 3, removed: [], removedRanges: [] } });
    return blocks;
  };
  for (const damage of ['missing', 'changed', 'none'] as const) {
    const bench = new Bench();
    const { index } = await bench.open(true);
    for (const block of [1, 2]) index.put(queueBlockKey(3, block), bytes(`block ${block}`));
    index.beginCheckpoint();
    await index.write(70, new Map());
    await index.close();
    const value = bench.database.values.get(queueBlockKey(3, 2));
    if (damage === 'missing') bench.database.values.delete(queueBlockKey(3, 2));
    if (damage === 'changed' && value !== undefined) value[6] = 0;
    const { index: again } = await bench.open(false, census);
    t.equal(again.rebuild === undefined, damage === 'none', damage);
  }
});
