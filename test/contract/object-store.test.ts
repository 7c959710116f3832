import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { FileObjectStore } from '../../bridge/archive/file-object-store.js';
import { keyFault, type ObjectStore } from '../../bridge/archive/object-store.js';
import { S3ObjectStore, type S3Options } from '../../bridge/archive/s3-object-store.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { S3Server, type S3ServerOptions } from '../support/s3-server.js';
import { objectStoreContract } from './object-store-contract.js';

async function s3(t: Test, options: S3ServerOptions, more: Partial<S3Options> = {}): Promise<ObjectStore> {
  const server = new S3Server(options);
  await server.listen();
  const store = new S3ObjectStore({
    ...{ bucket: 'bucket', prefix: 'plant/one', region: 'eu-central-1', endpoint: server.endpoint },
    ...{ pathStyle: true, timeoutMs: 10_000, partBytes: 1_000_000 },
    credentials: { accessKeyId: 'AKTEST', secretAccessKey: 'very secret' },
    ...more,
  });
  t.teardown(async () => {
    store.close();
    await server.close();
  });
  return store;
}

const STORES: Readonly<Record<string, (t: Test) => ObjectStore | Promise<ObjectStore>>> = {
  memory: () => new MemoryObjectStore(),
  's3, listed in small pages': (t) => s3(t, { pageMaxKeys: 3 }),
  's3 without a prefix': (t) => s3(t, {}, { prefix: '' }),
  's3 with versions': (t) => s3(t, { versioning: 'Enabled' }),
  files: (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sprawl-objects-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    return new FileObjectStore(join(folder, 'archive'));
  },
};

for (const [name, make] of Object.entries(STORES)) objectStoreContract(t, name, make);

t.test('what is wrong with a key is said', async (t) => {
  t.equal(keyFault('archive/v1/date=2026-11-29/a%20b.parquet'), undefined);
  t.match(keyFault('a/b c'), '"b c" in it is no name');
  t.match(keyFault(`a/${'x'.repeat(201)}`), 'a name in it has 201 characters, at most 200');
  t.match(keyFault('a/'.repeat(600)), 'it has 1200 characters, at most 1024');
});
