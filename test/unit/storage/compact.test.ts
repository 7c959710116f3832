import t from 'tap';
import { SprawlError } from '../../../lib/contracts/errors.js';
import { compactFolder } from '../../../storage/tools/compact.js';
import { surveyFolder } from '../../../storage/tools/survey.js';
import {
  CLIENT,
  filledFolder,
  flipValue,
  openStore,
  readTexts,
  segmentsOf,
  toolsFor,
} from '../../support/storage-tools.js';

const KEEP_NOTHING = { keepMaxBytes: 0, keepMaxAgeMs: 0, floorsMaxBytes: 2 ** 40 };
const KEEP_ALL = { keepMaxBytes: 2 ** 40, keepMaxAgeMs: 2 ** 40, floorsMaxBytes: 0 };

t.test('what nobody needs goes, and what somebody waits for stays', async (t) => {
  const folder = await filledFolder(2000, 1200);
  const compacted: string[] = [];
  const tools = toolsFor(folder, '/data', {
    compactDatabase: async (path) => {
      compacted.push(path);
    },
  });
  const kept = await compactFolder(tools, KEEP_ALL);
  t.equal(kept.droppedSegments, 0);
  const before = segmentsOf(folder.files).length;
  const report = await compactFolder(tools, KEEP_NOTHING);
  t.ok(report.droppedSegments > 3);
  t.equal(segmentsOf(folder.files).length, before - report.droppedSegments);
  t.ok(report.after.logBytes < report.before.logBytes);
  t.same(compacted, ['/data/index', '/data/index']);
  t.equal(report.left, 0);
  const survey = await surveyFolder(toolsFor(folder));
  t.same(survey.faults, []);
  t.ok(survey.log.first <= (folder.filling.waiting[0] ?? 0));
  t.equal(survey.snapshots[0]?.position, report.snapshot);
  t.equal((await compactFolder(tools, KEEP_NOTHING)).droppedSegments, 0, 'there is no more to it');
  const texts = await readTexts(folder);
  t.same(
    folder.filling.waiting.filter((at) => texts.get(at) !== folder.filling.texts.get(at)),
    [],
  );
  const { store } = await openStore(folder);
  t.same(store.losses, [], 'what was dropped on purpose is not lost');
  const found = await store.find('t', 0, Number.MAX_SAFE_INTEGER, 1e6);
  t.ok(found.length > 700 && found.every(({ position }) => position >= survey.log.first));
  await store.close();
});

t.test('what another gateway has not fetched stays, up to what is kept for others', async (t) => {
  const folder = await filledFolder(600, 600, false);
  const { store } = await openStore(folder);
  store.setFloor('peer/one', 40);
  await store.close();
  await compactFolder(toolsFor(folder), KEEP_NOTHING);
  const { log } = await surveyFolder(toolsFor(folder));
  t.ok(log.first <= 40, `the log begins at ${log.first}`);
  const { droppedSegments } = await compactFolder(toolsFor(folder), {
    ...KEEP_NOTHING,
    floorsMaxBytes: 20_000,
  });
  t.ok(droppedSegments > 0);
});

t.test('what is not archived yet stays, however much it is', async (t) => {
  for (const name of ['archive', 'archive-copy', 'standby/one']) {
    const folder = await filledFolder(600, 600, false);
    const { store } = await openStore(folder);
    store.setFloor(name, 40);
    await store.close();
    await compactFolder(toolsFor(folder), { ...KEEP_NOTHING, floorsMaxBytes: 0 });
    const { log } = await surveyFolder(toolsFor(folder));
    t.ok(log.first <= 40, `${name}: the log begins at ${log.first}`);
  }
});

t.test('what the log has after a crash stays for the next start', async (t) => {
  const folder = await filledFolder(990, 700, false);
  const { left, snapshot } = await compactFolder(toolsFor(folder), KEEP_NOTHING);
  const { store, sessions } = await openStore(folder);
  t.equal(store.committed, snapshot + left);
  t.equal(sessions.messages.length, left);
  t.match(sessions.restoredImages, [{ clientId: CLIENT }]);
  await store.close();
});

t.test('a damaged folder is to be repaired first, one in use to be stopped', async (t) => {
  const folder = await filledFolder(2000, 0);
  const { values } = folder.databases.of('/data/index');
  const block = [...values.keys()].find((key) => key.startsWith('q/')) as string;
  flipValue(values, block, 6);
  const rejected = { code: 'STORAGE_CORRUPT', message: /run "sprawl-edge storage repair" first/ };
  await t.rejects(compactFolder(toolsFor(folder), KEEP_ALL), rejected);
  values.delete('!head');
  await t.rejects(compactFolder(toolsFor(folder), KEEP_ALL), rejected);
  folder.databases.of('/data/index').exists = false;
  await t.rejects(compactFolder(toolsFor(folder), KEEP_ALL), rejected);
  folder.files.delete('/data/identity.json');
  await t.rejects(compactFolder(toolsFor(folder), KEEP_ALL), rejected);
  folder.databases.of('/data/lock').open = async () => {
    throw new SprawlError('STORAGE_LOCKED', 'in use');
  };
  await t.rejects(compactFolder(toolsFor(folder), KEEP_ALL), { code: 'STORAGE_LOCKED' });
});
