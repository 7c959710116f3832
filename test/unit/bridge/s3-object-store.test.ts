/** What an S3 store does wrong, and what is made of it. */
import t, { type Test } from 'tap';
import { bodyOf } from '../../../bridge/archive/object-store.js';
import { S3ObjectStore, type S3Options } from '../../../bridge/archive/s3-object-store.js';
import { type S3Fault, S3Server, type S3ServerOptions } from '../../support/s3-server.js';

const BODY = bodyOf(Buffer.from('0123456789'));
const SECRET = 'very secret';

interface Bench {
  readonly server: S3Server;
  readonly store: S3ObjectStore;
}

async function bench(
  t: Test,
  server: S3ServerOptions = {},
  options: Partial<S3Options> = {},
): Promise<Bench> {
  const made = new S3Server(server);
  await made.listen();
  const store = new S3ObjectStore({
    ...{ bucket: 'bucket', prefix: '', region: 'eu-central-1', endpoint: made.endpoint, pathStyle: true },
    ...{ timeoutMs: 5000, partBytes: 1_000_000 },
    credentials: { accessKeyId: 'AKTEST', secretAccessKey: SECRET },
    ...options,
  });
  t.teardown(async () => {
    store.close();
    await made.close();
  });
  return { server: made, store };
}

t.test('without credentials it is said where they come from', async (t) => {
  const missing = Object.assign(new Error('Could not load'), { name: 'CredentialsProviderError' });
  const { store } = await bench(t, {}, { credentials: () => Promise.reject(missing) });
  const wayOut = /^credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY .*~\/\.aws, or .* role/;
  await t.rejects(store.stat('a'), { name: 'ObjectFault', kind: 'denied', wayOut });
});

t.test('each fault has its kind, and tells no secret', async (t) => {
  const { server, store } = await bench(t);
  t.equal(await store.createsOnce(), true);
  const answer = (status: number, code: string): S3Fault => ({ kind: 'answer', status, code });
  for (const [fault, kind, message] of [
    [answer(503, 'SlowDown'), 'busy', /cannot create a\/b in s3:\/\/bucket: SlowDown: .* \(HTTP 503\)/],
    [answer(500, 'InternalError'), 'unknown', /InternalError/],
    [answer(403, 'AccessDenied'), 'denied', /AccessDenied/],
    [answer(403, 'RequestTimeTooSkewed'), 'clock', /RequestTimeTooSkewed/],
    [answer(404, 'NoSuchBucket'), 'missing', /NoSuchBucket/],
    [answer(409, 'ConditionalRequestConflict'), 'busy', /ConditionalRequestConflict/],
    [answer(409, 'Whatever'), 'busy', /Whatever/],
    [answer(401, 'Whatever'), 'denied', /Whatever/],
    [answer(418, 'Teapot'), 'other', /Teapot/],
    [{ kind: 'reset' }, 'unknown', /cannot create/],
  ] as const) {
    server.fault = () => fault;
    await t.rejects(store.create('a/b', BODY), { name: 'ObjectFault', kind, message }, JSON.stringify(fault));
    const failure = await store.create('a/b', BODY).catch((error: unknown) => String(error));
    t.notMatch(failure, SECRET);
    t.notMatch(failure, 'AKTEST');
  }
  server.fault = () => undefined;
  t.equal(await store.create('a/b', BODY), true);
});

t.test('nobody listens, wrong keys, a bucket that is not there', async (t) => {
  const gone = await bench(t);
  await gone.server.close();
  await t.rejects(gone.store.create('a', BODY), { kind: 'unreachable', message: /ECONNREFUSED/ });
  const wrong = await bench(t, { secretAccessKey: 'another' });
  await t.rejects(wrong.store.read('a'), { kind: 'denied', message: /SignatureDoesNotMatch/ });
  const missing = await bench(t, { bucket: 'other' });
  await t.rejects(missing.store.read('a'), { kind: 'missing', message: /NoSuchBucket/ });
  await t.rejects(missing.store.createsOnce(), { kind: 'missing', message: /NoSuchBucket/ });
});

t.test('an answer that does not come ends with the deadline, and once more says what happened', async (t) => {
  const { server, store } = await bench(t, {}, { timeoutMs: 200 });
  await store.createsOnce();
  for (const kind of ['hangBefore', 'hangAfter'] as const) {
    server.fault = () => ({ kind });
    await t.rejects(store.create(kind, BODY), { kind: 'unknown', message: /no answer in 200 ms/ });
    server.fault = () => undefined;
    t.equal(await store.create(kind, BODY), kind === 'hangBefore');
    t.equal(Buffer.from((await store.read(kind)) ?? []).toString(), '0123456789');
  }
});

t.test('half of an answer is none', async (t) => {
  const { server, store } = await bench(t);
  await store.create('a', BODY);
  server.fault = () => ({ kind: 'cut' });
  await t.rejects(store.read('a'), { kind: 'unknown', message: /cannot read a/ });
});

t.test('a store that creates over what is there is known by it', async (t) => {
  for (const conditional of ['ignored', 'refused'] as const) {
    const { server, store } = await bench(t, { conditional });
    t.equal(await store.createsOnce(), false);
    t.same([...server.objects.keys()], [], 'what it was tried with is gone');
    t.equal(await store.create('a', BODY), true);
    t.equal(await store.create('a', BODY), false);
    server.asked.length = 0;
    t.equal(await store.createsOnce(), false);
    t.same(server.asked, [], 'it is tried once');
  }
});

t.test('a large object goes in parts, whole or not at all', async (t) => {
  const { server, store } = await bench(t);
  const large = Buffer.alloc(2_500_000, 'large ');
  t.equal(await store.create('large', bodyOf(large)), true);
  t.equal(server.asked.filter((one) => one.includes('partNumber')).length, 3);
  t.ok(large.equals(server.objects.get('large') ?? Buffer.alloc(0)));
  t.equal(await store.create('large', bodyOf(large)), false);
  t.equal(server.uploads.size, 0, 'the second one was given up');
  server.fault = (_method, target) =>
    target.includes('partNumber=2') ? { kind: 'answer', status: 503, code: 'SlowDown' } : undefined;
  await t.rejects(store.create('other', bodyOf(large)), { kind: 'busy', message: /SlowDown/ });
  t.equal(server.uploads.size, 0);
  server.fault = (method, target) =>
    target.includes('partNumber=2') || method === 'DELETE' ? { kind: 'reset' } : undefined;
  await t.rejects(store.create('other', bodyOf(large)), { kind: 'unknown', message: /cannot create/ });
  t.equal(server.uploads.size, 1, 'what could not be given up is left to the rule of the bucket');
  t.equal(await store.stat('other'), undefined);
});
