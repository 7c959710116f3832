import fc from 'fast-check';
import t from 'tap';
import { SprawlError } from '../../../lib/contracts/errors.js';
import { recordTypeName } from '../../../storage/index.js';
import { surveyFolder } from '../../../storage/tools/survey.js';
import { testStoreParts } from '../../support/disk-store.js';
import {
  CLIENT,
  type FilledFolder,
  filledFolder,
  flip,
  flipValue,
  imprint,
  segmentsOf,
  toolsFor,
} from '../../support/storage-tools.js';

t.test('a whole folder has no faults, and its figures are right', async (t) => {
  const folder = await filledFolder();
  const before = imprint(folder);
  const survey = await surveyFolder(toolsFor(folder));
  t.same(survey.faults, []);
  t.same(survey.notes, []);
  t.equal(imprint(folder), before, 'nothing was changed');
  const { log, state, snapshots } = survey;
  t.ok(log.segments.length > 3);
  t.equal(log.segments.length, segmentsOf(folder.files).length);
  t.equal(log.first, 1);
  t.equal(log.recordCount, log.last);
  const counts = Object.fromEntries([...log.types].map(([type, { count }]) => [recordTypeName(type), count]));
  t.equal(counts['message'], 1000);
  t.equal(counts['created'], 1);
  t.equal(state?.inspection.head?.applied, log.last);
  t.match(state, { sessions: 1, parked: 1, waiting: 300, retained: 20, lostBlocks: [] });
  t.equal(state?.floor, folder.filling.waiting[0]);
  t.equal(snapshots.length, 2);
  t.equal(log.segments[0]?.newestMs, folder.clock.wallTime);
});

t.test('what is no data folder is said to be none', async (t) => {
  await t.rejects(surveyFolder(toolsFor(testStoreParts())), {
    code: 'STORAGE_MISSING',
    message: /\/data is no data folder/,
  });
});

t.test('every changed bit of log and snapshots is found, and nothing is changed by looking', async () => {
  const { files, ...rest } = await filledFolder(400, 300);
  const paths = files.paths().filter((path) => /\/(log|snapshots)\//.test(path));
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...paths),
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (path, where) => {
        const folder: FilledFolder = { files: files.copy(), ...rest };
        const size = folder.files.contents(path).length;
        flip(folder.files, path, Math.min(size - 1, Math.floor(where * size)));
        const before = imprint(folder);
        const { faults } = await surveyFolder(toolsFor(folder));
        return (
          faults.some((fault) => fault.path === path || fault.path === '/data/log') &&
          imprint(folder) === before
        );
      },
    ),
    { numRuns: 150 },
  );
});

t.test('a damaged record is named with its bytes, its position, and who waits for it', async (t) => {
  const folder = await filledFolder();
  const { files, filling } = folder;
  const position = filling.waiting[5] as number;
  const path = segmentsOf(files).findLast((name) => Number(name.slice(-20, -4)) <= position) as string;
  const at = files.contents(path).indexOf(filling.texts.get(position) as string);
  t.ok(at > 0);
  flip(files, path, at + 3);
  const { faults } = await surveyFolder(toolsFor(folder));
  t.equal(faults.length, 1);
  const [fault] = faults;
  t.match(fault, { kind: 'records', path, positions: { first: position, last: position } });
  t.ok((fault?.bytes?.from ?? Infinity) < at && (fault?.bytes?.to ?? 0) > at);
  const range = [{ first: position, last: position }];
  t.same(fault?.references, [{ kind: 'waiting', of: CLIENT, positions: range }]);
  t.equal(fault?.meaning, undefined);

  // One that was delivered long ago.
  const old = 30;
  flip(files, path, at + 3);
  const first = segmentsOf(files)[0] as string;
  flip(files, first, files.contents(first).indexOf(filling.texts.get(old) as string));
  const survey = await surveyFolder(toolsFor(folder));
  t.match(survey.faults, [
    { positions: { first: old, last: old }, references: [], meaning: /nobody waits for them/ },
  ]);
});

t.test('a segment that is gone, or cut, is named by its positions', async (t) => {
  const { files, ...rest } = await filledFolder();
  const paths = segmentsOf(files);
  const [first, second, third] = paths.map((name) => Number(name.slice(-20, -4))) as [number, number, number];
  const gone = files.copy();
  gone.delete(paths[1] as string);
  t.match((await surveyFolder(toolsFor({ files: gone, ...rest }))).faults, [
    { kind: 'missing', path: paths[0], positions: { first: second, last: third - 1 } },
  ]);
  const cut = files.copy();
  cut.overwrite(paths[0] as string, files.contents(paths[0] as string).subarray(0, 5000));
  const { faults } = await surveyFolder(toolsFor({ files: cut, ...rest }));
  t.match(faults, [{ kind: 'records', path: paths[0], positions: { last: second - 1 } }]);
  t.ok((faults[0]?.positions?.first ?? 0) > first);
  // The end: the database knows how far it went.
  const short = files.copy();
  const last = paths.at(-1) as string;
  short.overwrite(last, files.contents(last).subarray(0, 3000));
  const ended = await surveyFolder(toolsFor({ files: short, ...rest }));
  t.match(ended.faults, [{ kind: 'missing', positions: { last: ended.state?.inspection.head?.applied } }]);
  t.match(ended.faults[0]?.references, [{ kind: 'waiting', of: CLIENT }]);
  t.match(ended.notes, [/no whole record/]);
});

t.test('a torn end after a crash is a note and no fault', async (t) => {
  const folder = await filledFolder(400, 300, false);
  const { files } = folder;
  const last = segmentsOf(files).at(-1) as string;
  const bytes = files.contents(last);
  // The beginning of a record more.
  files.overwrite(last, Buffer.concat([bytes, bytes.subarray(64, 100)]));
  const { faults, notes } = await surveyFolder(toolsFor(folder));
  t.same(faults, []);
  t.match(notes, [/a commit that a crash interrupted/]);
});

t.test(
  'damage of the database is named, entry by entry, and blocks that are gone with who waits',
  async (t) => {
    const folder = await filledFolder(2000, 0);
    const { values } = folder.databases.of('/data/index');
    const blocks = [...values.keys()].filter((key) => key.startsWith('q/'));
    t.ok(blocks.length > 4);
    const [first, second] = blocks as [string, string];
    flipValue(values, first, 6);
    values.delete(second);
    const { faults } = await surveyFolder(toolsFor(folder));
    t.match(faults, [
      { kind: 'database', text: new RegExp(`the value of "${first}" is damaged`) },
      {
        kind: 'database',
        text: /^\d+ messages that wait for "pump-7" are in blocks that cannot be read \(0, 1\)$/,
      },
    ]);
    const session = [...values.keys()].find((key) => key.startsWith('l/s/')) as string;
    flipValue(values, session, 9);
    const again = await surveyFolder(toolsFor(folder));
    t.match(again.faults, [{ text: /"l\/s\/pump-7" is damaged/ }, { text: new RegExp(first) }]);
    values.delete(session);
    t.match((await surveyFolder(toolsFor(folder))).faults[0], {
      text: /cannot be trusted: \d+ keys are there/,
    });
  },
);

t.test('a folder in use is looked at without its database, also while segments go', async (t) => {
  const folder = await filledFolder(400, 300, false);
  const { databases, files } = folder;
  const lock = databases.of('/data/lock');
  lock.open = async () => {
    throw new Error('a bug');
  };
  await t.rejects(surveyFolder(toolsFor(folder)), { message: 'a bug' });
  lock.open = async () => {
    throw new SprawlError('STORAGE_LOCKED', 'in use');
  };
  const [first] = segmentsOf(files) as [string];
  let reads = 0;
  files.onOperation = (operation, path) => {
    // Listed, its size asked, and gone when it is opened to be read.
    if (operation === 'open' && path === first && ++reads === 1) setImmediate(() => files.delete(first));
  };
  const survey = await surveyFolder(toolsFor(folder));
  t.match(survey, { isInUse: true, database: 'inUse', state: undefined, faults: [] });
  lock.open = async () => {
    throw new SprawlError('STORAGE_IO', 'read-only file system');
  };
  t.match(await surveyFolder(toolsFor(folder)), { isInUse: false, database: 'looked' });
});
