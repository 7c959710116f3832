/**
 * The servers under test: how each is configured, started as a process of its own and ended. Every measurement gets a
 * fresh one.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startServer, type Command } from './server-process.js';
import { freePort } from '../support/free-port.js';

export const TARGET_NAMES = ['ours', 'ours-disk', 'mosquitto', 'nats', 'reflector'] as const;
export type TargetName = (typeof TARGET_NAMES)[number];

export interface RunningServer {
  readonly pid: number;
  readonly port: number;
  /** From the start of the process to the first CONNACK. */
  readonly readyMs: number;
  /** Kills the process and removes its files. */
  stop(): Promise<void>;
}

export interface Target {
  readonly name: TargetName;
  /** undefined: not installed, or not built. */
  version(): string | undefined;
  /** Writes what configuration it needs into `folder`, an empty one that goes after the run. */
  command(port: number, folder: string): Command;
}

/** The repository: this file runs as dist/test/bench/targets.js. */
export const PROJECT_ROOT = fileURLToPath(new URL('../../../', import.meta.url));
export const LAUNCHER = join(PROJECT_ROOT, 'bin', 'sprawl-edge.cjs');

function firstLineMatching(file: string, args: readonly string[], pattern: RegExp): string | undefined {
  const { stdout, error } = spawnSync(file, args, { encoding: 'utf8' });
  return error === undefined ? pattern.exec(stdout)?.[1] : undefined;
}

function packageVersion(): string {
  const version: unknown = JSON.parse(readFileSync(join(PROJECT_ROOT, 'package.json'), 'utf8')).version;
  return String(version);
}

const ours: Target = {
  name: 'ours',
  version: () => (existsSync(LAUNCHER) ? packageVersion() : undefined),
  command: (port) => ({
    file: process.execPath,
    args: [
      ...[LAUNCHER, 'up', '--mqtt-port', String(port), '--ws-port', '0', '--http-port', '0'],
      ...['--log-level', 'warn', '--allow-anonymous', '--set', 'storage.durability=memory'],
    ],
  }),
};

/** As it is started by default: everything is synced before it is acknowledged. */
const oursOnDisk: Target = {
  name: 'ours-disk',
  version: ours.version,
  command: (port, folder) => ({
    file: process.execPath,
    args: [
      ...[LAUNCHER, 'up', '--mqtt-port', String(port), '--ws-port', '0', '--http-port', '0'],
      ...['--log-level', 'warn', '--allow-anonymous', '--data-dir', join(folder, 'data')],
    ],
  }),
};

/** What every mosquitto here has. @param inflightMaxCount 0: no limit */
export function mosquittoLines(port: number, inflightMaxCount = 0): string[] {
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'max_queued_messages 0',
    `max_inflight_messages ${inflightMaxCount}`,
    'set_tcp_nodelay true',
    'log_type none',
  ];
  // Started as root it would change to a user who may not exist, and cannot read the folder.
  if (process.getuid?.() === 0) lines.push('user root');
  return lines;
}

/**
 * Everything in memory, no log, no limits. With `max_inflight_messages` at its default of 20, QoS 1 is no faster, and
 * a 3.1.1 publisher with more QoS 2 messages in flight is disconnected.
 */
const mosquitto: Target = {
  name: 'mosquitto',
  version: () => firstLineMatching('mosquitto', ['-h'], /^mosquitto version (\S+)/m),
  command: (port, folder) => {
    const file = join(folder, 'mosquitto.conf');
    writeFileSync(file, `${[...mosquittoLines(port), 'persistence false'].join('\n')}\n`);
    return { file: 'mosquitto', args: ['-c', file] };
  },
};

/** MQTT needs JetStream, whose store is on disk; it syncs every two minutes, so that acknowledgements do not wait. */
const nats: Target = {
  name: 'nats',
  version: () => firstLineMatching('nats-server', ['--version'], /v(\d\S*)/),
  command: (port, folder) => {
    const file = join(folder, 'nats.conf');
    const config = [
      'listen: "127.0.0.1:-1"',
      'server_name: bench',
      `jetstream { store_dir: ${JSON.stringify(join(folder, 'jetstream'))} }`,
      `mqtt { listen: "127.0.0.1:${port}" }`,
    ];
    writeFileSync(file, `${config.join('\n')}\n`);
    return { file: 'nats-server', args: ['-c', file] };
  },
};

const reflector: Target = {
  name: 'reflector',
  version: () => 'ceiling of the generator',
  command: (port) => ({
    file: process.execPath,
    args: [fileURLToPath(new URL('./reflector.js', import.meta.url)), String(port)],
  }),
};

export const TARGETS: Readonly<Record<TargetName, Target>> = {
  ours,
  'ours-disk': oursOnDisk,
  mosquitto,
  nats,
  reflector,
};

/** Throws an Error with the end of the server's stderr if it ends or does not answer in time. */
export async function startTarget(target: Target): Promise<RunningServer> {
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-bench-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const port = await freePort();
    const { pid, readyMs, kill } = await startServer(target.name, target.command(port, folder), port, folder);
    const stop = async (): Promise<void> => {
      await kill();
      remove();
    };
    return { pid, port, readyMs, stop };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Short commit id, with `+` if the work tree differs from it; undefined outside a repository. */
export function gitCommit(): string | undefined {
  const git = (...args: string[]): string =>
    execFileSync('git', args, {
      cwd: PROJECT_ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  try {
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '+');
  } catch {
    return undefined;
  }
}
