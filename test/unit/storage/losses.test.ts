/** What is missing or damaged in a data folder: made again where that can be, else reported by its positions. */
import t from 'tap';
import { parseSegmentFileName } from '../../../storage/log/segment-header.js';
import { surveyFolder } from '../../../storage/tools/survey.js';
import {
  type FilledFolder,
  filledFolder,
  flip,
  flipValue,
  openStore,
  publish,
  segmentsOf,
  toolsFor,
} from '../../support/storage-tools.js';

/** Position of the first record of each segment. */
function beginnings({ files }: FilledFolder): number[] {
  return segmentsOf(files).map(
    (path) => parseSegmentFileName(path.slice(path.lastIndexOf('/') + 1)) as number,
  );
}

async function lossesOf(folder: FilledFolder): Promise<unknown[]> {
  const { store } = await openStore(folder);
  const losses = store.losses.map(({ first, last, cause }) => ({ first, last, cause }));
  await store.close();
  return losses;
}

t.test('the oldest segment is missed, also where nobody waits for what was in it', async (t) => {
  const folder = await filledFolder();
  t.same(await lossesOf(folder), []);
  const [path] = segmentsOf(folder.files) as [string];
  folder.files.delete(path);
  const [next] = beginnings(folder) as [number];
  t.same(await lossesOf(folder), [{ first: 1, last: next - 1, cause: 'missing' }]);
});

t.test('what was dropped in order is not missed, whatever becomes of the database', async (t) => {
  const folder = await filledFolder();
  const { store } = await openStore(folder, { keepMaxBytes: 0, keepMaxAgeMs: 0 });
  await publish(store, folder.filling, 600, 1e9);
  await store.settled();
  await store.close();
  const [first] = beginnings(folder) as [number];
  t.ok(first > 1);
  t.same(await lossesOf(folder), []);
  folder.databases.of('/data/index').values.delete('!head');
  t.same(await lossesOf(folder), [], 'the database was made again');
  t.same(await lossesOf(folder), []);
});

t.test('the newest segment is missed where the log was all that knew of it', async (t) => {
  // No checkpoint has seen it.
  const folder = await filledFolder(20, 10, false);
  const { store } = await openStore(folder, { checkpointEveryBytes: 2 ** 30 });
  await publish(store, folder.filling, 300, 1e9);
  const files = folder.files.copy();
  await store.close();
  const path = segmentsOf(files).at(-1) as string;
  const first = beginnings({ ...folder, files }).at(-1) as number;
  const crashed = { ...(await filledFolder(20, 10, false)), files };
  files.delete(path);
  const { faults } = await surveyFolder(toolsFor(crashed));
  t.match(faults, [
    { kind: 'missing', text: /the segment that follows it is missing/, positions: { first } },
  ]);
  t.same(await lossesOf(crashed), [{ first, last: first, cause: 'missingEnd' }]);
});

t.test('an identity with a changed bit is read from the data', async (t) => {
  const folder = await filledFolder();
  const { length } = folder.files.contents('/data/identity.json');
  for (let at = 0; at < length; at += 3) {
    const files = folder.files.copy();
    flip(files, '/data/identity.json', at);
    t.same(await lossesOf({ ...folder, files }), []);
    t.equal(`${files.contents('/data/identity.json')}`, `${folder.files.contents('/data/identity.json')}`);
  }
});

t.test('a damaged index of topics is made again by the look-up that meets it', async (t) => {
  const folder = await filledFolder();
  const { values } = folder.databases.of('/data/index');
  const keys = [...values.keys()].filter((key) => key.startsWith('t/') && key.includes('/t\0'));
  t.ok(keys.length > 3);
  for (const key of keys.slice(0, 2)) flipValue(values, key, 9);
  const { store } = await openStore(folder);
  const found = await store.find('t', 0, Infinity, 2000);
  const expected = [...folder.filling.texts.values()].filter((_, n) => n % 50 !== 0);
  t.same(
    found.map(({ payload }) => Buffer.from(payload).toString()),
    expected,
  );
  t.equal((await store.find('t', 0, Infinity, 2000)).length, expected.length);
  await publish(store, folder.filling, 800, 1e9);
  await store.settled();
  t.ok(store.status.checkpoints > 3);
  await store.close();
  const { faults } = await surveyFolder(toolsFor(folder));
  t.same(faults, []);
});
