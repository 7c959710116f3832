import t from 'tap';
import { objectKey, partitionOf } from '../../../bridge/archive/object-key.js';
import { keyFault } from '../../../bridge/archive/object-store.js';
import { gatewayIdOf } from '../../../lib/contracts/gateway-id.js';

const TIME_MS = Date.UTC(2026, 10, 29, 23, 59, 59, 999);
const ORIGIN = gatewayIdOf(new Uint8Array(32).fill(0xab));

t.test('a day or an hour, and the first levels of the topic', async (t) => {
  const of = (by: 'day' | 'hour', topicLevels: number, topic: string): string =>
    partitionOf({ by, topicLevels }, TIME_MS, topic);
  t.equal(of('day', 0, 'a/b/c'), 'date=2026-11-29');
  t.equal(of('hour', 1, 'a/b/c'), 'date=2026-11-29/hour=23/prefix=a');
  t.equal(of('day', 2, 'a/b/c'), 'date=2026-11-29/prefix=a%2Fb');
  t.equal(of('day', 3, 'a/b/c'), 'date=2026-11-29/prefix=a%2Fb%2Fc');
  t.equal(of('day', 9, 'a/b/c'), 'date=2026-11-29/prefix=a%2Fb%2Fc');
  t.equal(of('day', 1, '/b'), 'date=2026-11-29/prefix=__HIVE_DEFAULT_PARTITION__');
  t.equal(of('day', 2, '/b'), 'date=2026-11-29/prefix=%2Fb');
  t.equal(of('day', 1, 'ü=.(x)'), 'date=2026-11-29/prefix=%C3%BC%3D%2E%28x%29');
});

t.test('whatever a topic is, its key can be used everywhere, and topics are told apart', async (t) => {
  const topics = [
    '',
    '..',
    '.',
    'a b',
    '😀'.repeat(100),
    `${'x'.repeat(65_000)}1`,
    `${'x'.repeat(65_000)}2`,
    '\u0001',
    '%',
    '~',
  ];
  for (let length = 90; length < 130; length++) topics.push(`${'y'.repeat(length)}ü`);
  const keys = topics.map((topic) =>
    objectKey(partitionOf({ by: 'hour', topicLevels: 1 }, TIME_MS, topic), {
      ...{ origin: ORIGIN, epoch: 3, first: 10, last: 20, sha256: '0123456789abcdef', format: 'parquet' },
    }),
  );
  t.equal(new Set(keys).size, topics.length);
  for (const key of keys) t.equal(keyFault(key), undefined, key.slice(0, 200));
  t.match(
    keys[3],
    /^data\/date=2026-11-29\/hour=23\/prefix=a%20b\/abababababababab-3-10-20-01234567\.parquet$/,
  );
  for (const key of keys) t.doesNotThrow(() => decodeURIComponent(key.replace(/~\w+\//, '/')));
});
