/** An archive in a bucket that keeps what is removed: what is gone can come back, and what is removed can be made again. */
import { DeleteObjectCommand, S3Client } from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { entryKey } from '../../../bridge/archive/manifest.js';
import { mergeKey } from '../../../bridge/archive/merges.js';
import { bodyOf } from '../../../bridge/archive/object-store.js';
import { Catalog } from '../../../bridge/archive/reading/catalog.js';
import { S3ObjectStore } from '../../../bridge/archive/s3-object-store.js';
import { type MasterKey, parseKeyFile } from '../../../lib/contracts/master-key.js';
import { ArchiveWorld, ORIGIN, rowsOf } from '../../support/archive-world.js';
import { compact, GRACE_MS, NOW_MS, rowTexts, verify } from '../../support/compaction-world.js';
import { S3Server } from '../../support/s3-server.js';

const KEYS: readonly MasterKey[] = parseKeyFile(Buffer.alloc(32, 1).toString('hex'), 'keys', 'archive');
const CREDENTIALS = { accessKeyId: 'AKTEST', secretAccessKey: 'very secret' };
const WAY_BACK =
  /it was removed, and the bucket keeps versions: "aws s3api delete-object --bucket bucket --key '([^']+)' --version-id (\w+)" takes the delete marker away, and it is back$/;

interface Bench {
  readonly server: S3Server;
  readonly store: S3ObjectStore;
  /** What the text says. */
  bringBack(text: string | undefined): Promise<void>;
}

async function bench(t: Test): Promise<Bench> {
  const server = new S3Server({ versioning: 'Enabled' });
  await server.listen();
  const where = { region: 'eu-central-1', endpoint: server.endpoint, credentials: CREDENTIALS };
  const store = new S3ObjectStore(
    { ...where, bucket: 'bucket', prefix: 'plant', pathStyle: true, timeoutMs: 5000, partBytes: 1_000_000 },
    KEYS,
  );
  const client = new S3Client({ ...where, forcePathStyle: true });
  t.teardown(async () => {
    store.close();
    client.destroy();
    await server.close();
  });
  const world = new ArchiveWorld(t, store);
  await world.cut(10, rowsOf(1, 10, { topic: 'site/a' }));
  await world.cut(20, rowsOf(11, 20, { topic: 'site/a' }));
  await world.cut(30, rowsOf(21, 30, { topic: 'site/a' }));
  const bringBack = async (text: string | undefined): Promise<void> => {
    const [, Key, VersionId] = WAY_BACK.exec(text ?? '') ?? [];
    await client.send(new DeleteObjectCommand({ Bucket: 'bucket', Key, VersionId }));
  };
  return { server, store, bringBack };
}

const dataKeys = ({ server }: Bench): string[] =>
  [...server.objects.keys()].filter((key) => key.startsWith('plant/data/')).map((key) => key.slice(6));

t.test('what has a delete marker is missing, and verify says how it comes back', async (t) => {
  const made = await bench(t);
  const { store, bringBack } = made;
  const rows = await rowTexts(store);
  const [data = ''] = dataKeys(made);
  for (const [key, kind] of [
    [data, 'object'],
    [entryKey(ORIGIN, 2), 'manifest'],
  ] as const) {
    await store.remove(key);
    for (const isDeep of [false, true]) {
      const fault = (await verify(store, isDeep)).faults.find((text) =>
        text.startsWith(`${kind} ${key}: is missing`),
      );
      t.match(fault, WAY_BACK);
      if (isDeep) await bringBack(fault);
    }
    t.match(await verify(store), { faults: [], notes: [] });
  }
  await store.remove(data);
  await t.rejects(rowTexts(store), { name: 'ObjectDamage', message: WAY_BACK });
  await bringBack(await store.wayBack(data));
  t.same(await rowTexts(store), rows);
});

t.test('a merge that has a delete marker is named, too', async (t) => {
  const { store, bringBack } = await bench(t);
  await compact(store, NOW_MS);
  const world = new ArchiveWorld(t, store);
  for await (const { upTo } of world.manifest.read()) if (upTo < 0) break;
  await world.cut(40, rowsOf(31, 40, { topic: 'site/a' }));
  await compact(store, NOW_MS);
  await store.remove(mergeKey(ORIGIN, 1));
  const fault = (await verify(store)).faults.find((text) => text.includes(mergeKey(ORIGIN, 1)));
  await bringBack(fault);
  t.match(await verify(store), { faults: [] });
});

t.test('what compacting removed stays as a version, and can be made again under its name', async (t) => {
  const made = await bench(t);
  const { server, store } = made;
  const [old = ''] = dataKeys(made);
  const bytes = Buffer.from(server.objects.get(`plant/${old}`) ?? []);
  const rows = await rowTexts(store);
  await compact(store, NOW_MS);
  await compact(store, NOW_MS + GRACE_MS);
  t.equal(dataKeys(made).length, 1);
  t.match(await verify(store), { faults: [], notes: [] });
  const kept = server.versions.get(`plant/${old}`) ?? [];
  t.same(
    kept.map(({ body }) => body?.equals(bytes)),
    [true, undefined],
    'and a marker',
  );
  t.match(await store.wayBack(old), WAY_BACK);
  // As a gateway of before the merge would.
  t.equal(await store.create(old, bodyOf(bytes)), true);
  t.equal(await store.create(old, bodyOf(bytes)), false);
  t.equal(await store.wayBack(old), undefined, 'it is there');
  t.match((await verify(store)).notes, [/^replaced /]);
  await compact(store, NOW_MS + GRACE_MS);
  t.same(dataKeys(made).includes(old), false);
  t.same(await rowTexts(store), rows);
});

t.test('what was never there has no way back, and a store that does not answer says so', async (t) => {
  const { server, store } = await bench(t);
  t.equal(await store.wayBack('data/none'), undefined);
  server.fault = () => ({ kind: 'answer', status: 403, code: 'AccessDenied' });
  await t.rejects(store.wayBack('data/none'), { name: 'ObjectFault', kind: 'denied' });
});

t.test('the key of an object is in its metadata, whether it goes in parts or not', async (t) => {
  const { server, store } = await bench(t);
  const metadata = { 'sprawl-key-id': 'abc' };
  await store.create('small', { ...bodyOf(Buffer.alloc(10)), metadata });
  await store.create('large', { ...bodyOf(Buffer.alloc(2_500_000)), metadata });
  for (const key of ['small', 'large'])
    t.same(server.metadata.get(`plant/${key}`), { 'x-amz-meta-sprawl-key-id': 'abc' });
  for await (const { object } of new Catalog(store).objects())
    t.same(server.metadata.get(`plant/${object.key}`), { 'x-amz-meta-sprawl-key-id': KEYS[0]?.id });
  t.equal(server.metadata.get(`plant/${entryKey(ORIGIN, 1)}`), undefined, 'a manifest is not encrypted');
});
