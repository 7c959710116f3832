/** The folder of the mesh on a real file system. */
import { randomBytes, createPublicKey, verify } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { format, inspect } from 'node:util';
import t from 'tap';
import type { Lineage } from '../../../../lib/contracts/epoch.js';
import { SprawlError } from '../../../../lib/contracts/errors.js';
import { renderEpochs } from '../../../../mesh/identity/epochs-file.js';
import { GatewayKey } from '../../../../mesh/identity/gateway-key.js';
import { LINEAGE_MAX_COUNT } from '../../../../mesh/identity/lineage.js';
import { toMeshFileError } from '../../../../mesh/identity/mesh-error.js';
import { type MeshFiles, nodeMeshFiles } from '../../../../mesh/identity/mesh-files.js';
import { type MeshFolder, openMeshFolder, removeIdentity } from '../../../../mesh/identity/mesh-folder.js';
import { tempFolder, Warnings } from './temp-folder.js';

const NOBODY = 65_534;

const modeOf = (path: string): number => statSync(path).mode & 0o777;

async function open(dataDir: string, logger = new Warnings(), files?: MeshFiles): Promise<MeshFolder> {
  return openMeshFolder(dataDir, { randomBytes, logger, ...(files === undefined ? {} : { files }) });
}

/** One start of a gateway. */
async function start(dataDir: string, after: number, logger = new Warnings()): Promise<Lineage> {
  return (await open(dataDir, logger)).startEpoch(after);
}

/** File systems of which the power is lost at a step. */
function failing(step: 'write' | 'rename', name: string): MeshFiles {
  return {
    ...nodeMeshFiles,
    async replace(path, bytes) {
      if (!path.endsWith(name)) return nodeMeshFiles.replace(path, bytes);
      writeFileSync(`${path}.new`, step === 'write' ? bytes.subarray(0, bytes.length / 2) : bytes);
      throw new Error('the power is gone');
    },
  };
}

t.test('a new folder gets a key and a first life, for the eyes of its owner alone', async (t) => {
  const dataDir = join(tempFolder(t), 'deep', 'data');
  const folder = await open(dataDir);
  t.equal(folder.isNew, true);
  const lineage = await folder.startEpoch(42);
  t.match(lineage, [{ counter: 1, nonce: /^[0-9a-f]{16}$/, after: 42 }]);
  t.equal(modeOf(join(dataDir, 'mesh')), 0o700);
  t.same(readdirSync(join(dataDir, 'mesh')), ['epochs.copy.json', 'epochs.json', 'identity.key']);
  for (const name of readdirSync(join(dataDir, 'mesh'))) t.equal(modeOf(join(dataDir, 'mesh', name)), 0o600);

  const again = await open(dataDir);
  t.equal(again.isNew, false);
  t.equal(again.id, folder.id);
  const next = await again.startEpoch(50);
  t.same(next.slice(0, 1), lineage);
  t.match(next[1], { counter: 2, after: 50 });
  t.not(next[1]?.nonce, next[0]?.nonce);
});

t.test('the key pair is as HyperDHT takes it, signs, and is not in anything that prints', async (t) => {
  const seed = randomBytes(32);
  const key = new GatewayKey(seed);
  const { publicKey, secretKey } = key.reveal();
  t.equal(Buffer.from(publicKey).toString('hex'), key.id);
  t.same(Buffer.from(secretKey), Buffer.concat([seed, publicKey]));
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), publicKey]);
  const object = createPublicKey({ key: der, format: 'der', type: 'spki' });
  t.ok(verify(null, Buffer.from('x'), object, key.sign(Buffer.from('x'))));
  for (const text of [
    String(key),
    JSON.stringify({ key }),
    inspect({ key }, { depth: 9 }),
    format('%o', key),
  ]) {
    t.match(text, key.id);
    t.notMatch(text, seed.toString('hex'));
  }
  t.throws(() => new GatewayKey(new Uint8Array(31)), RangeError);
});

t.test('the seed of RFC 8032 gives its public key', async (t) => {
  const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
  t.equal(new GatewayKey(seed).id, 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
});

t.test('the last lives are remembered, and no counter is used twice', async (t) => {
  const dataDir = tempFolder(t);
  let lineage: Lineage = [];
  for (let i = 0; i < LINEAGE_MAX_COUNT + 3; i++) lineage = await start(dataDir, i);
  t.equal(lineage.length, LINEAGE_MAX_COUNT);
  t.match(lineage[0], { counter: 4, after: 3 });
  t.match(lineage.at(-1), { counter: LINEAGE_MAX_COUNT + 3, after: LINEAGE_MAX_COUNT + 2 });
});

t.test('a loss of power before a file is whole leaves the one that was there', async (t) => {
  for (const name of ['epochs.json', 'epochs.copy.json']) {
    for (const step of ['write', 'rename'] as const) {
      const dataDir = tempFolder(t);
      const first = await start(dataDir, 1);
      const crashing = await open(dataDir, new Warnings(), failing(step, name));
      await t.rejects(crashing.startEpoch(2), { message: 'the power is gone' });
      const logger = new Warnings();
      const next = await start(dataDir, 3, logger);
      t.same(logger.lines, []);
      t.same(next.slice(0, 1), first);
      t.match(next.at(-1), { after: 3, counter: name === 'epochs.json' ? 2 : 3 });
    }
  }
  const dataDir = tempFolder(t);
  await t.rejects(open(dataDir, new Warnings(), failing('write', 'identity.key')));
  t.equal((await open(dataDir)).isNew, true);
});

t.test('epochs that are cut at any byte come back whole from their copy', async (t) => {
  const dataDir = tempFolder(t);
  await start(dataDir, 10);
  const lineage = await start(dataDir, 20);
  const path = join(dataDir, 'mesh', 'epochs.json');
  const whole = readFileSync(path);
  for (let end = 0; end < whole.length; end++) {
    writeFileSync(path, whole.subarray(0, end));
    const logger = new Warnings();
    const next = await start(dataDir, 30, logger);
    t.same(next.slice(0, 2), lineage, `cut at ${end}`);
    t.equal(next[2]?.counter, 3);
    t.match(logger.lines, [/epochs\.json is damaged; its copy is whole/]);
    writeFileSync(join(dataDir, 'mesh', 'epochs.copy.json'), whole);
  }
  rmSync(path);
  const logger = new Warnings();
  t.same((await start(dataDir, 30, logger)).slice(0, 2), lineage);
  t.match(logger.lines, [/epochs\.json is missing; its copy is whole/]);
});

t.test(
  'where both are cut at any byte, what is left is believed and no counter is used again, or it is told',
  async (t) => {
    const dataDir = tempFolder(t);
    await start(dataDir, 10);
    await start(dataDir, 20);
    const lineage = await start(dataDir, 30);
    const paths = ['epochs.json', 'epochs.copy.json'].map((name) => join(dataDir, 'mesh', name));
    const whole = readFileSync(paths[0] ?? '');
    let toldCount = 0;
    for (let end = 0; end < whole.length; end++) {
      for (const path of paths) writeFileSync(path, whole.subarray(0, end));
      const logger = new Warnings();
      try {
        const next = await start(dataDir, 40, logger);
        const kept = next.slice(0, -1);
        t.ok(kept.length > 0);
        t.same(kept, lineage.slice(0, kept.length), `cut at ${end}`);
        t.ok((next.at(-1)?.counter ?? 0) > 3);
        t.match(logger.lines, [/is damaged and so is its copy; \d of the earlier starts could be read/]);
      } catch (error) {
        if (!(error instanceof SprawlError) || error.code !== 'MESH_FILE_DAMAGED') throw error;
        t.match(error.message, /epochs\.json is damaged: nothing of it.*--new-identity/);
        toldCount++;
      }
    }
    t.ok(toldCount > 0 && toldCount < whole.length / 2);
  },
);

t.test('a gap among the lives that can be read ends what is believed', async (t) => {
  const dataDir = tempFolder(t);
  for (let i = 1; i <= 4; i++) await start(dataDir, i * 10);
  for (const name of ['epochs.json', 'epochs.copy.json']) {
    const path = join(dataDir, 'mesh', name);
    writeFileSync(path, readFileSync(path, 'latin1').replace('"after":20', '"after":21'));
  }
  const next = await start(dataDir, 50);
  t.same(
    next.map(({ counter, after }) => [counter, after]),
    [
      [3, 30],
      [4, 40],
      [4 + LINEAGE_MAX_COUNT, 50],
    ],
  );
});

t.test('a lineage that is none, though its checksums are right, is damaged', async (t) => {
  const dataDir = tempFolder(t);
  await start(dataDir, 1);
  const twice = { counter: 2, nonce: '0'.repeat(16), after: 0 };
  for (const name of ['epochs.json', 'epochs.copy.json'])
    writeFileSync(join(dataDir, 'mesh', name), renderEpochs([twice, twice]));
  t.match(await start(dataDir, 9), [twice, { counter: 2 + LINEAGE_MAX_COUNT }]);
});

t.test('a key that is cut or changed at any byte is told, and never made anew', async (t) => {
  const dataDir = tempFolder(t);
  const { id } = await open(dataDir);
  const path = join(dataDir, 'mesh', 'identity.key');
  const whole = readFileSync(path);
  for (let at = 0; at < whole.length; at++) {
    const changed = Buffer.from(whole);
    changed[at] = (changed[at] ?? 0) ^ 1;
    for (const bytes of [whole.subarray(0, at), changed]) {
      writeFileSync(path, bytes);
      await t.rejects(open(dataDir), {
        code: 'MESH_FILE_DAMAGED',
        message: /identity\.key is damaged.*--new-identity/,
      });
    }
  }
  writeFileSync(path, whole);
  t.equal((await open(dataDir)).id, id);
  await removeIdentity(dataDir);
  const next = await open(dataDir);
  t.not(next.id, id);
  t.match(await next.startEpoch(7), [{ counter: 1, after: 7 }]);
});

t.test('what others could read is made private, and told', async (t) => {
  const dataDir = tempFolder(t);
  await open(dataDir);
  chmodSync(join(dataDir, 'mesh'), 0o755);
  chmodSync(join(dataDir, 'mesh', 'identity.key'), 0o644);
  const logger = new Warnings();
  await open(dataDir, logger);
  t.equal(logger.lines.length, 2);
  t.equal(modeOf(join(dataDir, 'mesh')), 0o700);
  t.equal(modeOf(join(dataDir, 'mesh', 'identity.key')), 0o600);
  await open(dataDir, logger);
  t.equal(logger.lines.length, 2);
});

t.test('a folder that cannot be written or read is told with what to do', async (t) => {
  const dataDir = tempFolder(t);
  writeFileSync(join(dataDir, 'mesh'), 'a file');
  await t.rejects(open(dataDir), { code: 'MESH_FILE_FAILED', kind: 'unavailable', retryable: true });
  rmSync(join(dataDir, 'mesh'));
  mkdirSync(join(dataDir, 'mesh', 'identity.key'), { recursive: true });
  await t.rejects(open(dataDir), {
    code: 'MESH_FILE_FAILED',
    message: /cannot read .*something else has its name/,
  });
  rmSync(join(dataDir, 'mesh'), { recursive: true });
  const folder = await open(dataDir);
  mkdirSync(join(dataDir, 'mesh', 'epochs.json'));
  writeFileSync(join(dataDir, 'mesh', 'epochs.json', 'x'), '');
  await t.rejects(folder.startEpoch(1), { code: 'MESH_FILE_FAILED' });
  rmSync(join(dataDir, 'mesh', 'epochs.json'), { recursive: true });
  writeFileSync(join(dataDir, 'mesh', 'epochs.json'), Buffer.alloc(17 * 1_048_576));
  await t.rejects(open(dataDir), { message: /it has 17825792 bytes/ });
});

t.test('a folder that may only be read is told', async (t) => {
  const dataDir = tempFolder(t);
  const isRoot = process.geteuid?.() === 0;
  // Root may write everywhere.
  if (isRoot) {
    chownSync(dataDir, NOBODY, NOBODY);
    process.seteuid?.(NOBODY);
  }
  try {
    const folder = await open(dataDir);
    chmodSync(join(dataDir, 'mesh'), 0o500);
    await t.rejects(folder.startEpoch(1), {
      code: 'MESH_FILE_FAILED',
      message: /this user may not.*\(EACCES\)/,
    });
    chmodSync(join(dataDir, 'mesh'), 0o700);
    chmodSync(join(dataDir, 'mesh', 'identity.key'), 0);
    await t.rejects(open(dataDir), { code: 'MESH_FILE_FAILED', message: /cannot read .*identity\.key/ });
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
});

t.test('faults of the system have a way out', async (t) => {
  const fault = (code: string): Error => Object.assign(new Error('x'), { code });
  t.match(
    toMeshFileError(fault('EROFS'), 'write x').message,
    /^cannot write x: this user may not.*\(EROFS\)$/,
  );
  t.match(toMeshFileError(fault('ENOSPC'), 'write x').message, /no space is left; free some/);
  t.match(toMeshFileError(fault('ENOTDIR'), 'read x').message, /a part of this path is no folder/);
  t.match(toMeshFileError(fault('EIO'), 'write x').message, /kernel log/);
  t.match(toMeshFileError('odd', 'write x').message, /\(odd\)$/);
});

t.test('a newer format is refused', async (t) => {
  const dataDir = tempFolder(t);
  await start(dataDir, 1);
  const path = join(dataDir, 'mesh', 'epochs.json');
  const { createHash } = await import('node:crypto');
  const body = '{"version":2,"epochs":[\n';
  const check = createHash('sha256').update(body).digest('hex').slice(0, 16);
  writeFileSync(path, `${body}],"check":"${check}"}\n`);
  await t.rejects(open(dataDir), { code: 'STORAGE_FORMAT_NEWER', message: /has format 2/ });
});

t.test('removing what is not there is no error', async (t) => {
  const dataDir = tempFolder(t);
  await removeIdentity(dataDir);
  t.notOk(existsSync(join(dataDir, 'mesh')));
  t.equal(await nodeMeshFiles.makePrivate(join(dataDir, 'x')), false);
});
