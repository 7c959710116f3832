/** `archive lifecycle` on a small S3 server. */
import t, { type Test } from 'tap';
import { S3Server, type S3ServerOptions } from '../support/s3-server.js';
import { runHere } from './cli-in-process.js';
import type { Ended } from './cli-process.js';

const THEIRS =
  '<Rule><ID>theirs</ID><Filter><And><Prefix>plant/</Prefix><Tag><Key>k</Key><Value>a &amp; b</Value></Tag></And></Filter><Status>Enabled</Status><Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration></Rule>';
const ELSEWHERE =
  '<Rule><ID>elsewhere</ID><Filter><Prefix>other/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>';
const rules = (...all: string[]): string =>
  `<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${all.join('')}</LifecycleConfiguration>`;
const EXPIRY =
  '<Rule><ID>tidy</ID><Prefix></Prefix><Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>';

interface Bucket {
  readonly server: S3Server;
  run(...args: string[]): Promise<Ended>;
}

async function bucket(t: Test, options: S3ServerOptions = {}): Promise<Bucket> {
  const server = new S3Server(options);
  await server.listen();
  const before = { ...process.env };
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'AKTEST', AWS_SECRET_ACCESS_KEY: 'very secret' });
  t.teardown(async () => {
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) delete process.env[name];
    Object.assign(process.env, before);
    await server.close();
  });
  const at = [
    ...['--target', 's3://bucket/plant', '--set', `archive.s3.endpoint=${server.endpoint}`],
    ...['--set', 'archive.s3.region=eu-central-1'],
  ];
  return { server, run: (...args) => runHere(['archive', 'lifecycle', ...args, ...at]) };
}

t.test('show tells the rules that are about the archive, in words', async (t) => {
  const { server, run } = await bucket(t);
  t.match(await run(), {
    ...{ code: 0, err: '' },
    out: /^s3:\/\/bucket\/plant: the bucket has no versions.*\n0 of 0 rules are about it\n0 uploads are not finished\n$/,
  });
  server.lifecycle = rules(THEIRS, ELSEWHERE);
  const { code, out } = await run('show');
  t.equal(code, 0);
  t.match(out, '\n1 of 2 rules are about it\n');
  t.match(out, '\n  theirs: keys that begin with plant/, with the tag k=a & b: removed on 2030-01-01\n');
  t.match(JSON.parse((await run('--json')).out), {
    ...{ target: 's3://bucket/plant', versioning: 'off', uploads: [], aborted: [] },
    rules: [{ id: 'theirs', expires: { onDay: '2030-01-01' } }],
  });
});

t.test('check ends with 1 where something is dangerous or missing, and set makes it right', async (t) => {
  const { server, run } = await bucket(t, { versioning: 'Enabled' });
  t.match(await run('check'), {
    code: 1,
    out: /^missing: no rule aborts.*\nmissing: the bucket has versions/m,
  });
  t.match(await run('set', '--expire-noncurrent-days', '30'), {
    code: 0,
    out: /2 rules were set, 0 of others.*\n  sprawl-edge-abort-uploads-\w{8}: keys that begin with plant\/: unfinished uploads aborted after 7 days\n  sprawl-edge-expire-noncurrent-\w{8}: keys that begin with plant\/: versions .* removed after 30 days\n$/,
  });
  t.match(await run('check'), { code: 0, out: /\nnothing is dangerous, and nothing is missing\n$/ });
  server.lifecycle = server.lifecycle?.replace('</LifecycleConfiguration>', `${EXPIRY}$&`);
  const dangerous = await run('check', '--keep-days', '31');
  t.equal(dangerous.code, 1);
  t.match(dangerous.out, /^danger: the rule tidy removes manifests after 30 days;/m);
  t.match(
    dangerous.out,
    /^danger: the rule tidy removes archived data after 30 days; it has to stay for 31 /m,
  );
  const { findings } = JSON.parse((await run('check', '--json')).out) as { findings: unknown };
  t.match(findings, [{ code: 'manifest-expires', verdict: 'danger', rule: 'tidy' }, { verdict: 'warning' }]);
});

t.test('a warning alone is no failure', async (t) => {
  const { server, run } = await bucket(t);
  await run('set');
  const data = EXPIRY.replace('<Prefix></Prefix>', '<Filter><Prefix>plant/data/</Prefix></Filter>');
  server.lifecycle = server.lifecycle?.replace('</LifecycleConfiguration>', `${data}$&`);
  t.match(await run('check'), { code: 0, out: /^warning: the rule tidy removes archived data/m });
});

t.test('a store that aborts uploads by itself needs no rule for that, and may take none', async (t) => {
  const { server, run } = await bucket(t);
  const refuse = { kind: 'answer', status: 400, code: 'InvalidArgument' } as const;
  server.fault = (method) => (method === 'PUT' ? refuse : undefined);
  t.match(await run('set'), {
    code: 1,
    err: /InvalidArgument.*HTTP 400.*try with --abort-uploads-days 0\n$/,
  });
  server.fault = () => undefined;
  t.match(await run('set', '--abort-uploads-days', '0', '--transition', 'GLACIER_IR:90'), {
    code: 0,
    out: /: 1 rules were set, 0 of others are as they were\n  sprawl-edge-transition-.*\n$/,
  });
  t.match(await run('check'), { code: 1, out: /\nmissing: no rule aborts .*--abort-uploads-days 0/ });
  t.match(await run('check', '--abort-uploads-days', '0'), { code: 0, out: /\nnothing is dangerous/ });
  t.match(await run('check', '--abort-uploads-days', '7'), {
    code: 2,
    err: /is 0 or not there for check; not 7/,
  });
  t.match(await run('set', '--abort-uploads-days', '0'), { code: 2, err: /leaves no rule to be set: say/ });
});

t.test('set leaves the rules of others as they are, and takes back its own', async (t) => {
  const { server, run } = await bucket(t);
  server.lifecycle = rules(THEIRS, ELSEWHERE);
  server.minimumSize = 'varies_by_storage_class';
  const all = ['--transition', 'GLACIER_IR:90', '--expire-days', '400', '--abort-uploads-days', '3'];
  t.match(await run('set', ...all, '--yes'), {
    code: 0,
    out: /3 rules were set, 2 of others are as they were[^]*\nwarning: the rule sprawl-edge-expire-\w+ removes archived data after 400 days; "archive verify" then names it as missing/,
  });
  t.equal(server.minimumSize, 'varies_by_storage_class');
  for (const part of [
    '<Filter><And><Prefix>plant/</Prefix><Tag><Key>k</Key><Value>a &amp; b</Value></Tag></And></Filter>',
    '<Date>2030-01-01T00:00:00Z</Date>',
    '<Filter><Prefix>other/</Prefix></Filter>',
    '<Transition><Days>90</Days><StorageClass>GLACIER_IR</StorageClass></Transition>',
    '<DaysAfterInitiation>3</DaysAfterInitiation>',
  ])
    t.ok(server.lifecycle?.includes(part), part);
  t.equal(server.lifecycle?.match(/<Filter><Prefix>plant\/data\/<\/Prefix><\/Filter>/g)?.length, 2);
  const less = JSON.parse((await run('set', '--json')).out);
  t.match(less, {
    set: [{ id: /^sprawl-edge-abort-uploads-/, abortUploadsDays: 7 }],
    gone: [{ id: /^sprawl-edge-transition-/ }, { id: /^sprawl-edge-expire-/ }],
  });
  t.match(await run('set', '--transition', 'STANDARD_IA:30'), { code: 0 });
  t.match(await run('set'), { code: 0, out: /\n  no more: sprawl-edge-transition-/ });
  t.match(await run('show'), { out: /\n2 of 3 rules are about it\n/ });
});

t.test('in a bucket with rules of the old form ours have it, too', async (t) => {
  const { server, run } = await bucket(t);
  server.lifecycle = rules(EXPIRY);
  t.match(await run('set'), { code: 0 });
  t.notMatch(server.lifecycle, '<Filter>');
  t.match(server.lifecycle, '<Prefix>plant/</Prefix>');
});

t.test('a dry run prints all rules and writes none', async (t) => {
  const { server, run } = await bucket(t);
  server.lifecycle = rules(THEIRS);
  const { code, out } = await run('set', '--expire-days', '10', '--dry-run');
  t.equal(code, 0);
  t.match(JSON.parse(out), {
    Rules: [
      { ID: 'theirs', Filter: { And: { Prefix: 'plant/', Tags: [{ Key: 'k', Value: 'a & b' }] } } },
      { ID: /^sprawl-edge-abort-uploads-/, AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 } },
      { ID: /^sprawl-edge-expire-/, Filter: { Prefix: 'plant/data/' }, Expiration: { Days: 10 } },
    ],
  });
  t.equal(server.lifecycle, rules(THEIRS));
  t.notOk(server.asked.some((one) => one.startsWith('PUT')));
});

t.test('rules that would be lost keep everything from being written', async (t) => {
  const { server, run } = await bucket(t);
  const strange = rules(
    THEIRS.replace('<Expiration>', '<Expiration><ExpiredObjectAllVersions>true</ExpiredObjectAllVersions>'),
  );
  server.lifecycle = strange;
  t.match(await run('set'), {
    code: 1,
    err: /rules of s3:\/\/bucket\/plant have ExpiredObjectAllVersions, which would be lost; nothing was written: add the rules of docs\/archive.md/,
  });
  t.equal(server.lifecycle, strange);
  t.match(await run('show'), { code: 0, out: /\n  theirs: / });
});

t.test('rules that did not stay are noticed', async (t) => {
  const { server, run } = await bucket(t);
  server.fault = (method) => {
    if (method === 'GET' && server.lifecycle?.includes('sprawl-edge') === true)
      server.lifecycle = rules(ELSEWHERE);
    return undefined;
  };
  t.match(await run('set'), {
    code: 1,
    err: /does not have the rule sprawl-edge-abort-uploads-\w+ that it was/,
  });
});

const DAY_MS = 86_400_000;

t.test('unfinished uploads are listed with their age, and aborted', async (t) => {
  const { server, run } = await bucket(t, { pageMaxKeys: 2 });
  for (let n = 0; n < 5; n++)
    server.uploads.set(`id-${n}`, {
      ...{ key: `plant/data/${n}.parquet`, parts: new Map() },
      begun: new Date(Date.now() - n * DAY_MS - 1000).toISOString(),
    });
  server.uploads.set('other', { key: 'plants/x', parts: new Map(), begun: '2020-01-01T00:00:00.000Z' });
  t.match(await run(), {
    out: /\n5 uploads are not finished\n  data\/0.parquet: begun 1 s ago\n  data\/1.parquet: begun 24 h ago\n[^]*data\/4.parquet: begun 4 days ago\n$/,
  });
  t.match(await run('--abort-older-than', '3'), {
    ...{ code: 0, err: 'aborted the upload of data/3.parquet\naborted the upload of data/4.parquet\n' },
    out: /\n3 uploads are not finished\n/,
  });
  server.fault = (method, target) => {
    if (method === 'DELETE')
      server.uploads.delete(new URLSearchParams(target.split('?')[1]).get('uploadId') ?? '');
    return undefined;
  };
  const json = JSON.parse((await run('check', '--json', '--abort-older-than', '0')).out);
  t.match(
    json,
    { uploads: [], aborted: [{ key: 'data/0.parquet', uploadId: 'id-0' }, {}, {}] },
    'one that went meanwhile is no error',
  );
  t.same([...server.uploads.keys()], ['other']);
  server.fault = () => undefined;
  for (let n = 0; n < 103; n++)
    server.uploads.set(`many-${n}`, {
      key: `plant/${n}`,
      parts: new Map(),
      begun: '2026-01-01T00:00:00.000Z',
    });
  t.match(await run(), { out: /\n103 uploads are not finished\n[^]*\n  and 3 more\n$/ });
});

t.test('who may not is told which permission it takes', async (t) => {
  const { server, run } = await bucket(t);
  server.uploads.set('id', { key: 'plant/a', parts: new Map(), begun: '2020-01-01T00:00:00.000Z' });
  const denied = (method: string, query: string) => {
    server.fault = (asked, target) =>
      asked === method && target.includes(query)
        ? { kind: 'answer', status: 403, code: 'AccessDenied' }
        : undefined;
  };
  for (const [method, query, permission, ...args] of [
    ['GET', 'lifecycle', 's3:GetLifecycleConfiguration'],
    ['GET', 'versioning', 's3:GetBucketVersioning', 'check'],
    ['GET', 'uploads', 's3:ListBucketMultipartUploads'],
    ['PUT', 'lifecycle', 's3:PutLifecycleConfiguration', 'set'],
    ['DELETE', 'uploadId', 's3:AbortMultipartUpload', '--abort-older-than', '1'],
  ] as const) {
    denied(method, query);
    const { code, err } = await run(...args);
    t.equal(code, 1);
    t.match(err, `these credentials need ${permission}; docs/archive.md has the whole policy`);
    t.notMatch(err, /very secret|AKTEST/);
  }
});

t.test('a store without rules says so, and one without versioning is no fault', async (t) => {
  const { server, run } = await bucket(t);
  const without = (query: string, status: number, code: string) => {
    server.fault = (_method, target) =>
      target.includes(query) ? { kind: 'answer', status, code } : undefined;
  };
  without('versioning', 501, 'NotImplemented');
  t.match(await run(), { code: 0, out: /does not say whether it has versions/ });
  without('lifecycle', 405, 'MethodNotAllowed');
  t.match(await run('check'), {
    code: 1,
    err: /MethodNotAllowed.*this store does not have that; see its own tools/,
  });
  server.fault = (method) =>
    method === 'PUT' ? { kind: 'answer', status: 501, code: 'NotImplemented' } : undefined;
  t.match(await run('set', '--transition', 'GLACIER_IR:90'), { code: 1, err: /: try without --transition/ });
  without('lifecycle', 503, 'SlowDown');
  t.match(await run(), { code: 1, err: /SlowDown.*: try again later/ });
  without('versioning', 503, 'SlowDown');
  t.match(await run(), { code: 1, err: /cannot read the versioning of s3:\/\/bucket\/plant: SlowDown/ });
  server.uploads.set('id', { key: 'plant/a', parts: new Map(), begun: '2020-01-01T00:00:00.000Z' });
  without('uploadId', 503, 'SlowDown');
  t.match(await run('--abort-older-than', '1'), { code: 1, err: /cannot abort the upload of a to s3/ });
});

t.test('a folder has no rules', async (t) => {
  const target = `file://${t.testdir()}`;
  for (const action of ['show', 'check', 'set'])
    t.match(await runHere(['archive', 'lifecycle', action, '--target', target]), {
      ...{ code: 0, err: '', out: `${target} is a folder: a folder has no rules\n` },
    });
  const json = await runHere(['archive', 'lifecycle', '--json', '--target', target]);
  t.same(JSON.parse(json.out), { target, rules: null });
});

t.test('what cannot be meant is refused before anything is asked', async (t) => {
  const { server, run } = await bucket(t);
  for (const [args, err] of [
    [['make'], /there is no "make": it is one of show, check, set/],
    [['show', 'set'], /unexpected argument "set"/],
    [['--expire-days', '3'], /--expire-days is for set, and not for show/],
    [['set', '--abort-older-than', '3'], /--abort-older-than is for show and check, and not for set/],
    [['set', '--expire-days', '3'], /--expire-days 3 removes archived data for good, and "archive verify"/],
    [
      ['set', '--expire-days', '0', '--yes'],
      /--expire-days must be a whole number of days, 1 or more; not "0"/,
    ],
    [['check', '--keep-days', 'x'], /--keep-days must be a whole number/],
    [['set', '--transition', 'GLACIER'], /--transition must be CLASS:DAYS as in GLACIER_IR:90/],
    [['set', '--transition', 'A:90', '--expire-days', '90', '--yes'], /is not behind --transition after 90/],
  ] as const)
    t.match(await run(...args), { code: 2, err });
  t.same(server.asked, []);
});
