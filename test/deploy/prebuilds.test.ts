/** Packages with machine code bring it for arm64, so that nothing is compiled on a gateway. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const checkout = fileURLToPath(new URL('../../../', import.meta.url));
/** Of Debian 12, and of Raspberry Pi OS that is made of it. */
const GLIBC_MAX = 36;
const ELF_MACHINE_AT = 18;
const AARCH64 = 183;

interface Locked {
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
}

/** Folders of the packages of a production install. */
function productionPackages(): readonly (readonly [folder: string, Locked])[] {
  const { packages } = JSON.parse(readFileSync(join(checkout, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Locked>;
  };
  return Object.entries(packages).filter(
    ([folder, { dev }]) => folder !== '' && dev !== true && existsSync(join(checkout, folder)),
  );
}

/** Prebuilt files for Node.js on `platform`, those for musl left out. */
function prebuilt(folder: string, platform: string): readonly string[] {
  const at = join(folder, 'prebuilds', platform);
  if (!existsSync(at)) return [];
  return readdirSync(at)
    .filter((name) => name.endsWith('.node') && !name.includes('musl'))
    .map((name) => join(at, name));
}

/** Of packages that have machine code for a PC, those that have none for arm64. */
function missing(folders: readonly string[]): readonly string[] {
  return folders.filter(
    (folder) => prebuilt(folder, 'linux-x64').length > 0 && prebuilt(folder, 'linux-arm64').length === 0,
  );
}

const native = productionPackages().filter(
  ([folder, { hasInstallScript }]) =>
    hasInstallScript === true || prebuilt(join(checkout, folder), 'linux-x64').length > 0,
);

t.test('every package with machine code has it for arm64', (t) => {
  t.strictSame(
    native.map(([folder]) => folder),
    ['classic-level', 'sodium-native', 'udx-native'].map((name) => `node_modules/${name}`),
  );
  t.strictSame(missing(native.map(([folder]) => join(checkout, folder))), []);
  t.end();
});

t.test('one that has it for a PC alone is named', (t) => {
  const folder = t.testdir({
    one: { prebuilds: { 'linux-x64': { 'one.node': '' }, 'linux-arm64': { 'one.musl.node': '' } } },
    two: { prebuilds: { 'linux-x64': { 'two.node': '' }, 'linux-arm64': { 'two.node': '' } } },
  });
  t.strictSame(missing([join(folder, 'one'), join(folder, 'two')]), [join(folder, 'one')]);
  t.end();
});

t.test('the machine code is of 64-bit ARM, and content with the glibc of Debian 12', (t) => {
  for (const path of native.flatMap(([folder]) => prebuilt(join(checkout, folder), 'linux-arm64'))) {
    const bytes = readFileSync(path);
    t.equal(bytes.toString('latin1', 1, 4), 'ELF', path);
    t.equal(bytes.readUInt16LE(ELF_MACHINE_AT), AARCH64, path);
    const versions = [...bytes.toString('latin1').matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) =>
      Number(minor),
    );
    t.ok(versions.length > 0, 'it says what it needs');
    t.ok(Math.max(...versions) <= GLIBC_MAX, `${path} needs glibc 2.${Math.max(...versions)}`);
  }
  t.end();
});

t.test('the prepare script does nothing where the compiler was left out, and compiles where it is', (t) => {
  const { scripts } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as {
    scripts: { readonly prepare: string };
  };
  const prepare = (cwd: string): ReturnType<typeof spawnSync> =>
    spawnSync('/bin/sh', ['-c', scripts.prepare], { cwd, env: { PATH: t.testdirName }, encoding: 'utf8' });
  const folder = t.testdir({ without: {}, with: { node_modules: { typescript: {} } } });
  t.match(prepare(join(folder, 'without')), { status: 0, stderr: '' });
  t.match(prepare(join(folder, 'with')), { status: 127, stderr: /tsc/ }, 'there is no tsc in this PATH');
  t.end();
});
