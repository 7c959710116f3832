import { createSecretKey } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { open, seal } from '../../../storage/crypto/envelope.js';
import type { RecordCipher } from '../../../storage/log/record-cipher.js';
import { SEGMENT_HEADER_BYTES } from '../../../storage/log/segment-header.js';
import { FaultyFiles, ioError } from '../../support/faulty-files.js';
import { append, committed, openLog, readAll } from '../../support/log-bench.js';

const key = createSecretKey(Buffer.alloc(32, 1));
const keys = { current: { id: 1, key }, byId: () => key };
const context = (first: number, last: number): Uint8Array => Buffer.from(`${first} ${last}`);
const CIPHER: RecordCipher = {
  sealRecords: (records, first, last) => seal(keys, records, context(first, last)),
  openRecords: (sealed, first, last) => open(keys, sealed, context(first, last)),
};

type OpenedLog = Awaited<ReturnType<typeof openLog>>;

async function filled(
  files: FaultyFiles,
  cipher: RecordCipher | undefined,
  count: number,
): Promise<OpenedLog> {
  const log = await openLog(files, { cipher });
  for (let n = 1; n <= count; n++) {
    const position = append(log, n % 7, Buffer.from(`record ${n} `.repeat(1 + (n % 40))));
    if (n % 9 === 0) await committed(log, position);
  }
  await log.flush();
  return log;
}

for (const [name, cipher] of [
  ['plain', undefined],
  ['sealed', CIPHER],
] as const) {
  t.test(
    `${name}: a compacted segment has what is needed, at its positions, and takes less room`,
    async (t) => {
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 0, max: 100 }), fc.integer(), async (percent, salt) => {
          const files = new FaultyFiles();
          const log = await filled(files, cipher, 400);
          const before = await readAll(log);
          const old = log.segments.slice(0, -1);
          const isNeeded = (position: number): boolean => Math.abs((position * 7919 + salt) % 101) < percent;
          let freed = 0;
          const bytes = log.storedBytes;
          for (const segment of [...old]) freed += await log.compact(segment, isNeeded);
          const limit = log.segments.at(-1)?.header.first ?? 0;
          const expected = new Map(
            [...before.records].filter(([position]) => position >= limit || isNeeded(position)),
          );
          const check = async (one: OpenedLog): Promise<boolean> => {
            const { records, lost } = await readAll(one);
            return lost.length === 0 && JSON.stringify([...records]) === JSON.stringify([...expected]);
          };
          if (log.storedBytes !== bytes - freed || !(await check(log))) return false;
          await log.close();
          const again = await openLog(files, { cipher });
          const isRight = again.report.losses.length === 0 && (await check(again));
          // A second time, and on from there.
          for (const segment of again.segments.slice(0, -1)) await again.compact(segment, isNeeded);
          append(again, 1, Buffer.from('one more'));
          await again.flush();
          const isRightAgain = (await readAll(again)).lost.length === 0;
          await again.close();
          return isRight && isRightAgain;
        }),
        { numRuns: 15 },
      );
      t.pass();
    },
  );
}

t.test('a compaction that fails or is interrupted leaves the segment as it was', async (t) => {
  const files = new FaultyFiles();
  const log = await filled(files, undefined, 400);
  const before = await readAll(log);
  const [segment] = log.segments;
  if (segment === undefined) throw new Error('there is none');
  for (const failing of ['write', 'sync', 'rename'] as const) {
    files.onOperation = (operation, path) => {
      if (operation === failing && path.includes('.new')) throw ioError(operation, path);
    };
    await t.rejects(
      log.compact(segment, () => false),
      { code: 'STORAGE_IO' },
      failing,
    );
  }
  files.onOperation = () => {};
  t.same((await readAll(log)).records, before.records);
  files.overwrite(`${segment.path}.new`, Buffer.from('half of it'));
  await log.close();
  const again = await openLog(files);
  t.same((await readAll(again)).records, before.records);
  t.notOk(
    files.paths().some((path) => path.endsWith('.new')),
    'what was left is gone',
  );
  await again.close();
});

t.test('nothing is left out before what was appended until then is synced', async (t) => {
  const files = new FaultyFiles();
  const log = await filled(files, undefined, 400);
  const [segment] = log.segments;
  if (segment === undefined) throw new Error('there is none');
  const position = append(log, 1, Buffer.from('record 1 is not needed any more'));
  let isBroken = true;
  files.onOperation = (operation, path) => {
    if (operation === 'sync' && !path.endsWith('.compact') && isBroken) throw ioError(operation, path);
    if (operation === 'rename') t.ok(log.committed >= position);
  };
  await t.rejects(
    log.compact(segment, () => false),
    { code: 'STORAGE_IO' },
  );
  t.notOk(files.has(`${segment.path}.compact`));
  isBroken = false;
  const { end } = segment;
  await log.compact(segment, () => false);
  t.ok(segment.end < end);
  await log.close();
});

t.test('damage behind left out records is found by its positions', async (t) => {
  const files = new FaultyFiles();
  const log = await filled(files, undefined, 400);
  const [segment] = log.segments;
  if (segment === undefined) throw new Error('there is none');
  await log.compact(segment, (position) => position % 5 === 0);
  await log.close();
  const bytes = files.contents(segment.path);
  const at = bytes.indexOf('record 10 ');
  bytes[at] = 0;
  const again = await openLog(files);
  const { lost, records } = await readAll(again);
  t.same(lost, [10]);
  t.ok(records.has(15));
  await again.close();
});

for (const [name, cipher] of [
  ['plain', undefined],
  ['sealed', CIPHER],
] as const) {
  t.test(`${name}: a damaged segment is not written again: what is whole in it stays`, async (t) => {
    const files = new FaultyFiles();
    const log = await filled(files, cipher, 400);
    const [segment] = log.segments;
    if (segment === undefined) throw new Error('there is none');
    const bytes = files.contents(segment.path);
    for (const at of [SEGMENT_HEADER_BYTES + 30, Math.floor(bytes.length / 2), segment.end - 10]) {
      const before = bytes[at] as number;
      bytes[at] = before ^ 1;
      const { records, lost } = await readAll(log);
      t.ok(lost.length > 0 && records.size > 300);
      const image = Buffer.from(bytes);
      t.equal(await log.compact(segment, () => false), 0);
      t.ok(files.contents(segment.path).equals(image), 'it stands as it was');
      t.same(
        segment.damage.flatMap(({ first, last }) =>
          Array.from({ length: last - first + 1 }, (_, i) => first + i),
        ),
        lost,
      );
      t.notOk(files.paths().some((path) => path.endsWith('.new')));
      bytes[at] = before;
    }
    t.ok((await log.compact(segment, () => false)) > 0);
    await log.close();
  });
}
