/**
 * The interoperability suites of Eclipse Paho, run against gateways of this process. The suites are not part of this
 * project: they come from a folder, or from the public repository at a pinned commit.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { startGateway } from '../support/server-gateway.js';

export const PAHO_REPOSITORY = 'https://github.com/eclipse/paho.mqtt.testing';
export const PAHO_COMMIT = '9d7bb80bb8b9d9cfc0b52f8cb4c1916401281103';

/**
 * Both suites want one filter that nobody may subscribe to, and publish to a topic that begins with $, which is refused by
 * default; in 3.1.1 a refusal is the end of the connection.
 */
const ACL = [
  { publish: ['#', '$TopicA/#', '$client_test5/#'], subscribe: ['#', '$SYS/#'] },
  { deny: ['test/nosubscribe'] },
];

/** `settings` is what a suite expects of a broker beyond its defaults; docs/interoperability.md says why. */
export const SUITES = [
  { script: 'client_test.py', title: 'MQTT 3.1.1', tests: 10, settings: { security: { acl: ACL } } },
  {
    script: 'client_test5.py',
    title: 'MQTT 5',
    tests: 27,
    settings: { security: { acl: ACL }, mqtt: { keepAliveMaxS: 60 } },
  },
] as const;
export type Suite = (typeof SUITES)[number];

/**
 * Tests that cannot pass, by `suite/test`, each with its reason. docs/interoperability.md lists them; one that passes is an
 * error too, so that the list stays true.
 */
export const EXCEPTIONS: Readonly<Record<string, string>> = {
  'client_test5.py/test_subscribe_failure':
    'its client knows only 0x80 as a failure in SUBACK; the gateway answers 0x87 (Not authorized), which MQTT 5 has in table 3-8',
};

export interface PahoResult {
  readonly suite: Suite;
  readonly name: string;
  readonly ok: boolean;
  readonly seconds: number;
  /** Python's traceback where it failed. */
  readonly fault: string | undefined;
  /** Why it may fail. */
  readonly exception: string | undefined;
}

const RUNNER = fileURLToPath(new URL('../../../test/interop/run_suite.py', import.meta.url));
const HOST = '127.0.0.1';
const SUITE_TIMEOUT_MS = 300_000;

/** False, or why the suites cannot run. */
export function withoutPython(): false | string {
  return spawnSync('python3', ['--version']).error === undefined ? false : 'python3 is not installed';
}

/** The folder with the suites inside `folder`, a checkout of the repository. @throws where it has none. */
export function suitesIn(folder: string): string {
  for (const candidate of [join(folder, 'interoperability'), folder]) {
    if (existsSync(join(candidate, 'client_test5.py'))) return candidate;
  }
  throw new Error(`${folder} holds no interoperability/client_test5.py`);
}

/** Clones the pinned commit into a temporary folder. @throws with what git said. */
export function clonePaho(): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-paho-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  for (const args of [
    ['init', '--quiet', folder],
    ['-C', folder, 'fetch', '--quiet', '--depth', '1', PAHO_REPOSITORY, PAHO_COMMIT],
    ['-C', folder, 'checkout', '--quiet', PAHO_COMMIT],
  ]) {
    const { status, stderr, error } = spawnSync('git', args, { encoding: 'utf8' });
    if (status === 0) continue;
    remove();
    throw new Error(`git ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
  }
  return { folder, remove };
}

interface Line {
  readonly name: string;
  readonly ok?: boolean;
  readonly seconds?: number;
  readonly fault?: string | null;
}

function parseLine(text: string): Line {
  const value: unknown = JSON.parse(text);
  if (typeof value === 'object' && value !== null && 'name' in value) return value as Line;
  throw new Error(`not a result: ${text}`);
}

/** Runs Python to its end; what it printed is in the error where it told nothing. */
async function python(folder: string, args: readonly string[]): Promise<Line[]> {
  const child: ChildProcess = spawn('python3', [RUNNER, ...args], {
    cwd: folder,
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    timeout: SUITE_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => (printed = (printed + text).slice(-4000)));
  }
  const results = child.stdio[3];
  if (!(results instanceof Readable)) throw new Error('python3 has no channel for results');
  const lines: Line[] = [];
  createInterface(results).on('line', (line) => lines.push(parseLine(line)));
  await once(child, 'close');
  if (lines.length === 0) throw new Error(`python3 ${args.join(' ')} told nothing: ${printed}`);
  return lines;
}

/** One gateway and one Python for these tests. */
async function runShard(folder: string, suite: Suite, names: readonly string[]): Promise<PahoResult[]> {
  const dataDir = mkdtempSync(join(tmpdir(), 'sprawl-interop-'));
  const gateway = await startGateway({ dataDir, gateway: suite.settings });
  try {
    const lines = await python(folder, [suite.script, HOST, String(gateway.port), 'run', ...names]);
    return lines.map(({ name, ok, seconds, fault }) => ({
      suite,
      name,
      ok: ok === true,
      seconds: seconds ?? 0,
      fault: fault ?? undefined,
      exception: EXCEPTIONS[`${suite.script}/${name}`],
    }));
  } finally {
    await gateway.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/**
 * Runs one suite, dealt out to `shards` gateways that run side by side: the tests spend nearly all of their time asleep.
 * @param folder from `suitesIn`.
 */
export async function runSuite(folder: string, suite: Suite, shards: number): Promise<PahoResult[]> {
  const names = (await python(folder, [suite.script, HOST, '1', 'list'])).map((line) => line.name);
  const dealt = Array.from({ length: Math.min(shards, names.length) }, (_, shard) =>
    names.filter((_name, index) => index % shards === shard),
  );
  const results = (await Promise.all(dealt.map((some) => runShard(folder, suite, some)))).flat();
  return results.sort((a, b) => names.indexOf(a.name) - names.indexOf(b.name));
}

/** What keeps a run from being good: unexpected failures, exceptions that passed, tests that are missing. */
export function faultsOf(suite: Suite, results: readonly PahoResult[]): string[] {
  const faults: string[] = [];
  for (const { name, ok, fault, exception } of results) {
    if (!ok && exception === undefined)
      faults.push(`${suite.script} ${name} failed: ${fault ?? 'no traceback'}`);
    if (ok && exception !== undefined)
      faults.push(`${suite.script} ${name} passed, though it is listed: ${exception}`);
  }
  if (results.length !== suite.tests) {
    faults.push(`${suite.script}: ${results.length} results in place of ${suite.tests}`);
  }
  return faults;
}
