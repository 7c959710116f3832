import { createSecretKey, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import t from 'tap';
import { keyProviderOf, type MasterKey, parseKeyFile } from '../../../lib/contracts/master-key.js';
import { createMessage } from '../../../lib/message/message.js';
import { ENVELOPE_BYTES, open, seal } from '../../../storage/crypto/envelope.js';
import type { DiskStore } from '../../../storage/disk/disk-store.js';
import { storeContract } from '../../contract/store-contract.js';
import {
  RecordedSessions,
  testStore,
  type TestStoreParts,
  testStoreParts,
} from '../../support/disk-store.js';
import { ioError } from '../../support/faulty-files.js';
import { nullLogger } from '../../support/null-logger.js';
import { str } from '../../support/protocol-bytes.js';

const HEX = 'ab'.repeat(32);
const SECRET = 'the-secret-payload';
const CLIENT = 'the-secret-client';
const TOPIC = 'the/secret/topic';

const keysOf = (...fills: number[]): MasterKey[] =>
  parseKeyFile(fills.map((fill) => Buffer.alloc(32, fill).toString('hex')).join('\n'), 'keys', 'storage');

function encrypted(parts: TestStoreParts, ...masterKeys: MasterKey[]): DiskStore {
  return testStore(parts, {
    randomBytes: (size) => randomBytes(size),
    keyProvider: { masterKeys: async () => masterKeys },
  });
}

function publish(store: DiskStore, payload: string, retain = false): void {
  store.append(
    createMessage({
      topic: TOPIC,
      topicBytes: str(TOPIC),
      payload: Buffer.from(payload),
      qos: 1,
      retain,
      publisher: CLIENT,
    }),
    undefined,
  );
}

async function opened(store: DiskStore): Promise<{ store: DiskStore; sessions: RecordedSessions }> {
  const sessions = new RecordedSessions();
  await store.open(sessions);
  return { store, sessions };
}

/** Everything that is on the disk. */
function everything(parts: TestStoreParts): string {
  const chunks = parts.files.paths().map((path) => parts.files.contents(path).toString('latin1'));
  for (const [key, value] of parts.databases.of('/data/index').values)
    chunks.push(key, Buffer.from(value).toString('latin1'));
  return chunks.join('\n');
}

storeContract(t, 'encrypted', {
  create: async () => {
    const store = encrypted(testStoreParts(), ...keysOf(1));
    await store.open(new RecordedSessions());
    return store;
  },
});

t.test('an envelope opens with its key and in its place only', async (t) => {
  const key = createSecretKey(randomBytes(32));
  const keys = { current: { id: 7, key }, byId: (id: number) => (id === 7 ? key : undefined) };
  const context = Buffer.from('here');
  for (const size of [0, 1, 1000]) {
    const plain = randomBytes(size);
    const sealed = seal(keys, plain, context);
    t.equal(sealed.length, size + ENVELOPE_BYTES);
    t.ok(open(keys, sealed, context).equals(plain));
    t.throws(() => open(keys, sealed, Buffer.from('there')), { code: 'STORAGE_CORRUPT' });
    for (let at = 0; at < sealed.length; at += 1 + Math.floor(size / 50)) {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] as number) ^ 1;
      t.throws(() => open(keys, changed, context), { code: /STORAGE_(CORRUPT|KEY_WRONG)/ }, `byte ${at}`);
    }
    t.not(seal(keys, plain, context).toString('hex'), sealed.toString('hex'), 'no two are the same');
  }
  t.throws(() => open(keys, Buffer.alloc(3), context), { code: 'STORAGE_CORRUPT' });
  const foreign = seal({ ...keys, current: { id: 8, key } }, Buffer.from('x'), context);
  t.throws(() => open(keys, foreign, context), { code: 'STORAGE_KEY_WRONG' });
});

t.test('keys come from a file or a value, and errors never show them', async (t) => {
  t.equal(
    parseKeyFile(`# old and new\n${HEX}\n\n${Buffer.alloc(32, 5).toString('base64')}\n`, 'k', 'storage')
      .length,
    2,
  );
  t.throws(() => parseKeyFile('# nothing\n', 'k', 'storage'), {
    code: 'STORAGE_KEY_INVALID',
    message: /k has no key/,
  });
  for (const bad of ['secret-word', HEX.slice(1), `${HEX}00`]) {
    try {
      parseKeyFile(`\n${bad}`, 'k', 'storage');
      t.fail(`${bad} was taken`);
    } catch (error) {
      const { message } = error as Error;
      t.match(message, new RegExp(`^k:2: a key is 32 bytes.*this is ${bad.length} characters`));
      t.notOk(message.includes(bad));
    }
  }
  const path = `${t.testdir()}/key`;
  await t.rejects(keyProviderOf('storage', { key: undefined, keyFile: path }).masterKeys(), {
    code: 'STORAGE_KEY_INVALID',
  });
  writeFileSync(path, `${HEX}\n`);
  const [fromFile] = await keyProviderOf('storage', { key: 'ignored', keyFile: path }).masterKeys();
  const [fromValue] = await keyProviderOf('storage', { key: HEX, keyFile: undefined }).masterKeys();
  t.equal(fromFile?.id, fromValue?.id);
  t.same(await keyProviderOf('storage', { key: undefined, keyFile: undefined }).masterKeys(), []);
  await t.rejects(keyProviderOf('archive', { key: 'short', keyFile: undefined }).masterKeys(), {
    ...{ code: 'ARCHIVE_KEY_INVALID', message: /^archive\.encryptionKey: a key is 32 bytes/ },
  });
});

t.test('nothing readable is on the disk, and all of it comes back', async (t) => {
  const parts = testStoreParts();
  let { store } = await opened(encrypted(parts, ...keysOf(1)));
  store.record({
    kind: 'created',
    clientId: CLIENT,
    username: 'the-secret-user',
    expiryS: 60,
    will: undefined,
  });
  const queue = store.createQueue(CLIENT);
  for (let n = 0; n < 600; n++) {
    const message = createMessage({
      topic: TOPIC,
      topicBytes: str(TOPIC),
      payload: Buffer.from(`${SECRET} ${n}`),
      qos: 1,
      retain: false,
    });
    store.append(message, undefined);
    queue.push(message, 1, undefined);
    if (n % 30 === 29) await store.log.flush();
  }
  const last = createMessage({
    topic: TOPIC,
    topicBytes: str(TOPIC),
    payload: Buffer.from(SECRET),
    qos: 1,
    retain: true,
  });
  store.append(last, undefined);
  store.retained.set(last);
  await store.close();
  const disk = everything(parts);
  for (const word of [SECRET, CLIENT, TOPIC, 'secret', 'the-secret-user']) t.notOk(disk.includes(word), word);
  t.ok(
    parts.files.paths().some((path) => path.endsWith('.snapshot')),
    'a snapshot was among it',
  );
  ({ store } = await opened(encrypted(parts, ...keysOf(1))));
  t.equal((await store.find(TOPIC, 0, Number.MAX_SAFE_INTEGER, 1e6)).length, 601);
  t.equal(Buffer.from(store.retained.get(TOPIC)?.payload ?? []).toString(), SECRET);
  await store.close();
  // From a snapshot, too.
  await parts.databases.of('/data/index').destroy();
  ({ store } = await opened(encrypted(parts, ...keysOf(1))));
  t.ok((store.rebuild?.from ?? 0) > 0);
  await store.settled();
  t.equal((await store.find(TOPIC, 0, Number.MAX_SAFE_INTEGER, 1e6)).length, 601);
  await store.close();
});

t.test('without the key, or with another one, nothing starts and nothing is changed', async (t) => {
  const parts = testStoreParts();
  const { store } = await opened(encrypted(parts, ...keysOf(1)));
  publish(store, SECRET);
  await store.close();
  const before = everything(parts);
  await t.rejects(opened(encrypted(parts)), { code: 'STORAGE_KEY_WRONG', message: /no key is configured/ });
  await t.rejects(opened(encrypted(parts, ...keysOf(2))), {
    code: 'STORAGE_KEY_WRONG',
    message: new RegExp(`encrypted with master key ${keysOf(1)[0]?.id}.*configured is ${keysOf(2)[0]?.id}`),
  });
  t.equal(everything(parts), before);
  parts.files.delete('/data/keys.json');
  const again = await opened(encrypted(parts, ...keysOf(1)));
  t.equal((await again.store.find(TOPIC, 0, Number.MAX_SAFE_INTEGER, 9)).length, 1, 'its copy will do');
  await again.store.close();
  parts.files.delete('/data/keys.json');
  parts.files.delete('/data/keys.json.copy');
  await t.rejects(opened(encrypted(parts)), { code: /STORAGE_KEY_WRONG|STORAGE_CORRUPT/ });
});

t.test('a first start without its key file leaves a new folder new', async (t) => {
  const parts = testStoreParts();
  const warnings: string[] = [];
  const logger = { ...nullLogger, warn: (message: string) => warnings.push(message) };
  const keyProvider = keyProviderOf('storage', { key: undefined, keyFile: `${t.testdir()}/none` });
  await t.rejects(opened(testStore(parts, { keyProvider })), { code: 'STORAGE_KEY_INVALID' });
  const { store } = await opened(testStore(parts, { logger }));
  t.same(warnings, [], 'no database is missing');
  await store.close();
});

t.test('a new master key is in force at once; the old one may go, the data stays', async (t) => {
  const parts = testStoreParts();
  let masterKeys = keysOf(1);
  const { store } = await opened(
    testStore(parts, {
      randomBytes: (size) => randomBytes(size),
      keyProvider: { masterKeys: async () => masterKeys },
    }),
  );
  publish(store, 'one');
  await store.log.flush();
  masterKeys = keysOf(2, 1);
  await (
    await store.prepareKeys()
  )();
  publish(store, 'two');
  await store.close();
  const again = await opened(encrypted(parts, ...keysOf(2)));
  t.equal((await again.store.find(TOPIC, 0, Number.MAX_SAFE_INTEGER, 9)).length, 2);
  await again.store.close();
  await t.rejects(opened(encrypted(parts, ...keysOf(1))), { code: 'STORAGE_KEY_WRONG' });
  // While it is down the first line may change, too.
  const third = await opened(encrypted(parts, ...keysOf(3, 2)));
  await third.store.close();
  t.equal(
    (await (await opened(encrypted(parts, ...keysOf(3)))).store.find(TOPIC, 0, Number.MAX_SAFE_INTEGER, 9))
      .length,
    2,
  );
});

t.test('a copy of the keys that a crash left behind a rotation is made anew at the next start', async (t) => {
  const parts = testStoreParts();
  const { files } = parts;
  const [keys, copy] = ['/data/keys.json', '/data/keys.json.copy'] as const;
  const first = await opened(encrypted(parts, ...keysOf(1)));
  publish(first.store, 'one');
  await first.store.close();
  const old = Buffer.from(files.contents(copy));
  const second = await opened(encrypted(parts, ...keysOf(2, 1)));
  publish(second.store, 'two');
  await second.store.close();
  files.overwrite(copy, old);

  files.onOperation = (operation, path) => {
    if (path === `${copy}.new`) throw ioError(operation, path);
  };
  await (await opened(encrypted(parts, ...keysOf(2)))).store.close();
  t.ok(files.contents(copy).equals(old), 'a disk that does not take it is no reason not to start');
  files.onOperation = () => undefined;
  await (await opened(encrypted(parts, ...keysOf(2)))).store.close();
  t.ok(files.contents(copy).equals(files.contents(keys)));

  files.overwrite(keys, Buffer.from('{'));
  const { store } = await opened(encrypted(parts, ...keysOf(2)));
  t.equal((await store.find(TOPIC, 0, Number.MAX_SAFE_INTEGER, 9)).length, 2, 'and holds all keys');
  await store.close();
});

t.test('what was written without a key is read on, and the database is made again with one', async (t) => {
  const parts = testStoreParts();
  const plain = await opened(testStore(parts));
  for (let n = 0; n < 200; n++) {
    publish(plain.store, `${SECRET} ${n}`);
    if (n % 10 === 9) await plain.store.log.flush();
  }
  await plain.store.close();
  const log: string[] = [];
  const logger = {
    ...nullLogger,
    info: (message: string) => log.push(`info: ${message}`),
    warn: (message: string) => log.push(`warn: ${message}`),
  };
  const keyProvider = { masterKeys: async () => keysOf(1) };
  const { store } = await opened(testStore(parts, { logger, keyProvider }));
  t.same(log, ['info: the database is made again from a snapshot and the log'], 'nothing is wrong');
  await store.settled();
  publish(store, 'sealed-from-now-on');
  await store.close();
  t.notOk(everything(parts).includes('sealed-from-now-on'));
  const values = [...parts.databases.of('/data/index').values].map(
    ([key, value]) => key + Buffer.from(value).toString('latin1'),
  );
  t.notOk(values.join().includes('secret'));
  const again = await opened(encrypted(parts, ...keysOf(1)));
  t.equal((await again.store.find(TOPIC, 0, Number.MAX_SAFE_INTEGER, 1e6)).length, 201);
  await again.store.close();
});

t.test('a sealed group that somebody changed is reported by its positions', async (t) => {
  const parts = testStoreParts();
  const { store } = await opened(encrypted(parts, ...keysOf(1)));
  for (let n = 0; n < 5; n++) {
    publish(store, `${n}`);
    await store.log.flush();
  }
  await store.close();
  const path = parts.files.paths().find((name) => name.endsWith('.log')) ?? '';
  const bytes = parts.files.contents(path);
  bytes[200] = (bytes[200] as number) ^ 1;
  const again = await opened(encrypted(parts, ...keysOf(1)));
  t.equal(again.store.losses.length, 1);
  await again.store.close();
});
