import t from 'tap';
import { parseConfig } from '../../../lib/config/index.js';
import { parseColumn, parseHours } from '../../../lib/config/schema-archive.js';

const machine = {
  memoryTotalBytes: 2 ** 30,
  openFilesMax: 100_000,
  heapMaxBytes: 2 ** 32,
  diskTotalBytes: () => 2 ** 35,
};
const parse = (overrides: unknown): ReturnType<typeof parseConfig> => parseConfig({ machine, overrides });

t.test('without topics there is no archive; its folder would be in the data folder', async (t) => {
  const { archive, limits } = parse({ dataDir: '/var/lib/sprawl edge' });
  t.same(archive.topics, []);
  t.equal(archive.target, 'file:///var/lib/sprawl%20edge/archive');
  t.equal(archive.backlogMaxBytes, Math.floor(limits.diskMaxBytes / 2));
  t.match(archive, { format: 'parquet', partitionBy: 'day', whenFull: 'refuse', fileMaxAgeS: 900 });
});

t.test('a target is a folder or a bucket', async (t) => {
  for (const target of ['file:///srv/archive', 'file:///a b', 's3://my-bucket', 's3://b.c.d/a/b/c'])
    t.equal(parse({ archive: { target } }).archive.target, target);
  for (const target of ['', '/srv', 'file://srv', 'file:///a?b', 's3://', 's3://B', 's3:/b', 'https://b'])
    t.throws(() => parse({ archive: { target } }), { code: 'CONFIG_INVALID', message: /^archive\.target: / });
  t.throws(() => parse({ archive: { s3: { endpoint: 'minio:9000' } } }), { message: /http or https URL/ });
});

t.test('columns and hours are what they look like', async (t) => {
  t.same(parseColumn('temperature=sensor.values.0:double'), {
    ...{ name: 'temperature', path: ['sensor', 'values', '0'], type: 'double' },
  });
  t.same(parseHours('22:00-06:30'), { from: 1320, to: 390 });
  for (const text of ['a', 'a=b', 'a=b:float', '1=b:double', '=b:double', 'a=:double'])
    t.throws(() => parse({ archive: { columns: [text] } }), {
      message: /columns\[0\]: ".*" is not NAME=PATH:TYPE/,
    });
  t.throws(() => parse({ archive: { columns: ['topic=t:text'] } }), {
    message: /a column that every row has/,
  });
  for (const text of ['', '22-06', '24:00-01:00', '9:00-10:00'])
    t.throws(() => parse({ archive: { uploadHours: [text] } }), {
      message: /\[0\]: ".*" is not HH:MM-HH:MM/,
    });
});

t.test('keys of the archive that contradict others are quoted', async (t) => {
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, RegExp])[] = [
    [{ archive: { topics: ['#'] }, storage: { durability: 'memory' } }, /needs storage\.durability: disk/],
    [{ archive: { topics: ['#'], backlogMaxBytes: 2 ** 39 } }, /backlogMaxBytes: \d+ is more than limits/],
    [{ archive: { standbyFor: ['*'] } }, /standbyFor needs archive\.topics/],
    [
      { archive: { topics: ['a'], standbyFor: ['*'], target: 'mesh' } },
      /standbyFor needs the archive itself, and archive\.target is mesh/,
    ],
    [{ archive: { topics: ['#'], columns: ['a=b:text', 'a=c:text'] } }, /"a" names two columns/],
  ];
  for (const [overrides, message] of cases)
    t.throws(() => parse(overrides), { code: 'CONFIG_INVALID', message });
  t.doesNotThrow(() =>
    parse({ storage: { durability: 'memory' }, archive: { columns: ['a=b:text', 'a=c:text'] } }),
  );
});
