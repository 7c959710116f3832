import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { FileSystem, StoreFile } from '../../../storage/files/file-system.js';
import { nodeFileSystem as files } from '../../../storage/files/node-file-system.js';
import { FaultyFiles } from '../../support/faulty-files.js';

t.test('files are written, read, cut, renamed and removed; nobody else may read them', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'sprawl-files-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const folder = `${root}/a/b`;
  await files.makeFolder(folder);
  await files.makeFolder(folder);
  const path = `${folder}/one`;
  const file = await files.open(path, 'create');
  await file.write(Buffer.from('hello world'), 0);
  await file.write(Buffer.from('W'), 6);
  await file.sync();
  const into = Buffer.alloc(20);
  t.equal(await file.read(into, 0), 11);
  t.equal(into.toString('latin1', 0, 11), 'hello World');
  t.equal(await file.read(into, 8), 3);
  await file.truncate(5);
  t.equal(await file.size(), 5);
  await file.close();
  await files.syncFolder(folder);
  t.equal(statSync(path).mode & 0o077, 0);
  t.same(await files.list(folder), ['one']);
  await files.rename(path, `${folder}/two`);
  t.equal(readFileSync(`${folder}/two`, 'utf8'), 'hello');
  await files.remove(`${folder}/two`);
  await files.remove(`${folder}/two`);
  t.same(await files.list(folder), []);
  t.same(await files.list(`${root}/nowhere`), []);
  t.ok((await files.freeBytes(root)) > 0);
});

t.test('a folder that goes up behind a link is made where the system says', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'sprawl-files-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  await files.makeFolder(`${root}/disk/sub`);
  symlinkSync(`${root}/disk/sub`, `${root}/link`);
  const folder = `${root}/link/../data/log`;
  await files.makeFolder(folder);
  await files.makeFolder(folder);
  t.ok(existsSync(folder), 'the very folder that was named');
  t.ok(existsSync(`${root}/disk/data/log`));
  t.notOk(existsSync(`${root}/data`), 'and no other');
});

t.test('what cannot be done says so with a code', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'sprawl-files-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  await t.rejects(files.open(`${root}/none`, 'read'), { code: 'STORAGE_MISSING' });
  await (await files.open(`${root}/one`, 'create')).close();
  await t.rejects(files.open(`${root}/one`, 'create'), { code: 'STORAGE_IO' });
  await t.rejects(files.list(`${root}/one`), { code: 'STORAGE_IO' });
  await t.rejects(files.makeFolder(`${root}/one/two`), { code: 'STORAGE_IO', message: /is no folder/ });
  await t.rejects(files.makeFolder(`${root}/one`), { code: 'STORAGE_IO', message: /is no folder/ });
  symlinkSync(`${root}/nowhere`, `${root}/link`);
  await t.rejects(files.makeFolder(`${root}/link`), { code: 'STORAGE_IO', message: /is no folder/ });
  if (existsSync('/proc/self'))
    await t.rejects(files.makeFolder('/proc/sprawl/edge'), { code: 'STORAGE_IO', message: /takes none/ });
  await t.rejects(files.syncFolder(`${root}/none`), { code: 'STORAGE_MISSING' });
  await t.rejects(files.rename(`${root}/none`, `${root}/other`), { code: 'STORAGE_MISSING' });
  await t.rejects(files.freeBytes(`${root}/none`), { code: 'STORAGE_MISSING' });
  await t.rejects(files.remove(root), { code: 'STORAGE_IO' });
  const file = await files.open(`${root}/one`, 'read');
  await t.rejects(file.write(Buffer.from('x'), 0), { code: 'STORAGE_IO' });
  await t.rejects(file.truncate(0), { code: 'STORAGE_IO' });
  await file.close();
  await t.rejects(file.read(Buffer.alloc(1), 0), { code: 'STORAGE_IO' });
  await t.rejects(file.sync(), { code: 'STORAGE_IO' });
});

/** Of both file systems: parts of a file, few and many, as often as it takes for a thread to be up. */
async function checkParts(t: Test, files: FileSystem, folder: string): Promise<void> {
  const path = `${folder}/parts`;
  const contents = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i ^ (i >> 8)) & 0xff));
  const file = await files.open(path, 'create');
  await file.write(contents, 0);
  for (const count of [0, 1, 2, 3, 50]) {
    const parts = Array.from({ length: count }, (_, i) => ({ offset: 99_990 - i * 1999, length: 20 + i }));
    for (let round = 0; round < 20; round++) {
      const found: Buffer[] = [];
      await file.readParts(
        parts,
        (i, bytes, start, end) => (found[i] = Buffer.from(bytes.slice(start, end))),
      );
      t.same(
        found,
        parts.map(({ offset, length }) => contents.subarray(offset, offset + length)),
      );
      await sleep(5);
    }
  }
  await t.rejects(
    file.readParts([{ offset: 0, length: 1 }], () => {
      throw new RangeError('what a visitor throws');
    }),
    RangeError,
  );
  await file.close();
}

t.test('parts of a file', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'sprawl-files-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  await checkParts(t, files, root);
  await checkParts(t, new FaultyFiles(), '/root');

  const parts = Array.from({ length: 50 }, (_, i) => ({ offset: i * 1999, length: 1500 }));
  const file = await files.open(`${root}/parts`, 'read');
  let count = 0;
  const reading = Array.from({ length: 10 }, () => file.readParts(parts, () => count++));
  await Promise.all([...reading, file.close()]);
  t.equal(count, 500, 'a file is not closed before it is read');
  for (const few of [parts, parts.slice(0, 1)])
    await t.rejects(
      file.readParts(few, () => t.fail('it is closed')),
      { code: 'STORAGE_IO' },
    );
});

t.test('a part that the disk does not give back fails the request', async (t) => {
  const files = new FaultyFiles();
  const file = await files.open('/root/file', 'create');
  await file.write(Buffer.alloc(10_000), 0);
  files.spoil('/root/file', 5000, 5001);
  const parts = Array.from({ length: 10 }, (_, i) => ({ offset: i * 1000, length: 500 }));
  await t.rejects(
    file.readParts(parts, () => undefined),
    { code: 'STORAGE_IO' },
  );
});

t.test('a file that was removed, moved away or replaced has no name any more', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'sprawl-files-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const path = `${root}/a/one`;
  const opened = async (): Promise<StoreFile> => {
    await files.makeFolder(`${root}/a`);
    await files.remove(path);
    const file = await files.open(path, 'create');
    t.ok(await file.hasName());
    t.teardown(() => file.close());
    return file;
  };
  const removed = await opened();
  await files.remove(path);
  t.notOk(await removed.hasName());
  const replaced = await opened();
  await (await files.open(`${root}/two`, 'create')).close();
  await files.rename(`${root}/two`, path);
  t.notOk(await replaced.hasName());
  const moved = await opened();
  await files.rename(`${root}/a`, `${root}/b`);
  t.notOk(await moved.hasName());
  await (await files.open(`${root}/a`, 'create')).close();
  t.ok(await moved.hasName(), 'what cannot be told is no loss');
});

t.test('the real path follows links, as far as there is something', async (t) => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'sprawl-files-')));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  await files.makeFolder(`${root}/a`);
  symlinkSync(`${root}/a`, `${root}/link`);
  t.equal(await files.realPath(`${root}/link`), `${root}/a`);
  t.equal(await files.realPath(`${root}/link/new/one`), `${root}/a/new/one`);
  t.equal(await files.realPath('/'), '/');
});
