/** SIGHUP: password and ACL files are read again, and what they say holds for those who are connected already. */
import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parseConfig } from '../../lib/config/index.js';
import { createGateway } from '../../lib/gateway.js';
import { MemoryStore } from '../../storage/index.js';
import { nullLogger } from '../support/null-logger.js';
import { RawClient, type ConnectOptions } from '../support/raw-client.js';
import { runHere } from './cli-in-process.js';
import { CliProcess } from './cli-process.js';

const ANN: ConnectOptions = { username: 'ann', password: 'secret' };
const BOB: ConnectOptions = { username: 'bob', password: 'secret' };

interface World {
  readonly port: number;
  /** Writes the ACL file and has it read again; resolves once the gateway said `says`. */
  reload(acl: string, says?: string): Promise<void>;
  /** Changes the password file. */
  passwd(...args: string[]): Promise<void>;
}

async function createWorld(t: Test, acl: string): Promise<World> {
  const dir = t.testdir();
  const [passwords, aclFile] = [join(dir, 'passwords'), join(dir, 'acl')];
  await runHere(['passwd', '-c', '-b', passwords, 'ann', 'secret']);
  await runHere(['passwd', '-b', passwords, 'bob', 'secret']);
  writeFileSync(aclFile, acl, { mode: 0o600 });
  const ports = ['--mqtt-port', '0', '--ws-port', '0', '--http-port', '0'];
  const gateway = new CliProcess(['up', ...ports, '--password-file', passwords, '--acl-file', aclFile]);
  t.teardown(() => gateway.kill());
  await gateway.told('err', 'ready');
  return {
    port: Number(/listener=mqtt host=\S+ port=(\d+)/.exec(gateway.err)?.[1]),
    reload: async (text, says = 'reloaded') => {
      writeFileSync(aclFile, text);
      gateway.err = '';
      gateway.child.kill('SIGHUP');
      await gateway.told('err', says);
    },
    passwd: async (...args) => {
      const { code, err } = await runHere(['passwd', ...args.slice(0, -2), passwords, ...args.slice(-2)]);
      if (code !== 0) throw new Error(err);
    },
  };
}

const ALL = 'user ann\ntopic readwrite #\nuser bob\ntopic readwrite #\n';

t.setTimeout(60_000);

for (const version of [4, 5] as const) {
  t.test(
    `a removed permission stops a connected ${version === 5 ? 'MQTT 5' : '3.1.1'} publisher`,
    async (t) => {
      const { port, reload } = await createWorld(t, ALL);
      const watcher = await RawClient.connect(t, port, { version: 5, ...BOB });
      await watcher.subscribe('#', { qos: 1 });
      const publisher = await RawClient.connect(t, port, { version, ...ANN });
      t.match(await publisher.publish('door/open', 'before', { qos: 1 }), { reasonCode: 0 });
      publisher.sendPublish('door/open', 'before', { qos: 0 });
      await watcher.expectPublish('door/open', 'before');
      await watcher.expectPublish('door/open', 'before');
      await reload('user ann\ntopic read #\nuser bob\ntopic readwrite #\n');
      if (version === 5) {
        t.match(await publisher.publish('door/open', 'after', { qos: 1 }), { reasonCode: 0x87 });
        publisher.sendPublish('door/open', 'after', { qos: 0 });
        await watcher.expectNothing(publisher);
      } else {
        publisher.sendPublish('door/open', 'after', { qos: 1, packetId: 77 });
        await publisher.expectDisconnect([]);
        await watcher.expectNothing();
      }
    },
  );
}

t.test(
  'a removed permission stops what an existing subscription receives, retained messages too',
  async (t) => {
    const { port, reload } = await createWorld(t, ALL);
    const reader = await RawClient.connect(t, port, { version: 5, ...ANN });
    await reader.subscribe(['secret/#', '$share/group/shared/secret'], { qos: 1 });
    await reader.subscribe('plain', { qos: 1 });
    const publisher = await RawClient.connect(t, port, { version: 5, ...BOB });
    await publisher.publish('secret/a', 'before', { qos: 1, retain: true });
    await reader.complete(await reader.expectPublish('secret/a', 'before'));
    await reload('user ann\ntopic readwrite plain\nuser bob\ntopic readwrite #\n');
    for (const topic of ['secret/a', 'shared/secret', 'plain'])
      await publisher.publish(topic, 'after', { qos: 1 });
    await reader.expectPublish('plain', 'after');
    await reader.expectNothing();
    const again = await reader.subscribe('secret/#', { qos: 1, allowRefusal: true });
    t.strictSame([...again.reasonCodes], [0x87]);
    await reader.expectNothing();
  },
);

t.test('an added permission takes effect for those who are connected', async (t) => {
  const { port, reload } = await createWorld(t, 'user ann\ntopic read #\nuser bob\ntopic readwrite #\n');
  const client = await RawClient.connect(t, port, { version: 5, ...ANN });
  t.match(await client.publish('x', 'no', { qos: 1 }), { reasonCode: 0x87 });
  await reload(ALL);
  t.match(await client.publish('x', 'yes', { qos: 1 }), { reasonCode: 0x10 });
});

t.test('a will is published by the rules of the moment', async (t) => {
  const { port, reload } = await createWorld(t, ALL);
  const watcher = await RawClient.connect(t, port, { version: 5, ...BOB });
  await watcher.subscribe('will/+', { qos: 1 });
  const doomed = await RawClient.connect(t, port, {
    version: 5,
    ...ANN,
    will: { topic: 'will/ann', payload: 'gone' },
  });
  await reload('user ann\ntopic read #\nuser bob\ntopic readwrite #\n');
  doomed.destroy();
  const other = await RawClient.connect(t, port, {
    version: 5,
    ...BOB,
    will: { topic: 'will/bob', payload: 'gone' },
  });
  other.destroy();
  await watcher.expectPublish('will/bob', 'gone');
  await watcher.expectNothing();
});

t.test('a changed password counts for who connects, and the one before no more', async (t) => {
  const { port, reload, passwd } = await createWorld(t, ALL);
  await passwd('-b', 'ann', 'other');
  await reload(ALL);
  const refused = await RawClient.open(t, port, { version: 5 });
  t.equal((await refused.connect(ANN)).reasonCode, 0x86);
  await RawClient.connect(t, port, { version: 5, ...ANN, password: 'other' });
});

t.test('a file with a fault is reported with its line, and the old rules stay', async (t) => {
  const { port, reload } = await createWorld(t, ALL);
  const client = await RawClient.connect(t, port, { version: 5, ...ANN });
  await reload('user ann\ntopic fly #\n', 'reload failed');
  t.match(await client.publish('x', 'still', { qos: 1 }), { reasonCode: 0x10 });
});

t.test('new rules and new keys are in force together, or none of them', async (t) => {
  const dir = t.testdir({ acl: 'topic readwrite #\n' });
  const [aclFile, storeKeys, archiveKeys] = [join(dir, 'acl'), join(dir, 'store'), join(dir, 'archive')];
  const writeKey = (path: string): void => writeFileSync(path, randomBytes(32).toString('hex'));
  const keyFiles = [storeKeys, archiveKeys];
  for (const path of keyFiles) writeKey(path);
  const config = parseConfig({
    overrides: {
      dataDir: join(dir, 'data'),
      listeners: { mqttPort: 0, wsPort: false },
      http: { port: false },
      security: { allowAnonymous: true, aclFile },
      storage: { encryptionKeyFile: storeKeys },
      archive: { topics: ['archived'], encryptionKeyFile: archiveKeys },
    },
  });
  const gateway = await createGateway({ config, logger: nullLogger });
  t.teardown(() => gateway.stop({ drainTimeoutMs: 0 }));
  await gateway.start();
  const port = gateway.addresses['mqtt']?.port ?? 0;
  const reader = await RawClient.connect(t, port, { version: 5 });
  await reader.subscribe('secret', { qos: 1 });
  const publisher = await RawClient.connect(t, port, { version: 5 });
  writeFileSync(aclFile, 'topic write #\n');
  for (const path of keyFiles) {
    rmSync(path);
    for (const { status } of await Promise.allSettled([gateway.reload(), gateway.reload()]))
      t.equal(status, 'rejected', path);
    t.match(await publisher.publish('secret', 'as before', { qos: 1 }), { reasonCode: 0 });
    await reader.complete(await reader.expectPublish('secret', 'as before'));
    await reader.subscribe('secret', { qos: 1 });
    writeKey(path);
  }
  await gateway.reload();
  t.match(await publisher.publish('secret', 'after', { qos: 1 }), { reasonCode: 0x10 });
  await reader.expectNothing();
});

t.test('new rules are not in force where the keyring of the store cannot be written', async (t) => {
  class FullStore extends MemoryStore {
    override async prepareKeys(): Promise<() => Promise<void>> {
      return () => Promise.reject(new Error('no space'));
    }
  }
  const aclFile = join(t.testdir({ acl: 'topic readwrite #\n' }), 'acl');
  const config = parseConfig({
    overrides: {
      listeners: { mqttPort: 0, wsPort: false },
      http: { port: false },
      security: { allowAnonymous: true, aclFile },
    },
  });
  const gateway = await createGateway({ config, logger: nullLogger, store: new FullStore() });
  t.teardown(() => gateway.stop({ drainTimeoutMs: 0 }));
  await gateway.start();
  const client = await RawClient.connect(t, gateway.addresses['mqtt']?.port ?? 0, { version: 5 });
  writeFileSync(aclFile, 'topic write #\n');
  await t.rejects(gateway.reload(), { message: 'no space' });
  await client.subscribe('secret', { qos: 1 });
});

for (const version of [4, 5] as const) {
  const name = version === 5 ? 'MQTT 5' : '3.1.1';
  t.test(`a connected ${name} client whose user is gone, or has another password, is let go`, async (t) => {
    const { port, reload, passwd } = await createWorld(t, ALL);
    const gone = await RawClient.connect(t, port, { version, ...ANN });
    const stays = await RawClient.connect(t, port, { version, ...BOB });
    const codes = version === 5 ? [0x87] : [];
    await passwd('-D', 'ann');
    await reload(ALL);
    await gone.expectDisconnect(codes);
    t.match(await stays.publish('x', 'still here', { qos: 1 }), { type: 'puback' });
    await passwd('-b', 'bob', 'changed');
    await reload(ALL);
    await stays.expectDisconnect(codes);
    const again = await RawClient.connect(t, port, { version, username: 'bob', password: 'changed' });
    await reload(ALL);
    t.match(await again.publish('x', 'nothing has changed', { qos: 1 }), { type: 'puback' });
  });
}
