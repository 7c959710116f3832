import t from 'tap';
import { SprawlError } from '../../../lib/contracts/errors.js';
import { backupFolder } from '../../../storage/tools/backup.js';
import { restoreFolder } from '../../../storage/tools/restore.js';
import { surveyFolder } from '../../../storage/tools/survey.js';
import { testStoreParts } from '../../support/disk-store.js';
import { type FaultyFiles, ioError } from '../../support/faulty-files.js';
import {
  CLIENT,
  type FilledFolder,
  filledFolder,
  type Filling,
  flip,
  imprint,
  identityFile,
  openStore,
  park,
  publish,
  readTexts,
  segmentsOf,
  toolsFor,
} from '../../support/storage-tools.js';

const BACKUP = '/backup';
const RESTORED = '/restored';

async function restoredTexts(folder: FilledFolder): Promise<Map<number, string>> {
  await restoreFolder(toolsFor(folder, RESTORED), BACKUP, undefined);
  // What a folder of LevelDB would have.
  folder.files.overwrite(`${RESTORED}/index/CURRENT`, Buffer.from('MANIFEST\n'));
  return readTexts(folder, RESTORED);
}

/** Positions of `expected` that are not, or not so, in `found`. */
function wrongIn(expected: Map<number, string>, found: Map<number, string>): number[] {
  return [...expected]
    .filter(([position, text]) => found.get(position) !== text)
    .map(([position]) => position);
}

const jsonOf = (files: FaultyFiles, path: string): Record<string, unknown> =>
  JSON.parse(files.contents(path).toString()) as Record<string, unknown>;

t.test('a backup restored elsewhere has everything, and its session waits for the same', async (t) => {
  const folder = await filledFolder();
  const before = imprint(folder);
  const { manifest, knownBytes, warnings } = await backupFolder(toolsFor(folder), BACKUP);
  t.same([knownBytes, warnings], [0, []]);
  t.ok(manifest.snapshot > 0);
  t.equal(manifest.first, 1);
  const own = imprint(folder)
    .split('\n')
    .filter((line) => !line.startsWith(BACKUP));
  t.equal(own.join('\n'), before, 'the folder is as it was');
  t.same((await surveyFolder(toolsFor(folder, BACKUP))).faults, [], 'a backup can be verified');
  t.same(wrongIn(folder.filling.texts, await restoredTexts(folder)), []);
  t.notOk(folder.files.paths().includes(`${RESTORED}/restoring.json`));
  const survey = await surveyFolder(toolsFor(folder, RESTORED));
  t.same(survey.faults, []);
  t.equal(survey.state?.sessions, 1);
  t.ok((survey.state?.topicKeys ?? 0) > 0, 'messages are found by topic');
});

const MESH_NAMES = ['identity.key', 'epochs.json', 'epochs.copy.json', 'swarm.key', 'lineages.json'];

t.test('who the gateway is in its mesh is backed up, and put back', async (t) => {
  const folder = await filledFolder(50, 20);
  const { files } = folder;
  for (const name of [...MESH_NAMES, 'roster.json.new'])
    files.overwrite(`/data/mesh/${name}`, Buffer.from(name));
  const log = segmentsOf(files)[0] as string;
  files.onOperation = (operation, path) => {
    if (operation !== 'open' || path !== log) return;
    for (const name of MESH_NAMES) files.overwrite(`/data/mesh/${name}`, Buffer.from(`${name}, later`));
  };
  await backupFolder(toolsFor(folder), BACKUP);
  files.onOperation = () => {};
  await restoreFolder(toolsFor(folder, RESTORED), BACKUP, undefined);
  const restored = MESH_NAMES.map((name) => files.contents(`${RESTORED}/mesh/${name}`).toString());
  // The log may know of the present life, so that may not be missing; what it concluded of others is written down after it.
  t.same(
    restored,
    MESH_NAMES.map((name) => (name === 'lineages.json' ? name : `${name}, later`)),
  );
  t.notOk(files.paths().includes(`${RESTORED}/mesh/roster.json.new`), 'what was only being written');
  for (const name of MESH_NAMES) files.delete(`/data/mesh/${name}`);
  await backupFolder(toolsFor(folder), BACKUP);
  t.notOk(
    files.paths().some((path) => path.startsWith(`${BACKUP}/mesh/`)),
    'a newer backup without them',
  );
});

t.test('a folder that only has its place in a mesh is not taken away by a restore', async (t) => {
  const folder = await filledFolder(50, 20);
  await backupFolder(toolsFor(folder), BACKUP);
  folder.files.overwrite(`${RESTORED}/mesh/swarm.key`, Buffer.from('another mesh'));
  await t.rejects(restoreFolder(toolsFor(folder, RESTORED), BACKUP, undefined), {
    code: 'BACKUP_FOLDER_REFUSED',
  });
  t.equal(folder.files.contents(`${RESTORED}/mesh/swarm.key`).toString(), 'another mesh');
});

t.test('a folder that never had a snapshot, and an empty one, can be backed up', async (t) => {
  const folder = await filledFolder(50, 20);
  t.equal((await backupFolder(toolsFor(folder), BACKUP)).manifest.snapshot, 0);
  t.same(wrongIn(folder.filling.texts, await restoredTexts(folder)), []);
  const parts = testStoreParts();
  await (await openStore(parts)).store.close();
  t.match((await backupFolder(toolsFor(parts), BACKUP)).manifest, { first: 1, last: 0 });
  t.equal((await restoredTexts({ ...parts, filling: folder.filling })).size, 0);
});

t.test(
  'under a store that goes on writing and dropping segments the backup has what was committed',
  async (t) => {
    const parts = testStoreParts();
    const { files } = parts;
    const filling: Filling = { texts: new Map(), waiting: [] };
    const { store } = await openStore(parts, { keepMaxBytes: 0 });
    park(store, CLIENT);
    await publish(store, filling, 600, 600);
    const queue = store.createQueue(CLIENT);
    let isDone = false;
    const writing = (async () => {
      while (!isDone) await publish(store, filling, 40, 40);
    })();
    const committed = store.committed;
    const { manifest } = await backupFolder(toolsFor(parts), BACKUP);
    isDone = true;
    await writing;
    t.ok(manifest.last >= committed);
    t.equal(queue.count, 0);
    await store.close();
    const texts = await restoredTexts({ ...parts, files: files.copy(), filling });
    const expected = [...filling.texts].filter(([at]) => at >= manifest.first && at <= manifest.last);
    t.same(wrongIn(new Map(expected), texts), []);
  },
);

t.test('where a segment is dropped under it, it begins again with the newer snapshot', async (t) => {
  const folder = await filledFolder();
  const { files } = folder;
  const paths = segmentsOf(files);
  const third = paths[2] as string;
  let isGone = false;
  files.onOperation = (operation, path) => {
    if (isGone || operation !== 'open' || path !== third) return;
    isGone = true;
    for (const one of paths.slice(0, 3)) files.delete(one);
  };
  const { manifest } = await backupFolder(toolsFor(folder), BACKUP);
  t.ok(isGone);
  t.equal(manifest.first, Number((paths[3] as string).slice(-20, -4)));
  files.onOperation = () => {};
  const names = files.paths().filter((path) => path.startsWith(`${BACKUP}/log/`));
  t.equal(names.length, paths.length - 3, 'what only the first attempt wanted is gone');
  const texts = await restoredTexts(folder);
  const expected = [...folder.filling.texts].filter(([at]) => at >= manifest.first);
  t.same(wrongIn(new Map(expected), texts), []);
});

t.test('a gateway that is faster than the disk of the backup is named as the reason', async (t) => {
  const folder = await filledFolder(300, 200);
  const last = segmentsOf(folder.files).at(-1) as string;
  folder.files.onOperation = (operation, path) => {
    if (operation === 'open' && path === last) folder.files.delete(path);
    if (operation === 'open' && path === last) throw new SprawlError('STORAGE_MISSING', path);
  };
  const { list } = folder.files;
  folder.files.list = async (path) =>
    path === '/data/log'
      ? [...(await list.call(folder.files, path)), last.slice(-20)]
      : list.call(folder.files, path);
  await t.rejects(backupFolder(toolsFor(folder), BACKUP), { code: 'STORAGE_IO', message: /faster than/ });
});

t.test('a backup that fails anywhere is known to be unfinished, and goes on where it was', async (t) => {
  const folder = await filledFolder(400, 300);
  let operations = 0;
  const probe = { ...folder, files: folder.files.copy() };
  probe.files.onOperation = (operation) => {
    if (['write', 'sync', 'rename'].includes(operation)) operations++;
  };
  await backupFolder(toolsFor(probe), BACKUP);
  t.ok(operations > 20);
  for (let failing = 1; failing < operations; failing += 3) {
    const { files, ...rest } = { ...folder, files: folder.files.copy() };
    let n = 0;
    files.onOperation = (operation, path) => {
      if (['write', 'sync', 'rename'].includes(operation) && ++n === failing) throw ioError(operation, path);
    };
    await t.rejects(backupFolder(toolsFor({ files, ...rest }), BACKUP), { code: 'STORAGE_IO' });
    files.onOperation = () => {};
    const hasManifest = files.paths().includes(`${BACKUP}/backup.json`);
    if (!hasManifest)
      await t.rejects(restoreFolder(toolsFor({ files, ...rest }, RESTORED), BACKUP, undefined), {
        code: n > 4 ? 'BACKUP_UNFINISHED' : /BACKUP_UNFINISHED|STORAGE_MISSING/,
      });
    // A loss of power in between, too.
    const after = { ...rest, files: failing % 2 === 0 ? files : files.copy() };
    const { knownBytes, bytes } = await backupFolder(toolsFor(after), BACKUP);
    if (failing > operations / 2) t.ok(knownBytes > bytes / 4, `${failing}: ${knownBytes} of ${bytes}`);
    t.notOk(after.files.paths().some((path) => /unfinished|\.part$|\.new$/.test(path)));
    await restoreFolder(toolsFor(after, RESTORED), BACKUP, undefined);
    t.same((await surveyFolder(toolsFor(after, RESTORED))).faults, []);
  }
});

t.test(
  'a restore that fails anywhere leaves a folder on which nobody starts, and goes on where it was',
  async (t) => {
    const folder = await filledFolder(400, 300);
    await backupFolder(toolsFor(folder), BACKUP);
    let operations = 0;
    const probe = { ...folder, files: folder.files.copy() };
    probe.files.onOperation = (operation) => {
      if (['write', 'sync', 'rename'].includes(operation)) operations++;
    };
    await restoreFolder(toolsFor(probe, RESTORED), BACKUP, undefined);
    for (let failing = 4; failing < operations; failing += 3) {
      const one = { ...folder, files: folder.files.copy() };
      let n = 0;
      one.files.onOperation = (operation, path) => {
        if (['write', 'sync', 'rename'].includes(operation) && ++n === failing)
          throw ioError(operation, path);
      };
      await t.rejects(restoreFolder(toolsFor(one, RESTORED), BACKUP, undefined), { code: 'STORAGE_IO' });
      one.files.onOperation = () => {};
      await t.rejects(openStore(one, { folder: RESTORED }), { code: 'BACKUP_UNFINISHED' });
      await restoreFolder(toolsFor(one, RESTORED), BACKUP, undefined);
      t.same(wrongIn(folder.filling.texts, await readTexts(one, RESTORED)), []);
    }
  },
);

t.test(
  'a newer backup in the same folder copies what is new, and drops what is not wanted any more',
  async (t) => {
    const folder = await filledFolder();
    const first = await backupFolder(toolsFor(folder), BACKUP);
    const again = await backupFolder(toolsFor(folder), BACKUP);
    t.ok(again.knownBytes > again.bytes - 1000);
    const { store } = await openStore(folder);
    await publish(store, folder.filling, 300, 300);
    await store.settled();
    await store.close();
    const second = await backupFolder(toolsFor(folder), BACKUP);
    t.ok(second.manifest.last > first.manifest.last);
    t.ok(second.knownBytes > 0 && second.knownBytes < second.bytes);
    t.equal(folder.files.paths().filter((path) => path.startsWith(`${BACKUP}/snapshots/`)).length, 1);
    t.same(wrongIn(folder.filling.texts, await restoredTexts(folder)), []);
  },
);

t.test('what a backup and a restore refuse', async (t) => {
  const folder = await filledFolder(200, 100);
  const { files } = folder;
  files.overwrite('/full/notes.txt', Buffer.from('mine'));
  const refused = { code: 'BACKUP_FOLDER_REFUSED' };
  await t.rejects(backupFolder(toolsFor(folder), '/full'), { ...refused, message: /something else/ });
  await t.rejects(backupFolder(toolsFor(folder), '/data/backup'), { ...refused, message: /within/ });
  await t.rejects(backupFolder(toolsFor(folder), '/'), { ...refused, message: /within/ });
  await backupFolder(toolsFor(folder), BACKUP);
  const other = await filledFolder(60, 30);
  other.files.overwrite('/data/identity.json', await identityFile(Buffer.alloc(16, 0xcd)));
  for (const path of files.paths())
    if (path.startsWith(BACKUP)) other.files.overwrite(path, files.contents(path));
  await t.rejects(backupFolder(toolsFor(other), BACKUP), { ...refused, message: /another gateway/ });
  await t.rejects(restoreFolder(toolsFor(folder), BACKUP, undefined), { ...refused, message: /--force/ });
  await t.rejects(restoreFolder(toolsFor(folder, RESTORED), '/full', undefined), {
    code: 'STORAGE_MISSING',
    message: /no backup.json/,
  });
  files.onOperation = (operation, path) => {
    if (operation === 'rename' && path === '/data')
      throw new SprawlError('STORAGE_READ_ONLY', 'no', { details: { reason: 'EACCES' } });
  };
  await t.rejects(restoreFolder(toolsFor(folder), BACKUP, '/data.before-restore'), {
    ...refused,
    message: /^\/data cannot be moved aside: \/ may not be written, or .*\(EACCES\); move what is in \/data/,
  });
  files.onOperation = () => {};
  const { movedTo } = await restoreFolder(toolsFor(folder), BACKUP, '/data.before-restore');
  t.equal(movedTo, '/data.before-restore');
  t.ok(files.paths().includes('/data.before-restore/identity.json'));
  t.ok(files.paths().includes('/data/identity.json'));
});

t.test('a backup of a newer format is refused with both versions', async (t) => {
  const folder = await filledFolder(100, 50);
  const { files } = folder;
  await backupFolder(toolsFor(folder), BACKUP);
  const path = `${BACKUP}/backup.json`;
  const manifest = jsonOf(files, path);
  const restore = () => restoreFolder(toolsFor(folder, RESTORED), BACKUP, undefined);
  for (const key of ['formatVersion', 'storeFormatVersion']) {
    files.overwrite(path, Buffer.from(JSON.stringify({ ...manifest, [key]: 7 })));
    await t.rejects(restore(), { code: 'STORAGE_FORMAT_NEWER', message: /has format 7, .* up to [12]/ });
  }
  const spoilt = [
    'no json',
    '{}',
    JSON.stringify({ ...manifest, files: [{ path: '../etc/passwd', bytes: 1, sha256: 'a'.repeat(64) }] }),
    JSON.stringify({ ...manifest, identity: 7 }),
  ];
  for (const text of spoilt) {
    files.overwrite(path, Buffer.from(text));
    await t.rejects(restore(), { code: 'STORAGE_CORRUPT', message: /backup\.json is damaged/ });
  }
  t.notOk(files.paths().some((one) => one.startsWith(`${RESTORED}/log`)));
});

t.test('a damaged file of a backup is named, and nothing starts on what was restored of it', async (t) => {
  const folder = await filledFolder();
  const { files } = folder;
  await backupFolder(toolsFor(folder), BACKUP);
  const path = files.paths().find((one) => one.startsWith(`${BACKUP}/log/`)) as string;
  flip(files, path, 3000);
  await t.rejects(restoreFolder(toolsFor(folder, RESTORED), BACKUP, undefined), {
    code: 'STORAGE_CORRUPT',
    message: new RegExp(`${path}: its SHA-256 is`),
  });
  await t.rejects(openStore(folder, { folder: RESTORED }), { code: 'BACKUP_UNFINISHED' });
  files.delete(path);
  await t.rejects(restoreFolder(toolsFor(folder, RESTORED), BACKUP, undefined), { message: /it is missing/ });
});

t.test('a copy that does not read back as it was written fails the backup', async (t) => {
  const folder = await filledFolder(200, 100);
  const { files } = folder;
  files.onEffect = (operation, path) => {
    if (operation === 'sync' && path.startsWith(`${BACKUP}/log/`) && path.endsWith('.part'))
      flip(files, path, 200);
  };
  await t.rejects(backupFolder(toolsFor(folder), BACKUP), {
    code: 'STORAGE_CORRUPT',
    message: /not read back/,
  });
  files.onEffect = () => {};
  const { manifest } = await backupFolder(toolsFor(folder), BACKUP);
  t.ok(manifest.last > 0, 'and is right the next time');
  t.same(wrongIn(folder.filling.texts, await restoredTexts(folder)), []);
});

t.test(
  'a damaged snapshot is left out for the older one; without one, a log without its beginning is refused',
  async (t) => {
    const folder = await filledFolder();
    const { files } = folder;
    const snapshots = files.paths().filter((path) => path.endsWith('.snapshot'));
    flip(files, snapshots[1] as string, 90);
    const { manifest, warnings } = await backupFolder(toolsFor(folder), BACKUP);
    t.equal(manifest.snapshot, Number((snapshots[0] as string).slice(-25, -9)));
    t.match(warnings, [/is damaged and was left out/]);
    t.same(wrongIn(folder.filling.texts, await restoredTexts(folder)), []);
    flip(files, snapshots[0] as string, 90);
    t.equal((await backupFolder(toolsFor(folder), '/second')).manifest.snapshot, 0, 'the log begins at 1');
    files.delete(segmentsOf(files)[0] as string);
    await t.rejects(backupFolder(toolsFor(folder), '/other'), {
      code: 'STORAGE_CORRUPT',
      message: /no whole snapshot.*storage compact/,
    });
  },
);

t.test('no space for a backup, or a restore, is said before anything is copied', async (t) => {
  const folder = await filledFolder();
  const { files } = folder;
  files.quotaBytes = files.usedBytes + 30_000;
  await t.rejects(backupFolder(toolsFor(folder), BACKUP), {
    code: 'STORAGE_FULL',
    message: /needs \d+ bytes more/,
  });
  files.quotaBytes = Infinity;
  await backupFolder(toolsFor(folder), BACKUP);
  files.quotaBytes = files.usedBytes + 30_000;
  await t.rejects(restoreFolder(toolsFor(folder, RESTORED), BACKUP, undefined), { code: 'STORAGE_FULL' });
});

t.test('a segment that is written again smaller under it is copied again', async (t) => {
  const folder = await filledFolder();
  const { files } = folder;
  const [first, , third] = segmentsOf(files) as [string, string, string];
  let isDone = false;
  files.onOperation = (operation, path) => {
    if (isDone || operation !== 'open' || path !== third) return;
    isDone = true;
    // What the backup sees of a compaction: another file of the same name.
    files.overwrite(first, files.contents(first).subarray(0, 9000));
  };
  const { manifest } = await backupFolder(toolsFor(folder), BACKUP);
  t.ok(isDone);
  t.equal(manifest.files.find(({ path }) => first.endsWith(path))?.bytes, 9000);
});

t.test('a backup stays whole until the next one in its folder is done, wherever that ends', async (t) => {
  const folder = await filledFolder(200, 100);
  const { files } = folder;
  const [thinned] = segmentsOf(files) as [string];
  for (const name of MESH_NAMES) files.overwrite(`/data/mesh/${name}`, Buffer.from(name));
  await backupFolder(toolsFor(folder), BACKUP);
  const first = files.contents(`${BACKUP}/backup.json`).toString();
  const before = files.contents(thinned).length;
  // Since then there was a new life, the log has grown, and a segment was written again smaller.
  const { store } = await openStore(folder);
  await publish(store, folder.filling, 20, 0);
  await store.close();
  const after = Buffer.from(files.contents(thinned).subarray(0, before - 1000));
  after[60] = 1;
  files.overwrite(thinned, after);
  for (const name of MESH_NAMES) files.overwrite(`/data/mesh/${name}`, Buffer.from(`later ${name}`));
  let isOver = false;
  for (let failAt = 1; !isOver; failAt += 2) {
    const world = { ...folder, files: files.copy() };
    let operations = 0;
    world.files.onOperation = (operation, path) => {
      if (!path.startsWith(BACKUP)) return;
      if (['write', 'sync', 'rename', 'remove'].includes(operation) && ++operations === failAt)
        throw ioError(operation, path);
    };
    await backupFolder(toolsFor(world), BACKUP).catch(() => undefined);
    isOver = operations < failAt;
    // The next one does not come far either.
    world.files.onOperation = (operation, path) => {
      if (operation === 'write' && path.startsWith(`${BACKUP}/mesh/`)) throw ioError(operation, path);
    };
    await t.rejects(backupFolder(toolsFor(world), BACKUP), { code: 'STORAGE_IO' });
    world.files.onOperation = () => {};
    const isFirst = world.files.contents(`${BACKUP}/backup.json`).toString() === first;
    await restoreFolder(toolsFor(world, RESTORED), BACKUP, undefined);
    const restored = MESH_NAMES.map((name) => world.files.contents(`${RESTORED}/mesh/${name}`).toString());
    t.same(restored, isFirst ? MESH_NAMES : MESH_NAMES.map((name) => `later ${name}`), `at ${failAt}`);
    t.equal(
      world.files.contents(thinned.replace('/data', RESTORED)).length,
      isFirst ? before : before - 1000,
      `at ${failAt}`,
    );
    await backupFolder(toolsFor(world), BACKUP);
    t.notOk(
      world.files.paths().some((path) => /^\/backup\/.*(unfinished|\.next$|\.part$|\.new$)/.test(path)),
    );
  }
});

t.test('a backup is not restored to itself, nor within itself, nor around itself', async (t) => {
  const folder = await filledFolder(50, 20);
  await backupFolder(toolsFor(folder), '/backups/one');
  const before = imprint(folder);
  for (const target of ['/backups/one', '/backups/one/sub', '/backups'])
    await t.rejects(restoreFolder(toolsFor(folder, target), '/backups/one', '/aside'), {
      code: 'BACKUP_FOLDER_REFUSED',
      message: /one within the other/,
    });
  folder.files.realPath = async (path) => path.replace('/link', '/backups/one');
  await t.rejects(restoreFolder(toolsFor(folder, '/link'), '/backups/one', '/aside'), {
    code: 'BACKUP_FOLDER_REFUSED',
  });
  t.equal(imprint(folder), before);
  await restoreFolder(toolsFor(folder, '/backups/..one'), '/backups/one', '/aside');
});
