import t from 'tap';
import { INDEX_EVERY_BYTES } from '../../../storage/log/segment-index.js';
import { SprawlError } from '../../../lib/contracts/errors.js';
import type { Log } from '../../../storage/log/log.js';
import { RECORD_HEADER_BYTES } from '../../../storage/log/record.js';
import { SEGMENT_HEADER_BYTES, segmentFileName } from '../../../storage/log/segment-header.js';
import { FaultyFiles, ioError } from '../../support/faulty-files.js';
import { append, committed, FOLDER, openLog, readAll } from '../../support/log-bench.js';

const FIRST_SEGMENT = `${FOLDER}/${segmentFileName(1)}`;

async function write(log: Log, count: number, size = 100): Promise<number> {
  let position = 0;
  for (let i = 0; i < count; i++) position = append(log, 1, Buffer.alloc(size, `${log.position + 1},`));
  await committed(log, position);
  return position;
}

function bodyOf(position: number, size = 100): string {
  return Buffer.alloc(size, `${position},`).toString('latin1');
}

t.test('a record is committed only after the file was synced', async (t) => {
  const files = new FaultyFiles();
  const log = await openLog(files);
  const position = append(log, 1, Buffer.from('one'));
  t.equal(position, 1);
  t.equal(log.committed, 0);
  let synced = false;
  files.onEffect = (operation, path) => {
    if (operation === 'sync' && path === FIRST_SEGMENT)
      synced = files.contents(path).length > SEGMENT_HEADER_BYTES;
    t.equal(log.committed, 0, `not yet after ${operation}`);
  };
  await committed(log, 1);
  t.ok(synced);
  files.onEffect = () => {};
  await log.close();
});

t.test('what is appended while a commit is under way goes with the next one, in one write', async (t) => {
  const files = new FaultyFiles();
  const log = await openLog(files);
  await write(log, 1);
  const writes: number[] = [];
  files.onEffect = (operation) => {
    if (operation !== 'write') return;
    writes.push(log.position);
    if (writes.length === 1) for (let i = 0; i < 10; i++) append(log, 1, Buffer.from('later'));
  };
  append(log, 1, Buffer.from('first'));
  await committed(log, 12);
  t.same(writes, [2, 12]);
  await log.close();
});

t.test('what was committed is there after the log was opened again, over many segments', async (t) => {
  const files = new FaultyFiles();
  const log = await openLog(files);
  for (let i = 0; i < 30; i++) await write(log, 20);
  await log.close();
  t.ok(log.segments.length > 3, 'several segments');
  const again = await openLog(files);
  t.equal(again.committed, 600);
  const { records, lost } = await readAll(again);
  t.same(lost, []);
  t.equal(records.size, 600);
  for (const [position, { body }] of records) if (body !== bodyOf(position)) t.fail(`position ${position}`);
  t.same(again.report, { losses: [], tornBytes: 0, setAside: [], headersMadeAgain: [] });
  t.equal(await write(again, 1), 601, 'and goes on');
  await again.close();
});

t.test('who wants few bytes is not read many, and gets a record at least', async (t) => {
  const log = await openLog(new FaultyFiles(), { segmentMaxBytes: 1 << 20 });
  await write(log, 200, 500);
  await write(log, 1, 300_000);
  await write(log, 1, 500);
  const seen: number[] = [];
  let reads = 0;
  for (let at = 1; at <= log.committed; reads++) {
    let bytes = 0;
    const { next } = await log.reader.read(
      at,
      Infinity,
      (position, _type, _bytes, start, end) => {
        seen.push(position);
        bytes += end - start;
      },
      20_000,
    );
    t.ok(bytes <= 20_000 + 2 * INDEX_EVERY_BYTES || next === 202, `${bytes} bytes from ${at} on`);
    at = next;
  }
  t.same(
    seen,
    Array.from({ length: 202 }, (_, n) => n + 1),
  );
  t.ok(reads >= 3);
  await log.close();
});

t.test('a record larger than a segment and than a chunk has a segment of its own', async (t) => {
  const files = new FaultyFiles();
  const log = await openLog(files);
  await write(log, 1, 2_000_000);
  await write(log, 1);
  await log.close();
  const again = await openLog(files);
  const { records } = await readAll(again);
  t.equal(records.get(1)?.body.length, 2_000_000);
  t.equal(records.get(2)?.body, bodyOf(2));
  await again.close();
});

t.test(
  'after a cut at each byte of the last commit everything before it is there, and it says what was cut',
  async (t) => {
    const files = new FaultyFiles();
    const log = await openLog(files);
    await write(log, 5);
    const before = files.contents(FIRST_SEGMENT).length;
    await write(log, 1, 30);
    await log.close();
    const whole = files.contents(FIRST_SEGMENT);
    for (let size = before; size < whole.length; size++) {
      const cut = files.copy();
      cut.overwrite(FIRST_SEGMENT, whole.subarray(0, size));
      const again = await openLog(cut);
      t.equal(again.committed, 5, `${size - before} bytes of the last record`);
      t.equal(again.report.tornBytes, size - before);
      t.same(again.report.losses, []);
      t.equal(await write(again, 1), 6);
      t.equal((await readAll(again)).records.size, 6);
      await again.close();
    }
  },
);

t.test(
  'a changed bit costs the record that it is in and no other, and is reported by its position',
  async (t) => {
    const files = new FaultyFiles();
    const log = await openLog(files, { segmentMaxBytes: 1_000_000 });
    for (let i = 0; i < 20; i++) await write(log, 1, 40);
    await log.close();
    const recordBytes = RECORD_HEADER_BYTES + 40;
    const size = SEGMENT_HEADER_BYTES + 19 * recordBytes;
    // All but the last record: that one could be one which nobody was told of.
    for (let at = SEGMENT_HEADER_BYTES; at < size; at++) {
      const damaged = files.copy();
      const bytes = damaged.contents(FIRST_SEGMENT);
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (at % 8)), at);
      const again = await openLog(damaged);
      const position = Math.floor((at - SEGMENT_HEADER_BYTES) / recordBytes) + 1;
      const [loss] = again.report.losses;
      if (again.report.losses.length !== 1 || loss?.first !== position || loss.last !== position)
        t.fail(`byte ${at}: ${JSON.stringify(again.report)}`);
      const { records, lost } = await readAll(again);
      if (lost.length !== 1 || lost[0] !== position || records.size !== 19)
        t.fail(`byte ${at}: read ${lost.join()}`);
      if ((await write(again, 1)) !== 21) t.fail('goes on after the last position');
      await again.close();
    }
    t.pass();
  },
);

t.test('damage in two places loses nothing between and behind them', async (t) => {
  const files = new FaultyFiles();
  const log = await openLog(files, { segmentMaxBytes: 1_000_000 });
  for (let i = 0; i < 20; i++) await write(log, 1, 40);
  await log.close();
  const bytes = files.contents(FIRST_SEGMENT);
  const at = (position: number): number =>
    SEGMENT_HEADER_BYTES + (position - 1) * (RECORD_HEADER_BYTES + 40) + 20;
  for (const position of [4, 5, 9]) bytes.writeUInt8(bytes.readUInt8(at(position)) ^ 1, at(position));
  const again = await openLog(files);
  t.same(
    again.report.losses.map(({ first, last }) => [first, last]),
    [
      [4, 5],
      [9, 9],
    ],
  );
  t.equal((await readAll(again)).records.size, 17);
  await again.close();
});

t.test('a damaged record of a large commit costs no record behind it, wherever a read ends', async (t) => {
  const files = new FaultyFiles();
  const log = await openLog(files, { segmentMaxBytes: 3000 });
  // Each segment is one commit: no other one begins behind the damage.
  for (let i = 0; i < 4; i++) await write(log, 40, 40);
  const [first, second] = log.segments;
  if (first === undefined || second === undefined) throw new Error('too few segments');
  await log.close();
  files.contents(second.path).writeUInt8(0xff, SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 3);
  const position = second.header.first;
  const again = await openLog(files, { segmentMaxBytes: 3000 });
  t.same((await readAll(again)).lost, [position]);
  await again.close();
  // Without its seal a segment is read when it is opened.
  files.contents(second.path).writeUInt8(0xff, files.contents(second.path).length - 2);
  const third = await openLog(files, { segmentMaxBytes: 3000 });
  t.match(third.report.losses, [{ first: position, last: position, cause: 'damaged' }]);
  const { records, lost } = await readAll(third);
  t.same([lost, records.size], [[position], 159]);
  await third.close();
});

t.test(
  'a torn commit of several records is cut, also where its later sectors made it to the disk',
  async (t) => {
    const files = new FaultyFiles();
    const log = await openLog(files, { segmentMaxBytes: 1_000_000 });
    await write(log, 3);
    const before = files.contents(FIRST_SEGMENT).length;
    await write(log, 50);
    await log.close();
    files.contents(FIRST_SEGMENT).fill(0, before + 512, before + 1024);
    const again = await openLog(files);
    t.ok(again.committed >= 3 && again.committed < 53);
    t.same(again.report.losses, [], 'nobody was told of them');
    t.ok(again.report.tornBytes > 0);
    t.equal((await readAll(again)).records.size, again.committed);
    await again.close();
  },
);

t.test('a missing segment is reported by its exact positions, and the rest is served', async (t) => {
  const files = new FaultyFiles();
  const log = await openLog(files);
  for (let i = 0; i < 30; i++) await write(log, 20);
  await log.close();
  const [, second, third] = log.segments;
  if (second === undefined || third === undefined) throw new Error('too few segments');
  files.delete(second.path);
  const again = await openLog(files);
  t.match(again.report.losses, [
    { first: second.header.first, last: third.header.first - 1, cause: 'missing' },
  ]);
  const { records, lost } = await readAll(again);
  t.equal(lost.length, third.header.first - second.header.first);
  t.equal(records.size + lost.length, 600);
  await again.close();
});

t.test('a header that is damaged is made again: the records behind it were acknowledged', async (t) => {
  for (const which of [0, 1, -1]) {
    const files = new FaultyFiles();
    const log = await openLog(files, { segmentMaxBytes: 2000 });
    for (let i = 0; i < 10; i++) await write(log, 20);
    const paths = log.segments.map(({ path }) => path);
    t.ok(paths.length > 2);
    const path = paths.at(which) as string;
    await log.close();
    files.contents(path).writeUInt8(0, 3);
    const again = await openLog(files, { segmentMaxBytes: 2000 });
    t.same(again.report, { losses: [], tornBytes: 0, setAside: [], headersMadeAgain: [path] });
    t.equal(again.committed, 200);
    await write(again, 20);
    await again.close();
    const third = await openLog(files);
    t.match([third.report, third.committed], [{ losses: [], headersMadeAgain: [] }, 220]);
    await third.close();
  }
});

t.test('a segment without header and records is set aside, not deleted', async (t) => {
  const files = new FaultyFiles();
  const log = await openLog(files);
  for (let i = 0; i < 10; i++) await write(log, 20);
  await log.close();
  files.contents(FIRST_SEGMENT).fill(0);
  const again = await openLog(files);
  t.same(again.report.setAside, [FIRST_SEGMENT]);
  t.ok(files.paths().includes(`${FIRST_SEGMENT}.bad`));
  await again.close();
});

t.test('a segment whose creation did not finish is no loss', async (t) => {
  const files = new FaultyFiles();
  const log = await openLog(files);
  await write(log, 5);
  await log.close();
  files.overwrite(`${FOLDER}/${segmentFileName(6)}`, Buffer.alloc(10));
  const again = await openLog(files);
  t.equal(again.committed, 5);
  t.same(again.report, { losses: [], tornBytes: 0, setAside: [], headersMadeAgain: [] });
  await again.close();
});

t.test('a segment of another log, or of a newer format, is refused with what to do', async (t) => {
  const files = new FaultyFiles();
  const log = await openLog(files);
  await write(log, 5);
  await log.close();
  await t.rejects(openLog(files, { identity: Buffer.alloc(16, 9) }), { code: 'STORAGE_FOREIGN' });
  const bytes = files.contents(FIRST_SEGMENT);
  bytes.writeUInt16LE(2, 8);
  const { crc32c } = await import('../../../storage/log/crc32c.js');
  bytes.writeUInt32LE(crc32c(bytes, 0, 60), 60);
  await t.rejects(openLog(files), { code: 'STORAGE_FORMAT_NEWER', message: /format 2.*up to 1/ });
});

t.test(
  'a full disk: nothing is acknowledged, the reserve is released, and it goes on when space is back',
  async (t) => {
    const files = new FaultyFiles();
    let released = 0;
    const log = await openLog(files, { releaseSpace: async () => void released++ });
    const faults: (string | undefined)[] = [];
    log.onFault = (fault) => faults.push(fault?.code);
    await write(log, 5);
    files.quotaBytes = files.usedBytes + 50;
    const position = append(log, 1, Buffer.alloc(100, '6,'));
    await new Promise((resolve) => setTimeout(resolve, 30));
    t.equal(log.committed, 5);
    t.equal(log.fault?.code, 'STORAGE_FULL');
    t.ok(released > 0);
    append(log, 1, Buffer.alloc(100, '7,'));
    files.quotaBytes = Infinity;
    await committed(log, position + 1);
    t.equal(log.fault, undefined);
    t.same(faults, ['STORAGE_FULL', undefined]);
    await log.close();
    const again = await openLog(files.crash());
    const { records, lost } = await readAll(again);
    t.same(lost, []);
    t.equal(records.size, 7);
    t.equal(records.get(6)?.body, bodyOf(6));
    await again.close();
  },
);

t.test(
  'a failed sync is not tried again: what it should have synced is written to a fresh segment',
  async (t) => {
    const files = new FaultyFiles();
    const log = await openLog(files);
    await write(log, 5);
    let failing = true;
    files.onOperation = (operation, path) => {
      if (operation !== 'sync' || !failing || path !== FIRST_SEGMENT) return;
      failing = false;
      files.loseUnsynced(path);
      throw ioError('sync', path);
    };
    const position = await write(log, 3);
    t.equal(position, 8);
    t.equal(log.segments.length, 2);
    t.equal(log.segments[1]?.header.first, 6);
    await log.close();
    const again = await openLog(files.crash());
    t.equal((await readAll(again)).records.size, 8);
    t.same(again.report.losses, []);
    await again.close();
  },
);

t.test('records that a fault left behind the last good sync do not come twice', async (t) => {
  const files = new FaultyFiles();
  const log = await openLog(files);
  await write(log, 5);
  let failing = true;
  files.onOperation = (operation, path) => {
    if (operation !== 'sync' || !failing) return;
    failing = false;
    throw ioError('sync', path);
  };
  await write(log, 3);
  await log.close();
  const again = await openLog(files);
  t.equal(again.committed, 8);
  t.equal((await readAll(again)).records.size, 8);
  await again.close();
});

t.test('a torn record that a fault left behind the last good sync is no damage', async (t) => {
  const files = new FaultyFiles();
  const log = await openLog(files);
  await write(log, 5);
  const { length } = files.contents(FIRST_SEGMENT);
  let failing = true;
  files.onOperation = (operation, path) => {
    if (operation !== 'sync' || !failing) return;
    failing = false;
    // Of what was to be synced the first record is not whole; those behind it are.
    files.contents(path).fill(0, length, length + 2);
    throw ioError('sync', path);
  };
  for (const n of [6, 7, 8]) append(log, 1, Buffer.from(bodyOf(n)));
  await committed(log, 8);
  await log.close();
  const again = await openLog(files);
  t.same(again.report.losses, []);
  t.equal((await readAll(again)).records.size, 8);
  await again.close();
});

t.test('segments below the floor are removed, the newest never', async (t) => {
  const files = new FaultyFiles();
  const log = await openLog(files);
  for (let i = 0; i < 30; i++) await write(log, 20);
  const third = log.segments[2];
  if (third === undefined) throw new Error('too few segments');
  t.ok((await log.dropBefore(third.header.first)) > 0);
  t.equal(log.segments[0], third);
  t.equal(log.reader.first, third.header.first);
  const early = await log.reader.read(1, Infinity, () => t.fail('not there any more'));
  t.equal(early.next, third.header.first);
  await log.dropBefore(10_000);
  t.equal(log.segments.length, 1);
  await write(log, 1);
  await log.close();
  const again = await openLog(files);
  t.same(again.report.losses, []);
  t.equal(again.committed, 601);
  await again.close();
});

t.test(
  'close syncs what is pending; with a disk that fails for good it gives up after a while',
  async (t) => {
    const files = new FaultyFiles();
    const log = await openLog(files);
    append(log, 1, Buffer.from('last words'));
    await log.close();
    t.equal(log.committed, 1);
    t.throws(() => log.reserve(10), /closed/);
    const broken = await openLog(files);
    files.onOperation = (operation, path) => {
      if (operation === 'write') throw ioError(operation, path);
    };
    append(broken, 1, Buffer.from('never'));
    await broken.close(20);
    t.equal(broken.committed, 1);
  },
);

t.test('errors of Node become errors of storage that say what to do', async (t) => {
  const { toStorageError } = await import('../../../storage/files/storage-error.js');
  for (const [code, expected, says] of [
    ['ENOSPC', 'STORAGE_FULL'],
    ['EDQUOT', 'STORAGE_FULL'],
    ['EROFS', 'STORAGE_READ_ONLY'],
    ['ENOENT', 'STORAGE_MISSING'],
    ['EIO', 'STORAGE_IO', /kernel log/],
    ['ENOTDIR', 'STORAGE_IO', /a part of this path is no folder/],
    ['EISDIR', 'STORAGE_IO', /it is a folder/],
  ] as const) {
    const error = toStorageError(Object.assign(new Error('x'), { code }), 'write the log');
    t.ok(error instanceof SprawlError);
    t.equal(error.code, expected);
    t.match(error.message, /^cannot write the log: /);
    if (says !== undefined) t.match(error.message, says);
  }
});
