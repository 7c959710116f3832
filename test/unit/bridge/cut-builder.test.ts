import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import t, { type Test } from 'tap';
import { type BuilderOptions, CutBuilder, type RowBatch } from '../../../bridge/archive/cut-builder.js';
import type { Cut } from '../../../bridge/archive/archiver.js';
import { hashOf } from '../../../bridge/archive/manifest-entry.js';
import { keyFault } from '../../../bridge/archive/object-store.js';
import { PARQUET_DEFAULTS } from '../../../bridge/archive/parquet-options.js';
import type { ArchiveRow } from '../../../bridge/archive/row.js';
import { FolderSpool } from '../../../bridge/archive/spool.js';
import { gatewayIdOf } from '../../../lib/contracts/gateway-id.js';

const ORIGIN = gatewayIdOf(new Uint8Array(32).fill(0xab));
const EPOCH = { counter: 3, nonce: '00000000000000aa' };
const DAY_MS = 86_400_000;
const START_MS = Date.UTC(2026, 10, 29);
const OPTIONS: BuilderOptions = {
  ...{ site: 'harbour', origin: ORIGIN, format: 'parquet', parquet: PARQUET_DEFAULTS },
  ...{ partitions: { by: 'day', topicLevels: 1 }, pendingMaxBytes: 1_000_000 },
};

function rowOf(sequence: number): ArchiveRow {
  const topic = `${'abc'[sequence % 3]}/x`;
  const payload = Buffer.from(`{"n":${sequence}}`);
  // Every seventh is of the next day.
  const timeMs = START_MS + sequence + (sequence % 7 === 0 ? DAY_MS : 0);
  return { timeMs, sequence, topic, qos: 1, retain: false, properties: undefined, payload };
}

interface Bench {
  readonly folder: string;
  readonly builder: CutBuilder;
}

function bench(t: Test, options: Partial<BuilderOptions> = {}, failsAt = Infinity): Bench {
  const folder = join(mkdtempSync(join(tmpdir(), 'sprawl-cut-')), 'spool');
  t.teardown(() => rmSync(join(folder, '..'), { recursive: true, force: true }));
  const read = async function* ({ after, upTo }: Cut): AsyncGenerator<RowBatch> {
    for (let first = after + 1; first <= upTo; first += 7) {
      await Promise.resolve();
      if (first > failsAt) throw new Error('EIO');
      const positions = Array.from({ length: Math.min(7, upTo - first + 1) }, (_, n) => first + n);
      yield {
        rows: positions.filter((position) => position % 5 !== 0).map(rowOf),
        lost: first === after + 1 ? [[first, first]] : [],
      };
    }
  };
  return {
    folder,
    builder: new CutBuilder({ spool: new FolderSpool(folder), read }, { ...OPTIONS, ...options }),
  };
}

const CUT = { epoch: EPOCH, after: 100, upTo: 400, config: 'c', atMs: 0 };
const EXPECTED = Array.from({ length: 300 }, (_, n) => 101 + n).filter((position) => position % 5 !== 0);

t.test('an object for each partition, with all rows and what it is said to be', async (t) => {
  for (const pendingMaxBytes of [1_000_000, 3000]) {
    const { builder, folder } = bench(t, { pendingMaxBytes });
    const { objects, lost, dispose } = await builder.build(CUT);
    t.same(lost, [[101, 101]]);
    t.same(
      objects.map(({ key }) => key.replace(/\/[^/]*$/, '')),
      ['29', '30'].flatMap((day) =>
        ['a', 'b', 'c'].map((topic) => `data/date=2026-11-${day}/prefix=${topic}`),
      ),
    );
    t.equal(readdirSync(folder).length, 6);
    const found: number[] = [];
    for (const { key, body, length, rows, sha256 } of objects) {
      t.equal(keyFault(key), undefined);
      const bytes = await body.read(0, length);
      t.equal(hashOf(bytes), sha256);
      t.equal(body.length, length);
      const read = await parquetReadObjects({ file: Uint8Array.from(bytes).buffer });
      t.equal(read.length, rows);
      found.push(...read.map(({ sequence }) => Number(sequence)));
    }
    t.same(
      found.sort((a, b) => a - b),
      EXPECTED,
    );
    await dispose();
    t.same(readdirSync(folder), []);
  }
});

t.test('the same rows make the same objects', async (t) => {
  const built = await Promise.all([bench(t), bench(t)].map(({ builder }) => builder.build(CUT)));
  const [one, other] = built.map(({ objects }) => objects.map(({ key, sha256 }) => `${key} ${sha256}`));
  t.same(one, other);
});

t.test('lines of JSON, by hours, without topics', async (t) => {
  const { builder } = bench(t, {
    format: 'ndjson',
    partitions: { by: 'hour', topicLevels: 0 },
    pendingMaxBytes: 500,
  });
  const { objects } = await builder.build({ ...CUT, upTo: 120 });
  t.match(
    objects.map(({ key }) => key),
    [
      /^data\/date=2026-11-29\/hour=00\/abababababababab-3-101-118-\w{8}\.ndjson$/,
      /^data\/date=2026-11-30\/hour=00\/abababababababab-3-112-119-\w{8}\.ndjson$/,
    ],
  );
  const text = Buffer.from((await objects[0]?.body.read(0, objects[0].length)) ?? []).toString();
  t.equal(text.trimEnd().split('\n').length, 14);
});

t.test('a cut without rows has no objects, and a log that fails leaves nothing', async (t) => {
  const empty = bench(t);
  t.same((await empty.builder.build({ ...CUT, upTo: 100 })).objects, []);
  const failing = bench(t, {}, 200);
  await t.rejects(failing.builder.build(CUT), { message: 'EIO' });
  t.same(readdirSync(failing.folder), []);
});

t.test('what an earlier process left in the spool goes', async (t) => {
  const { folder } = bench(t);
  writeFileSync(join(folder, 'left'), 'half');
  const file = new FolderSpool(folder).create();
  t.equal(readdirSync(folder).length, 1);
  file.append(Buffer.from('abc'));
  const { body } = await file.finish();
  t.equal(Buffer.from(await body.read(1, 2)).toString(), 'bc');
  await t.rejects(body.read(1, 9), { message: /ends at 3/ });
});
