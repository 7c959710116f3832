import fc from 'fast-check';
import t, { type Test } from 'tap';
import { SprawlError } from '../../../lib/contracts/errors.js';
import { crc32c } from '../../../storage/log/crc32c.js';
import { repairFolder } from '../../../storage/tools/repair.js';
import { surveyFolder } from '../../../storage/tools/survey.js';
import { MemoryDatabases } from '../../support/disk-store.js';
import {
  CLIENT,
  type FilledFolder,
  filledFolder,
  flip,
  flipValue,
  identityFile,
  imprint,
  openStore,
  readTexts,
  segmentsOf,
  toolsFor,
} from '../../support/storage-tools.js';

/** Repairs twice: the second time nothing is left to be done. */
async function repaired(t: Test, folder: FilledFolder) {
  const report = await repairFolder(toolsFor(folder));
  const before = imprint(folder);
  const again = await repairFolder(toolsFor(folder));
  t.same(again.done, []);
  t.same(again.survey.faults, report.survey.faults);
  t.equal(imprint(folder), before, 'nothing is changed the second time');
  return report;
}

/** Every message is there that is not at a position that was reported. */
async function hasAllBut(t: Test, folder: FilledFolder, lost: ReadonlySet<number>): Promise<void> {
  const texts = await readTexts(folder);
  const wrong = [...folder.filling.texts].filter(
    ([position, text]) => !lost.has(position) && texts.get(position) !== text,
  );
  t.same(wrong.slice(0, 3), []);
}

t.test('there is nothing to repair in a whole folder', async (t) => {
  const folder = await filledFolder();
  const before = imprint(folder);
  const { done, survey } = await repaired(t, folder);
  t.same([done, survey.faults], [[], []]);
  t.equal(imprint(folder), before);
});

t.test('a folder in use, or none, is not touched', async (t) => {
  const folder = await filledFolder(100, 50);
  folder.databases.of('/data/lock').open = async () => {
    throw new SprawlError('STORAGE_LOCKED', 'in use');
  };
  const before = imprint(folder);
  await t.rejects(repairFolder(toolsFor(folder)), { code: 'STORAGE_LOCKED' });
  t.equal(imprint(folder), before);
  await t.rejects(repairFolder(toolsFor(folder, '/elsewhere')), { code: 'STORAGE_MISSING' });
});

t.test('damaged headers are made again, also of a segment that was set aside', async (t) => {
  const folder = await filledFolder();
  const paths = segmentsOf(folder.files);
  for (const [i, path] of paths.entries()) if (i % 2 === 0) flip(folder.files, path, 20 + i);
  const setAside = { ...folder, files: folder.files.copy() };
  const third = paths[2] as string;
  await setAside.files.rename(third, `${third}.bad`);
  for (const one of [folder, setAside]) {
    const { done, survey } = await repaired(t, one);
    t.match(done[0], /header/);
    t.same(survey.faults, []);
    await hasAllBut(t, one, new Set());
  }
});

t.test('identity.json is made again from the data', async (t) => {
  for (const spoil of ['gone', 'empty', 'foreign']) {
    const folder = await filledFolder(300, 200);
    const { files } = folder;
    const path = '/data/identity.json';
    if (spoil === 'gone') files.delete(path);
    if (spoil === 'empty') files.overwrite(path, Buffer.alloc(0));
    if (spoil === 'foreign') files.overwrite(path, await identityFile(Buffer.alloc(16, 0xab)));
    if (spoil === 'foreign') await t.rejects(openStore({ ...folder, files: files.copy() }), spoil);
    const { done, survey } = await repaired(t, folder);
    t.match(done[0], /made \/data\/identity\.json again/, spoil);
    t.same(survey.faults, [], spoil);
    await hasAllBut(t, folder, new Set());
  }
});

t.test('a segment and a snapshot of another gateway are set aside', async (t) => {
  const folder = await filledFolder();
  const other = await filledFolder(200, 100);
  const [path] = segmentsOf(other.files) as [string];
  const bytes = Buffer.from(other.files.contents(path));
  bytes.fill(9, 24, 40);
  bytes.writeUInt32LE(crc32c(bytes, 0, 60), 60);
  bytes.writeUIntLE(900_000, 16, 6);
  bytes.writeUInt32LE(crc32c(bytes, 0, 60), 60);
  folder.files.overwrite('/data/log/0000000000900000.log', bytes);
  await t.rejects(openStore({ ...folder, files: folder.files.copy() }), { code: 'STORAGE_FOREIGN' });
  const { done, survey } = await repaired(t, folder);
  t.match(done, [/0000000000900000\.log aside .*another gateway/]);
  t.same(survey.faults, []);
  await hasAllBut(t, folder, new Set());
});

t.test('what the disk does not give back is copied around', async (t) => {
  const folder = await filledFolder();
  const { files, filling } = folder;
  const path = segmentsOf(files).at(-1) as string;
  files.spoil(path, 5000, 5001);
  await t.rejects(openStore(folder), { code: 'STORAGE_IO' }, 'a start fails');
  const { done, survey } = await repaired(t, folder);
  t.match(done[0], /\d+ bytes are lost/);
  t.ok(files.paths().includes(`${path}.unreadable`));
  t.equal(survey.faults.length, 1);
  const positions = survey.faults[0]?.positions;
  t.ok(positions !== undefined && positions.last - positions.first < 40);
  const lost = new Set(
    [...filling.texts.keys()].filter((at) => at >= (positions?.first ?? 0) && at <= (positions?.last ?? 0)),
  );
  await hasAllBut(t, folder, lost);
});

t.test('a database in doubt is made again from snapshot and log, with the index of topics', async (t) => {
  for (const spoil of ['head', 'session', 'block', 'all']) {
    const folder = await filledFolder(2000, 0);
    const database = folder.databases.of('/data/index');
    const { values } = database;
    const found = (prefix: string): string =>
      [...values.keys()].find((key) => key.startsWith(prefix)) as string;
    if (spoil === 'head') flipValue(values, '!head', 8);
    if (spoil === 'session') values.delete(found('l/s/'));
    if (spoil === 'block') flipValue(values, found('q/'), 7);
    if (spoil === 'all') database.exists = false;
    const { done, survey } = await repaired(t, folder);
    t.match(done, [/made the database again from the snapshot of position \d+/], spoil);
    t.same(survey.faults, [], spoil);
    const { store, sessions } = await openStore(folder);
    t.match(sessions.restoredImages, [{ clientId: CLIENT }], spoil);
    t.equal((await store.find('t', 0, Number.MAX_SAFE_INTEGER, 1e6)).length, 1960, spoil);
    await store.close();
  }
});

t.test('a database is not given up for one block where snapshot and log are worse', async (t) => {
  const folder = await filledFolder(2000, 0);
  const { files, databases } = folder;
  for (const path of files.paths()) if (path.endsWith('.snapshot')) flip(files, path, 100);
  files.delete(segmentsOf(files)[0] as string);
  const { values } = databases.of('/data/index');
  const blocks = [...values.keys()].filter((key) => key.startsWith('q/'));
  values.delete(blocks[1] as string);
  const { done, survey } = await repaired(t, folder);
  t.match(done, [
    /snapshot aside/,
    /snapshot aside/,
    /256 messages that waited for "pump-7" are lost|messages that waited for "pump-7" are lost/,
  ]);
  t.match(survey.state, { sessions: 1, lostBlocks: [] });
  t.ok((survey.state?.waiting ?? 0) > 1500);
});

t.test('a database that cannot be made again entirely is kept aside', async (t) => {
  const folder = await filledFolder(1000, 700);
  const { files, databases } = folder;
  for (const path of files.paths()) if (path.endsWith('.snapshot')) flip(files, path, 100);
  files.delete(segmentsOf(files)[0] as string);
  databases.of('/data/index').values.delete('!head');
  const { done, lost } = await repairFolder(toolsFor(folder));
  t.ok(done.some((text) => /set the database aside as \/data\/index\.bad-1/.test(text)));
  t.ok(files.paths().some((path) => path.startsWith('/data/index.bad-1/')));
  t.match(lost, [{ kind: 'missing' }]);
});

t.test(
  'whatever single fault there is, a gateway starts after a repair with all that can be read',
  async (t) => {
    const whole = await filledFolder(500, 300);
    const paths = whole.files.paths().filter((path) => !path.includes('/lock/') && !path.includes('/index/'));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...paths),
        fc.constantFrom('flip', 'cut', 'delete', 'zero'),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        async (path, kind, where) => {
          const files = whole.files.copy();
          const databases = new MemoryDatabases();
          const source = whole.databases.of('/data/index');
          const target = databases.of('/data/index');
          target.exists = true;
          for (const [key, value] of source.values) target.values.set(key, Uint8Array.from(value));
          const folder: FilledFolder = { ...whole, files, databases };
          // That the oldest one is gone cannot be told from its having been dropped.
          if (kind === 'delete' && path === paths.find((one) => one.endsWith('.log'))) return true;
          const bytes = Buffer.from(files.contents(path));
          const at = Math.floor(where * bytes.length);
          if (kind === 'flip') flip(files, path, at);
          if (kind === 'cut') files.overwrite(path, bytes.subarray(0, at));
          if (kind === 'delete') files.delete(path);
          if (kind === 'zero') files.overwrite(path, bytes.fill(0, at, Math.min(bytes.length, at + 600)));
          const report = await repairFolder(toolsFor(folder));
          const lost = new Set(
            report.lost.flatMap(({ positions }) =>
              positions === undefined
                ? []
                : Array.from({ length: positions.last - positions.first + 1 }, (_, i) => positions.first + i),
            ),
          );
          const texts = await readTexts(folder);
          return [...whole.filling.texts].every(
            ([position, text]) => lost.has(position) || texts.get(position) === text,
          );
        },
      ),
      { numRuns: 60 },
    );
    t.pass();
  },
);

t.test('leftovers of snapshots and segments that were not finished go', async (t) => {
  const folder = await filledFolder(200, 100);
  folder.files.overwrite('/data/snapshots/0000000000000099.snapshot.new', Buffer.from('half'));
  folder.files.overwrite('/data/log/0000000000900000.log', Buffer.alloc(20));
  t.match((await surveyFolder(toolsFor(folder))).notes, [/not finished/, /not finished/]);
  const { done, survey } = await repaired(t, folder);
  t.equal(done.length, 2);
  t.same([survey.notes, survey.faults], [[], []]);
});

t.test('where log and identity.json are gone the snapshots tell whose the folder is', async (t) => {
  const folder = await filledFolder();
  const { files, databases } = folder;
  for (const path of [...segmentsOf(files), '/data/identity.json']) files.delete(path);
  databases.of('/data/index').values.delete('!head');
  const started = { ...folder, files: files.copy() };
  const { store, sessions } = await openStore(started, {
    randomBytes: (size) => new Uint8Array(size).fill(8),
  });
  t.match(sessions.restoredImages, [{ clientId: CLIENT }], 'a start comes up with what the snapshot has');
  t.match(store.rebuild, { from: Number });
  await store.close();
});
