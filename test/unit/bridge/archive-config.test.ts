import t from 'tap';
import {
  type ArchiveConfig,
  encodeConfig,
  fingerprintOf,
  keepConfig,
  readConfig,
} from '../../../bridge/archive/archive-config.js';
import { bodyOf } from '../../../bridge/archive/object-store.js';
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import { MemoryObjectStore } from '../../support/memory-object-store.js';

const ORIGIN = 'ab'.repeat(32) as GatewayId;
const CONFIG: ArchiveConfig = {
  topics: ['site/#', 'door/+'],
  format: 'parquet',
  compression: 'snappy',
  partitions: { by: 'day', topicLevels: 1 },
  columns: [{ name: 'celsius', path: ['sensor', 'celsius'], type: 'double' }],
  site: 'harbour',
};

const keyOf = (fingerprint: string): string => `manifest/${ORIGIN}/configs/${fingerprint}.json`;

t.test('what a gateway archives is in its archive under the name that entries have', async (t) => {
  const objects = new MemoryObjectStore();
  await keepConfig(objects, ORIGIN, CONFIG);
  await keepConfig(objects, ORIGIN, CONFIG);
  const config = fingerprintOf(CONFIG);
  t.match(config, /^[0-9a-f]{16}$/);
  t.same(await readConfig(objects, ORIGIN, { config, number: 1 }), CONFIG);
  t.equal(await readConfig(objects, ORIGIN, { config: '0'.repeat(16), number: 1 }), undefined);
});

t.test('whatever decides about rows has another fingerprint', async (t) => {
  const others: readonly Partial<ArchiveConfig>[] = [
    { topics: ['site/#'] },
    { format: 'ndjson' },
    { compression: 'none' },
    { partitions: { by: 'hour', topicLevels: 1 } },
    { partitions: { by: 'day', topicLevels: 2 } },
    { columns: [] },
    { site: 'depot' },
  ];
  const names = others.map((other) => fingerprintOf({ ...CONFIG, ...other }));
  t.equal(new Set([...names, fingerprintOf(CONFIG)]).size, others.length + 1);
});

t.test('a configuration that is not what was written is not believed', async (t) => {
  const text = Buffer.from(encodeConfig(CONFIG)).toString('utf8');
  const bad = [
    'no JSON',
    '[]',
    text.replace('"format":1', '"format":2'),
    text.replace('harbour', 'harbor'),
    text.replace('"by":"day"', '"by":"week"'),
    text.replace('"topicLevels":1', '"topicLevels":-1'),
    text.replace('"site/#"', '7'),
    text.replace('"parquet"', '"csv"'),
    text.replace('"snappy"', '"gzip"'),
    text.replace('"double"', '"float"'),
    text.replace('"harbour"', '3'),
    text.replace('"partitions":{', '"partitions":7,"x":{'),
  ];
  for (const changed of bad) {
    const objects = new MemoryObjectStore();
    const config = fingerprintOf(CONFIG);
    await objects.create(keyOf(config), bodyOf(Buffer.from(changed)));
    await t.rejects(
      readConfig(objects, ORIGIN, { config, number: 7 }),
      { message: /entry 7 .* was made with configuration [0-9a-f]{16}, which was changed/ },
      changed,
    );
  }
});
