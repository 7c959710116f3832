import t from 'tap';
import { SprawlError } from '../../../lib/contracts/errors.js';
import { createMessage, type Message } from '../../../lib/message/message.js';
import { compactFolder } from '../../../storage/tools/compact.js';
import { repairFolder } from '../../../storage/tools/repair.js';
import {
  RecordedSessions,
  testStore,
  testStoreParts,
  type TestStoreParts,
} from '../../support/disk-store.js';
import { str } from '../../support/protocol-bytes.js';
import { filledFolder, toolsFor } from '../../support/storage-tools.js';

const BALLAST = '/data/ballast';
const message = (): Message =>
  createMessage({ topic: 't', topicBytes: str('t'), payload: Buffer.alloc(500), qos: 1, retain: false });

/** As LevelDB, which writes when it opens: the disk has no room for that while the ballast is there. */
function fillUp({ files, databases }: TestStoreParts, names = ['lock', 'index']): void {
  files.quotaBytes = files.usedBytes;
  for (const name of names) {
    const database = databases.of(`/data/${name}`);
    const open = database.open.bind(database);
    database.open = async (create) => {
      if (files.quotaBytes - files.usedBytes < 1)
        throw new SprawlError('STORAGE_FULL', `cannot write ${name}`);
      await open(create);
    };
  }
}

t.test(
  'on a full disk the ballast is given up for the start, and kept free until it fits again',
  async (t) => {
    for (const names of [['lock', 'index'], ['index']]) {
      const parts = testStoreParts();
      const { files, clock } = parts;
      let store = testStore(parts);
      await store.open(new RecordedSessions());
      store.append(message(), undefined);
      await store.close();
      t.ok(files.has(BALLAST));
      fillUp(parts, names);
      store = testStore(parts);
      await store.open(new RecordedSessions());
      t.notOk(files.has(BALLAST));
      t.equal(store.admit(1), 0x97, 'what it freed is not for messages');
      t.match(store.status.shortage, /the ballast was given up \(4096 bytes/);
      files.quotaBytes = Infinity;
      clock.time += 1000;
      store.admit(1);
      await store.settled();
      t.equal(store.admit(1), 0, 'there is room again');
      for (let n = 0; n < 20; n++) store.append(message(), undefined);
      await store.log.flush();
      await store.settled();
      t.ok(files.has(BALLAST), 'and the next checkpoint makes it again');
      t.equal(store.status.shortage, undefined);
      await store.close();
    }
  },
);

t.test('a ballast that another process gave up is made again with the next checkpoint', async (t) => {
  const parts = testStoreParts();
  const store = testStore(parts);
  await store.open(new RecordedSessions());
  parts.files.delete(BALLAST);
  for (let n = 0; n < 20; n++) store.append(message(), undefined);
  await store.log.flush();
  await store.settled();
  t.ok(parts.files.has(BALLAST));
  await store.close();
});

t.test('a tool gives the ballast up on a full disk, and leaves it where there is room', async (t) => {
  const keep = { keepMaxBytes: 0, keepMaxAgeMs: 0, floorsMaxBytes: 0 };
  for (const isFull of [true, false]) {
    const folder = await filledFolder(50, 20);
    t.ok(folder.files.has(BALLAST));
    if (isFull) fillUp(folder);
    await repairFolder(toolsFor(folder));
    t.equal(folder.files.has(BALLAST), !isFull);
    await compactFolder(toolsFor(folder), keep);
  }
});

t.test('a folder that is in use keeps its ballast', async (t) => {
  const parts = testStoreParts();
  const store = testStore(parts);
  await store.open(new RecordedSessions());
  parts.databases.of('/data/lock').open = async () => {
    throw new SprawlError('STORAGE_LOCKED', 'it is in use');
  };
  await t.rejects(testStore(parts).open(new RecordedSessions()), { code: 'STORAGE_LOCKED' });
  t.ok(parts.files.has(BALLAST));
  await store.close();
});
