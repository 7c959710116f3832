import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { FileObjectStore } from '../../../bridge/archive/file-object-store.js';
import { bodyOf, type ObjectBody } from '../../../bridge/archive/object-store.js';

const BODY = bodyOf(Buffer.from('body'));

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'sprawl-file-objects-'));
  t.teardown(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

async function count(store: FileObjectStore): Promise<number> {
  let found = 0;
  for await (const { key } of store.list('')) if (key !== '') found++;
  return found;
}

t.test('a body that cannot be read leaves nothing', async (t) => {
  const root = join(folder(t), 'archive');
  const store = new FileObjectStore(root);
  const broken: ObjectBody = { length: 10, read: () => Promise.reject(new Error('the log is gone')) };
  await t.rejects(store.create('a/b', broken), {
    kind: 'other',
    message: /cannot create .*: Error: the log is gone/,
  });
  t.equal(await store.stat('a/b'), undefined);
  t.same(readdirSync(join(root, 'a')), []);
  t.equal(await store.create('a/b', BODY), true);
});

t.test('what a crash left is nobody’s object, and can be removed when it is old', async (t) => {
  const root = folder(t);
  const store = new FileObjectStore(root);
  t.equal(await store.removeParts(Date.now()), 0);
  await store.create('a/b', BODY);
  const [old, young, other] = ['.0123456789abcdef.part', '.fedcba9876543210.part', '.film.mkv.part'];
  for (const name of [old, young, other]) writeFileSync(join(root, 'a', name), 'half');
  for (const name of [old, other]) utimesSync(join(root, 'a', name), 1, 1);
  writeFileSync(join(root, '.keep'), 'somebody else’s');
  t.equal(await count(store), 1);
  t.equal(await store.removeParts(1_000_000), 1);
  t.same(readdirSync(join(root, 'a')).sort(), [young, other, 'b'].sort());
  t.ok(existsSync(join(root, '.keep')));
});

t.test('what somebody else has put beside the objects is listed, whatever its name', async (t) => {
  const root = folder(t);
  const store = new FileObjectStore(root);
  await store.create('data/a', BODY);
  // A note, a copy that a person made, and what a NAS adds to each folder.
  writeFileSync(join(root, 'data', 'read me.txt'), 'a note');
  for (const name of ['a (copy)', '@eaDir']) {
    mkdirSync(join(root, 'data', name));
    writeFileSync(join(root, 'data', name, 'thumb@1'), '');
  }
  const found: string[] = [];
  for await (const { key, length } of store.list('data/')) found.push(`${key} ${length}`);
  t.same(found, ['data/@eaDir/thumb@1 0', 'data/a 4', 'data/a (copy)/thumb@1 0', 'data/read me.txt 6']);
});

t.test('a disk that is not there is missing, and not made', async (t) => {
  const above = folder(t);
  const store = new FileObjectStore(join(above, 'mounted', 'archive'));
  await t.rejects(store.create('a', BODY), { kind: 'missing', message: /cannot create .*ENOENT/ });
  await t.rejects(store.createsOnce(), { kind: 'missing', message: /ENOENT/ });
  t.equal(await count(store), 0);
  t.equal(await store.removeParts(Date.now()), 0);
  mkdirSync(join(above, 'mounted'));
  t.equal(await store.create('a/b/c', BODY), true);
  // It goes, and comes back empty.
  rmSync(join(above, 'mounted'), { recursive: true });
  await t.rejects(store.create('a/b/d', BODY), { kind: 'missing', message: /ENOENT/ });
  mkdirSync(join(above, 'mounted'));
  t.equal(await store.create('a/b/d', BODY), true);
  writeFileSync(join(above, 'file'), '');
  await t.rejects(new FileObjectStore(join(above, 'file')).create('a', BODY), {
    kind: 'missing',
    message: /ENOTDIR/,
  });
});

t.test('a file system without links creates too, and says that it does not do so once', async (t) => {
  const noLinks = (): Promise<void> => Promise.reject(Object.assign(new Error('no'), { code: 'EPERM' }));
  const store = new FileObjectStore(folder(t), noLinks);
  t.equal(await store.createsOnce(), false);
  t.equal(await store.create('a', BODY), true);
  t.equal(await store.create('a', BODY), false);
  const failing = (): Promise<void> => Promise.reject(Object.assign(new Error('no'), { code: 'EIO' }));
  const broken = new FileObjectStore(folder(t), failing);
  await t.rejects(broken.createsOnce(), { kind: 'other', message: /cannot try links in .*: EIO/ });
  await t.rejects(broken.create('a', BODY), { kind: 'other', message: /EIO/ });
});

t.test('two that find out at the same moment that links are missing: the file stays whole', async (t) => {
  const root = folder(t);
  const noLinks = async (_from: unknown, to: unknown): Promise<void> => {
    // Meanwhile the other one was quicker.
    writeFileSync(String(to), 'the other');
    return Promise.reject(Object.assign(new Error('no'), { code: 'ENOTSUP' }));
  };
  const store = new FileObjectStore(root, noLinks);
  t.equal(await store.create('a', BODY), false);
  t.equal(Buffer.from((await store.read('a')) ?? []).toString(), 'the other');
});

t.test('a file on the same disk gets a second name; from another disk it is copied', async (t) => {
  const root = folder(t);
  const file = join(folder(t), 'made');
  writeFileSync(file, 'body');
  const body = { ...BODY, file };
  const inode = (path: string): number => statSync(path).ino;
  const near = new FileObjectStore(join(root, 'near'));
  t.equal(await near.create('a/b', body), true);
  t.equal(await near.create('a/b', body), false);
  t.equal(inode(join(root, 'near', 'a', 'b')), inode(file));
  const elsewhere = async (from: unknown, to: unknown): Promise<void> => {
    if (from === file) throw Object.assign(new Error('no'), { code: 'EXDEV' });
    linkSync(String(from), String(to));
  };
  const far = new FileObjectStore(join(root, 'far'), elsewhere);
  t.equal(await far.create('a/b', body), true);
  t.not(inode(join(root, 'far', 'a', 'b')), inode(file));
  rmSync(file);
  for (const store of [near, far]) t.equal(Buffer.from((await store.read('a/b')) ?? []).toString(), 'body');
  // The file went meanwhile.
  await t.rejects(near.create('a/c', body), { kind: 'missing', message: /cannot create/ });
  t.same(readdirSync(join(root, 'near', 'a')), ['b']);
});
