import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { FilePart } from '../../../storage/files/file-system.js';
import { ReadThread } from '../../../storage/files/read-thread.js';

const SIZE = 1_500_000;
const contents = Buffer.from(Array.from({ length: SIZE }, (_, i) => (i * 7 + (i >> 8)) & 0xff));

/** A thread that runs `source` instead. */
function impostor(source: string): URL {
  return new URL(`data:text/javascript,${encodeURIComponent(source)}`);
}

function fileOf(t: Test): { readonly path: string; readonly fd: number } {
  const root = mkdtempSync(join(tmpdir(), 'sprawl-read-'));
  const path = join(root, 'file');
  writeFileSync(path, contents);
  const fd = openSync(path, 'r');
  t.teardown(() => {
    closeSync(fd);
    rmSync(root, { recursive: true, force: true });
  });
  return { path, fd };
}

async function read(thread: ReadThread, fd: number, parts: readonly FilePart[]): Promise<Buffer[]> {
  const found: Buffer[] = [];
  await thread.read(
    fd,
    '/the/file',
    parts,
    (i, bytes, start, end) => (found[i] = Buffer.from(bytes.slice(start, end))),
  );
  return found;
}

function expected(parts: readonly FilePart[]): Buffer[] {
  return parts.map(({ offset, length }) => contents.subarray(offset, offset + length));
}

async function until(condition: () => boolean): Promise<void> {
  for (let n = 0; !condition() && n < 1000; n++) await sleep(10);
}

const scattered = Array.from({ length: 100 }, (_, i) => ({ offset: i * 14_000 + 3, length: 5000 - i }));

t.test('parts are what the file has, up to its end', async (t) => {
  const { fd } = fileOf(t);
  const thread = new ReadThread(50);
  t.same(await read(thread, fd, scattered), expected(scattered));
  const atTheEnd = [
    { offset: SIZE - 10, length: 20 },
    { offset: 0, length: 4 },
    { offset: SIZE, length: 8 },
    { offset: SIZE + 100, length: 8 },
    { offset: 5, length: 0 },
  ];
  const found = await read(thread, fd, atTheEnd);
  t.same(found, expected(atTheEnd));
  t.same(
    found.map(({ length }) => length),
    [10, 4, 0, 0, 0],
  );
  t.same(await read(thread, fd, []), []);
});

t.test('requests at once have each its own bytes, also those that are larger than most', async (t) => {
  const { fd } = fileOf(t);
  const thread = new ReadThread(50);
  const requests = Array.from({ length: 12 }, (_, n) =>
    n % 5 === 4
      ? [{ offset: n, length: SIZE - 20 }]
      : scattered.map(({ offset, length }) => ({ offset: offset + n, length })),
  );
  const found = await Promise.all(requests.map((parts) => read(thread, fd, parts)));
  t.same(found, requests.map(expected));
});

t.test('a file that cannot be read says so, and the thread goes on', async (t) => {
  const { fd } = fileOf(t);
  const thread = new ReadThread(50);
  const failing = thread.read(999_999, '/the/file', scattered, () => t.fail('nothing was read'));
  await t.rejects(failing, {
    code: 'STORAGE_IO',
    message: /cannot read \/the\/file: EBADF/,
    details: { reason: 'EBADF' },
  });
  t.same(await read(thread, fd, scattered), expected(scattered));
});

t.test('what the visitor throws goes to who asked', async (t) => {
  const { fd } = fileOf(t);
  const thread = new ReadThread(50);
  const failure = new RangeError('it is not mine');
  const failing = thread.read(fd, '/the/file', scattered, () => {
    throw failure;
  });
  await t.rejects(failing, failure);
  t.same(await read(thread, fd, scattered), expected(scattered));
});

t.test('all that a thread had when it died fails, and the next request starts another', async (t) => {
  const { fd } = fileOf(t);
  const source = `import { parentPort } from 'node:worker_threads';
    let count = 0;
    parentPort.on('message', ({ id }) => {
      if (++count === 2) throw new Error('out of luck');
      parentPort.postMessage({ id, lengths: new Uint32Array(100) });
    });`;
  const thread = new ReadThread(50, impostor(source));
  const first = read(thread, fd, scattered);
  const second = read(thread, fd, scattered);
  const third = read(thread, fd, scattered);
  t.same(
    (await first).map(({ length }) => length),
    scattered.map(() => 0),
  );
  await t.rejects(second, { code: 'STORAGE_IO', cause: { cause: { message: 'out of luck' } } });
  await t.rejects(third, { code: 'STORAGE_IO' });
  t.notOk(thread.isRunning);
  await t.resolves(read(thread, fd, scattered));
  t.ok(thread.isRunning);
});

t.test('a thread that does not start fails what waits for it', async (t) => {
  const { fd } = fileOf(t);
  const thread = new ReadThread(50, impostor('throw new Error("no thread today")'));
  await t.rejects(read(thread, fd, scattered), { code: 'STORAGE_IO' });
  t.notOk(new ReadThread(50, new URL('http://nowhere/')).wake(), 'nor is one that cannot be had waited for');
});

t.test('it is up some time after it was first wanted, and ends when nobody wants it any more', async (t) => {
  const { fd } = fileOf(t);
  const thread = new ReadThread(100);
  t.notOk(thread.isRunning);
  t.notOk(thread.wake(), 'nobody waits for the start');
  await until(() => thread.wake());
  t.ok(thread.wake());
  await until(() => !thread.isRunning);
  t.notOk(thread.isRunning);
  t.same(await read(thread, fd, scattered), expected(scattered), 'another one is started');
});

t.test('one that waits for the disk is not idle', async (t) => {
  const { fd } = fileOf(t);
  const source = `import { parentPort } from 'node:worker_threads';
    parentPort.on('message', (request) => {
      if (request === 'end') return parentPort.close();
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
      parentPort.postMessage({ id: request.id, lengths: new Uint32Array(100) });
    });`;
  const thread = new ReadThread(50, impostor(source));
  const reading = read(thread, fd, scattered);
  await sleep(200);
  t.ok(thread.isRunning);
  t.equal((await reading).length, scattered.length);
  await until(() => !thread.isRunning);
  t.notOk(thread.isRunning);
});

t.test('behind one that does not come back from the disk only so many wait', async (t) => {
  const { fd } = fileOf(t);
  const source = `import { parentPort } from 'node:worker_threads';
    parentPort.on('message', () => setTimeout(() => process.exit(), 300));`;
  const thread = new ReadThread(60_000, impostor(source));
  const waiting: Promise<Buffer[]>[] = [];
  await until(() => thread.wake());
  while (thread.wake() && waiting.length < 100) waiting.push(read(thread, fd, scattered));
  t.equal(waiting.length, 32);
  for (const { status } of await Promise.allSettled(waiting)) t.equal(status, 'rejected');
});

t.test('a process stays for what it reads, and not for the thread', async (t) => {
  const { path } = fileOf(t);
  const module = new URL('../../../storage/files/read-thread.js', import.meta.url).href;
  const source = `import { openSync } from 'node:fs';
    import { ReadThread } from ${JSON.stringify(module)};
    const fd = openSync(${JSON.stringify(path)}, 'r');
    const lengths = [];
    await new ReadThread(600_000).read(fd, 'x', [{ offset: 0, length: 7 }], (i, bytes, start, end) => lengths.push(end - start));
    console.log(lengths.join());`;
  const child = spawnSync(process.execPath, ['--input-type=module', '--eval', source], { timeout: 30_000 });
  t.equal(child.stdout.toString(), '7\n');
  t.equal(child.status, 0);
});
