/** `config check` reads the files that a configuration names, and says of them what a start says. */
import t from 'tap';
import { main } from '../../lib/cli/main.js';
import { parseConfig } from '../../lib/config/index.js';
import { createGateway } from '../../lib/gateway.js';
import { nullLogger } from '../support/null-logger.js';
import { FakeWorld } from './cli/fake-world.js';

interface Case {
  /** Keys with `FILE` in place of the path of what is not there. */
  readonly keys: Readonly<Record<string, string>>;
  readonly says: RegExp;
  /** A start says it before it opens anything, so that it can be compared here. */
  readonly isSaidFirst?: boolean;
}

const TLS = 'listeners.tls';
const S3 = { 'archive.topics': 'a', 'archive.target': 's3://plant/edge' };
const CASES: readonly Case[] = [
  {
    keys: { 'security.passwordFile': 'FILE' },
    says: /^security\.passwordFile: FILE: .*ENOENT/,
    isSaidFirst: true,
  },
  { keys: { 'security.aclFile': 'FILE' }, says: /^security\.aclFile: FILE: .*ENOENT/, isSaidFirst: true },
  {
    keys: { [`${TLS}.certFile`]: 'FILE', [`${TLS}.keyFile`]: 'FILE' },
    says: /^cannot read FILE, the value of listeners\.tls\.certFile: ENOENT/,
  },
  {
    keys: { 'storage.encryptionKeyFile': 'FILE' },
    says: /key file FILE \(storage\.encryptionKeyFile\): ENOENT$/,
  },
  {
    keys: { 'archive.topics': 'a', 'archive.encryptionKeyFile': 'FILE' },
    says: /key file FILE \(archive\.encryptionKeyFile\): ENOENT$/,
    isSaidFirst: true,
  },
  {
    keys: { ...S3, 'archive.s3.caFile': 'FILE' },
    says: /^cannot read FILE, the value of archive\.s3\.caFile: ENOENT/,
    isSaidFirst: true,
  },
  {
    keys: { ...S3, 'archive.s3.caFile': '/dev/null' },
    says: /^\/dev\/null, the value of archive\.s3\.caFile, begins with no certificate in PEM: /,
    isSaidFirst: true,
  },
  {
    keys: { ...S3, 'archive.copyTarget': 's3://copies', 'archive.copyS3.caFile': 'FILE' },
    says: /^cannot read FILE, the value of archive\.copyS3\.caFile: ENOENT/,
  },
  {
    keys: { 'mesh.enabled': 'true' },
    says: /^mesh\.enabled is true, and \S+ is in no mesh: "sprawl-edge init"/,
  },
  {
    keys: { 'mesh.swarmKeyFile': 'FILE' },
    says: /^mesh\.swarmKeyFile: FILE: it is not there: /,
    isSaidFirst: true,
  },
];

async function check(flags: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const world = new FakeWorld();
  const code = await main(['config', 'check', ...flags], world);
  return { code, out: world.stdout.text, err: world.stderr.text };
}

t.test(
  'a file that is named and is not there ends config check with 2, in the words of a start',
  async (t) => {
    const dataDir = t.testdir();
    for (const { keys, says, isSaidFirst } of CASES) {
      const file = `${dataDir}/nowhere`;
      const settings = Object.entries({ dataDir, ...keys }).map(
        ([key, value]) => [key, value.replace('FILE', file)] as const,
      );
      const { code, err } = await check(settings.flatMap(([key, value]) => ['--set', `${key}=${value}`]));
      t.equal(code, 2);
      const said = err.replace(/^sprawl-edge: /, '').trimEnd();
      t.match(said.replaceAll(file, 'FILE'), says);
      if (isSaidFirst !== true) continue;
      const flags = settings.map(([key, text]) => ({ flag: '--set', key, text }));
      await t.rejects(createGateway({ config: parseConfig({ flags }), logger: nullLogger }), {
        message: said,
      });
    }
  },
);

t.test('what a gateway would not read is no mistake', async (t) => {
  const nowhere = `${t.testdir()}/nowhere`;
  const unused = {
    ...{ 'archive.encryptionKeyFile': nowhere, 'archive.s3.caFile': nowhere },
    ...{ 'mesh.enabled': 'false', 'mesh.swarmKeyFile': nowhere },
    ...{ 'storage.durability': 'memory', 'storage.encryptionKeyFile': nowhere },
  };
  const flags = Object.entries(unused).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  t.same(await check(flags), { code: 0, out: 'configuration ok\n', err: '' });
});
