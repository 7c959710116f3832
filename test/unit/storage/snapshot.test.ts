import fc from 'fast-check';
import t from 'tap';
import { type Entry, listSnapshots, readSnapshot, writeSnapshot } from '../../../storage/state/snapshot.js';
import { FaultyFiles, ioError } from '../../support/faulty-files.js';
import { IDENTITY } from '../../support/log-bench.js';

const FOLDER = 'data/snapshots';

async function* each(entries: readonly Entry[]): AsyncIterable<Entry> {
  yield* entries;
}

async function read(files: FaultyFiles): Promise<[string, string][]> {
  const [newest] = await listSnapshots(files, FOLDER);
  if (newest === undefined) throw new Error('there is none');
  const found: [string, string][] = [];
  await readSnapshot(files, newest, IDENTITY, ([key, value]) => {
    found.push([key, Buffer.from(value).toString('latin1')]);
  });
  return found;
}

t.test('entries come back as they were, whatever their sizes', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.integer({ min: 0, max: 300_000 })), {
        maxLength: 8,
      }),
      async (shapes) => {
        const files = new FaultyFiles();
        const entries = shapes.map(([key, size], i): Entry => [key, Buffer.alloc(size, i + 65)]);
        await writeSnapshot(files, FOLDER, 7, IDENTITY, each(entries));
        const found = await read(files);
        return (
          JSON.stringify(found) ===
          JSON.stringify(entries.map(([key, value]) => [key, Buffer.from(value).toString('latin1')]))
        );
      },
    ),
    { numRuns: 25 },
  );
  t.pass();
});

t.test('the newest whole one comes first; one that was not finished does not count', async (t) => {
  const files = new FaultyFiles();
  await writeSnapshot(files, FOLDER, 5, IDENTITY, each([['a', Buffer.from('1')]]));
  await writeSnapshot(files, FOLDER, 12, IDENTITY, each([['a', Buffer.from('2')]]));
  files.onOperation = (operation, path) => {
    if (operation === 'sync') throw ioError(operation, path);
  };
  await t.rejects(writeSnapshot(files, FOLDER, 20, IDENTITY, each([])), { code: 'STORAGE_IO' });
  files.onOperation = () => {};
  t.same(
    (await listSnapshots(files, FOLDER)).map(({ position }) => position),
    [12, 5],
  );
  t.same(await read(files), [['a', '2']]);
  t.equal(files.paths().length, 2, 'nothing unfinished is left');
});

t.test('a loss of power at any moment leaves the older one, or the new one whole', async (t) => {
  const files = new FaultyFiles();
  await writeSnapshot(files, FOLDER, 5, IDENTITY, each([['a', Buffer.from('old')]]));
  const images: FaultyFiles[] = [];
  files.onOperation = () => images.push(files.crash());
  await writeSnapshot(files, FOLDER, 9, IDENTITY, each([['a', Buffer.alloc(300_000, 'new')]]));
  images.push(files.crash());
  const seen = new Set<string | undefined>();
  for (const image of images) seen.add((await read(image))[0]?.[1].slice(0, 3));
  t.same([...seen].sort(), ['new', 'old']);
});

t.test('a changed bit or a cut anywhere is noticed before anything is shown', async (t) => {
  const files = new FaultyFiles();
  await writeSnapshot(
    files,
    FOLDER,
    5,
    IDENTITY,
    each([
      ['key', Buffer.from('value')],
      ['other', Buffer.alloc(20)],
    ]),
  );
  const [path] = files.paths() as [string];
  const whole = Buffer.from(files.contents(path));
  for (let at = 0; at < whole.length; at++) {
    const bytes = Buffer.from(whole);
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (at % 8)), at);
    files.overwrite(path, bytes);
    await t.rejects(read(files), { code: 'STORAGE_CORRUPT' }, `bit of byte ${at}`);
    files.overwrite(path, whole.subarray(0, at));
    await t.rejects(read(files), { code: 'STORAGE_CORRUPT' }, `cut at ${at}`);
  }
});

t.test('one of another gateway, another position or a newer format is refused', async (t) => {
  const files = new FaultyFiles();
  await writeSnapshot(files, FOLDER, 5, Buffer.alloc(16, 1), each([]));
  await t.rejects(read(files), { code: 'STORAGE_FOREIGN' });
  await files.rename(`${FOLDER}/0000000000000005.snapshot`, `${FOLDER}/0000000000000006.snapshot`);
  await writeSnapshot(files, FOLDER, 5, IDENTITY, each([]));
  await files.rename(`${FOLDER}/0000000000000005.snapshot`, `${FOLDER}/0000000000000006.snapshot`);
  await t.rejects(read(files), { code: 'STORAGE_CORRUPT', message: /another one/ });
  const path = `${FOLDER}/0000000000000006.snapshot`;
  const bytes = Buffer.from(files.contents(path));
  bytes.writeUInt16LE(9, 8);
  const { crc32c } = await import('../../../storage/log/crc32c.js');
  bytes.writeUInt32LE(crc32c(bytes, 0, bytes.length - 4), bytes.length - 4);
  files.overwrite(path, bytes);
  await t.rejects(read(files), { code: 'STORAGE_FORMAT_NEWER', message: /format 9.*up to 1/ });
});
