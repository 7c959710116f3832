/**
 * What archives need of a store, against real ones of others: MinIO (SPRAWL_MINIO, or `minio` on PATH) and SeaweedFS (SPRAWL_WEED, or
 * `weed`).
 */
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import {
  CreateMultipartUploadCommand,
  GetBucketLifecycleConfigurationCommand,
  type LifecycleRule,
  PutBucketLifecycleConfigurationCommand,
  PutBucketVersioningCommand,
} from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { bodyOf } from '../../bridge/archive/object-store.js';
import { S3ObjectStore } from '../../bridge/archive/s3-object-store.js';
import { objectStoreContract } from '../contract/object-store-contract.js';
import { runHere } from '../integration/cli-in-process.js';
import { parseConfig } from '../../lib/config/index.js';
import type { ArchiveStatus } from '../../lib/contracts/archive-status.js';
import { createGateway } from '../../lib/gateway.js';
import { ArchiveWorld, rowsOf } from '../support/archive-world.js';
import { nullLogger } from '../support/null-logger.js';
import { RawClient } from '../support/raw-client.js';
import {
  BUCKET,
  CREDENTIALS,
  MINIO,
  type PeerKind,
  REGION,
  type S3Peer,
  SEAWEEDFS,
  startPeer,
  versionOf,
  withoutPeer,
} from './s3-peer.js';

const MIB = 1024 * 1024;
let prefixCount = 0;

function storeOf(t: Test, { endpoint }: S3Peer, prefix = `archive-${++prefixCount}`): S3ObjectStore {
  const store = new S3ObjectStore({
    ...{ bucket: BUCKET, prefix, region: REGION, endpoint, pathStyle: true, credentials: CREDENTIALS },
    ...{ timeoutMs: 20_000, partBytes: 5 * MIB },
  });
  t.teardown(() => store.close());
  return store;
}

t.setTimeout(110_000);
for (const kind of [MINIO, SEAWEEDFS]) {
  const skip = withoutPeer(kind);
  if (skip !== false) {
    t.test(`archives in ${kind.title}`, { skip }, async () => undefined);
    continue;
  }
  t.test(`archives in ${kind.title}`, async (t) => {
    t.comment(versionOf(kind));
    const peer = await startPeer(kind);
    t.teardown(() => peer.stop());
    objectStoreContract(t, kind.title, (t) => storeOf(t, peer));
    t.test('a large object goes in parts, and once', (t) => inParts(t, peer));
    t.test('what is archived is there, and is proven to be', (t) => archived(t, peer));
    t.test('a gateway archives', (t) => gateway(t, peer));
    t.test('rules are set and shown', (t) => lifecycle(t, peer, kind));
  });
}

async function inParts(t: Test, peer: S3Peer): Promise<void> {
  const store = storeOf(t, peer);
  const bytes = Buffer.alloc(11 * MIB, 'in parts ');
  t.equal(await store.create('large', bodyOf(bytes)), true);
  t.equal(await store.create('large', bodyOf(Buffer.alloc(11 * MIB))), false, 'CompleteMultipartUpload');
  t.ok(bytes.equals((await store.read('large')) ?? Buffer.alloc(0)));
  const came = await Promise.all(
    Array.from({ length: 4 }, (_, n) => store.create('race', bodyOf(Buffer.alloc(6 * MIB, `${n}`)))),
  );
  t.equal(came.filter(Boolean).length, 1);
  t.equal((await store.read('race', { offset: 0, length: 1 }))?.[0], `${came.indexOf(true)}`.charCodeAt(0));
}

/** What runs a command on the archive with this prefix. */
function commandOn(t: Test, { endpoint }: S3Peer, prefix: string) {
  const before = { ...process.env };
  const { accessKeyId, secretAccessKey } = CREDENTIALS;
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
  t.teardown(() => {
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) delete process.env[name];
    Object.assign(process.env, before);
  });
  const at = [
    ...['--target', `s3://${BUCKET}/${prefix}`, '--set', `archive.s3.endpoint=${endpoint}`],
    ...['--set', `archive.s3.region=${REGION}`],
  ];
  return (...args: string[]) => runHere(['archive', ...args, ...at]);
}

async function archived(t: Test, peer: S3Peer): Promise<void> {
  const prefix = 'plant/edge';
  const world = new ArchiveWorld(t, storeOf(t, peer, prefix));
  for (let n = 0; n < 20; n++) await world.cut(9 * (n + 1), rowsOf(9 * n + 1, 9 * (n + 1)));
  const run = commandOn(t, peer, prefix);
  t.match(await run('verify', '--deep'), { code: 0, out: /\ncomplete: every row/ });
  t.match(await run('cat', '--payload-only'), { code: 0, out: /^(\{"n":\d+\}\n){180}$/ });
}

async function gateway(t: Test, peer: S3Peer): Promise<void> {
  const prefix = 'gateway';
  const run = commandOn(t, peer, prefix);
  const config = parseConfig({
    overrides: {
      ...{ dataDir: join(t.testdir(), 'data'), listeners: { mqttPort: 0, wsPort: false }, http: { port: 0 } },
      archive: {
        ...{ topics: ['site/#'], fileMaxAgeS: 1, target: `s3://${BUCKET}/${prefix}` },
        s3: { endpoint: peer.endpoint, region: REGION },
      },
    },
  });
  const running = await createGateway({ config, logger: nullLogger });
  await running.start();
  t.teardown(() => running.stop({ drainTimeoutMs: 0 }));
  const client = await RawClient.connect(t, running.addresses['mqtt']?.port ?? 0, { version: 5 });
  for (let n = 1; n <= 100; n++) await client.publish('site/a', `{"n":${n}}`, { qos: 1 });
  await client.disconnect();
  const url = `http://127.0.0.1:${running.addresses['http']?.port ?? 0}/api/v1/archive`;
  const ask = async (): Promise<ArchiveStatus> => (await (await fetch(url)).json()) as ArchiveStatus;
  while ((await ask()).rows < 100) await elapse(100);
  t.match(await run('verify', '--deep'), { code: 0, out: /\ncomplete: every row/ });
  t.match(await run('cat', '--payload-only'), { out: /^(\{"n":\d+\}\n){100}$/ });
}

/** Of somebody else. */
const THEIRS: LifecycleRule = {
  ...{ ID: 'theirs', Status: 'Enabled', Expiration: { Days: 3 } },
  Filter: { And: { Prefix: 'other/', Tags: [{ Key: 'k', Value: 'a & b' }] } },
};

async function lifecycle(t: Test, peer: S3Peer, kind: PeerKind): Promise<void> {
  const prefix = 'rules';
  const run = commandOn(t, peer, prefix);
  t.match(await run('lifecycle', 'check'), { code: 1, out: /\nmissing: no rule aborts/ });
  await peer.client.send(
    new PutBucketLifecycleConfigurationCommand({
      Bucket: BUCKET,
      LifecycleConfiguration: { Rules: [THEIRS] },
    }),
  );
  const Key = `${prefix}/data/never-finished`;
  await peer.client.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key }));
  const { abortsUploads } = kind;
  if (abortsUploads)
    t.match(await run('lifecycle', 'set'), { code: 1, err: /HTTP 400.*try with --abort-uploads-days 0\n/ });
  const byItself = abortsUploads ? ['--abort-uploads-days', '0'] : [];
  const set = await run('lifecycle', 'set', '--expire-days', '400', '--yes', ...byItself);
  t.match(set, { code: 0, err: '' });
  const shown = await run('lifecycle');
  t.match(shown, { code: 0, out: /sprawl-edge-expire-\w+: .*removed after 400 days/ });
  if (!abortsUploads) {
    t.match(shown.out, /sprawl-edge-abort-uploads-\w+: .*unfinished uploads aborted after 7 days/);
    t.match(shown.out, /\n1 uploads are not finished\n  data\/never-finished: begun \d+ s ago\n/);
  }
  const { Rules = [] } = await peer.client.send(
    new GetBucketLifecycleConfigurationCommand({ Bucket: BUCKET }),
  );
  t.match(
    Rules.find(({ ID }) => ID === 'theirs'),
    THEIRS,
    'what is of others is as it was',
  );
  t.match(await run('lifecycle', 'check', '--abort-older-than', '0', ...byItself), {
    code: 0,
    out: /\n0 uploads are not/,
  });
  await peer.client.send(
    new PutBucketVersioningCommand({ Bucket: BUCKET, VersioningConfiguration: { Status: 'Enabled' } }),
  );
  t.match(await run('lifecycle', 'check', ...byItself), {
    code: 1,
    out: /\nmissing: the bucket has versions/,
  });
  t.match(await run('lifecycle', 'set', '--expire-noncurrent-days', '30', ...byItself), { code: 0, err: '' });
  t.match(await run('lifecycle', 'check', ...byItself), {
    code: 0,
    out: /\nnothing is dangerous, and nothing is missing/,
  });
}
