import { randomBytes } from 'node:crypto';
import t from 'tap';
import { parseKeyFile } from '../../../lib/contracts/master-key.js';
import { backupFolder } from '../../../storage/tools/backup.js';
import type { ToolParts } from '../../../storage/tools/data-folder.js';
import { repairFolder } from '../../../storage/tools/repair.js';
import { restoreFolder } from '../../../storage/tools/restore.js';
import { surveyFolder } from '../../../storage/tools/survey.js';
import { testStoreParts } from '../../support/disk-store.js';
import {
  CLIENT,
  type FilledFolder,
  type Filling,
  flip,
  flipValue,
  openStore,
  park,
  publish,
  segmentsOf,
  toolsFor,
} from '../../support/storage-tools.js';

const KEYS = parseKeyFile(Buffer.alloc(32, 5).toString('hex'), 'keys', 'storage');
const WITH_KEY: Partial<ToolParts> = { keyProvider: { masterKeys: async () => KEYS } };
const ENCRYPTED = { ...WITH_KEY, randomBytes: (size: number) => randomBytes(size) };

async function encryptedFolder(): Promise<FilledFolder> {
  const parts = testStoreParts();
  const filling: Filling = { texts: new Map(), waiting: [] };
  const { store } = await openStore(parts, ENCRYPTED);
  park(store, CLIENT);
  await publish(store, filling, 1000, 0);
  await store.close();
  parts.files.overwrite('/data/index/CURRENT', Buffer.from('MANIFEST\n'));
  return { ...parts, filling };
}

t.test('an encrypted folder is looked at with its key, and only with it', async (t) => {
  const folder = await encryptedFolder();
  await t.rejects(surveyFolder(toolsFor(folder)), { code: 'STORAGE_KEY_WRONG' });
  const { faults, log, state } = await surveyFolder(toolsFor(folder, '/data', WITH_KEY));
  t.same(faults, []);
  t.equal(log.recordCount, log.last);
  t.match(state, { sessions: 1, waiting: 1000 });
  const [first] = segmentsOf(folder.files) as [string];
  flip(folder.files, first, 5000);
  const { faults: found } = await surveyFolder(toolsFor(folder, '/data', WITH_KEY));
  t.match(found, [{ kind: 'records', path: first, references: [{ of: CLIENT }] }]);
});

t.test('keys.json is made again from its copy, and a damaged database with the key', async (t) => {
  for (const spoilt of ['/data/keys.json', '/data/keys.json.copy']) {
    const folder = await encryptedFolder();
    const { files, databases } = folder;
    files.overwrite(spoilt, Buffer.from('{'));
    const { values } = databases.of('/data/index');
    flipValue(values, [...values.keys()].find((key) => key.startsWith('q/')) as string, 30);
    const report = await repairFolder(toolsFor(folder, '/data', WITH_KEY));
    t.match(report.done, [new RegExp(`made ${spoilt} again from`), /made the database again/]);
    t.same(report.lost, []);
    t.same((await repairFolder(toolsFor(folder, '/data', WITH_KEY))).done, []);
    const { store, sessions } = await openStore(folder, ENCRYPTED);
    t.match(sessions.restoredImages, [{ clientId: CLIENT }]);
    await store.close();
  }
});

t.test('a bit of a wrapped key that changed is had back from the copy, not copied over it', async (t) => {
  for (const [spoilt, whole] of [
    ['/data/keys.json', '/data/keys.json.copy'],
    ['/data/keys.json.copy', '/data/keys.json'],
  ] as const) {
    for (const part of ['"wrapped": "', '"id": ']) {
      const folder = await encryptedFolder();
      const { files } = folder;
      const good = files.contents(whole).toString();
      // Another letter: it is JSON still.
      const at = good.lastIndexOf(part) + part.length;
      files.overwrite(
        spoilt,
        Buffer.from(`${good.slice(0, at)}${good[at] === '0' ? '1' : '0'}${good.slice(at + 1)}`),
      );
      const { faults } = await surveyFolder(toolsFor(folder, '/data', WITH_KEY));
      t.match(faults, [{ kind: 'keys' }]);
      const { done } = await repairFolder(toolsFor(folder, '/data', WITH_KEY));
      t.match(done, [`made ${spoilt} again from ${whole}`]);
      t.equal(files.contents(spoilt).toString(), good);
      t.equal(files.contents(whole).toString(), good);
      const setAside = files.contents(`${spoilt}.bad`);
      files.overwrite(spoilt, setAside);
      const { store, sessions } = await openStore(folder, ENCRYPTED);
      t.match(sessions.restoredImages, [{ clientId: CLIENT }], 'a gateway starts');
      await store.close();
    }
  }
});

t.test(
  'a backup needs no key; with it a restore makes the database, without it the next start does',
  async (t) => {
    const folder = await encryptedFolder();
    await backupFolder(toolsFor(folder), '/backup');
    await restoreFolder(toolsFor(folder, '/with', WITH_KEY), '/backup', undefined);
    await restoreFolder(toolsFor(folder, '/without'), '/backup', undefined);
    t.ok(folder.databases.of('/with/index').exists);
    t.notOk(folder.databases.of('/without/index').exists);
    for (const path of ['/with', '/without']) {
      const { store, sessions } = await openStore(folder, { ...ENCRYPTED, folder: path });
      t.match(sessions.restoredImages, [{ clientId: CLIENT }], path);
      await store.settled();
      t.equal((await store.find('t', 0, Number.MAX_SAFE_INTEGER, 1e6)).length, 980, path);
      await store.close();
    }
  },
);
