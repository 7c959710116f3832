/** The probes of the machine that this process runs on. */
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { statSync } from 'node:fs';
import { createServer } from 'node:net';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import type { Writable } from 'node:stream';
import type { Config } from '../../config/index.js';
import type { ArchivesStatus, StandbyStatus } from '../../contracts/archive-status.js';
import { realClock } from '../../real-clock.js';
import { askGateway, expectAnswer, urlOf } from '../gateway-http.js';
import { certificateEndMs } from '../../tls-files.js';
import { toolLogger } from '../tool-logger.js';
import { folderProbe, spaceProbe, syncProbe, useProbe } from './folder-probes.js';
import type { MachineFound, PackageFound } from './judge-machine.js';
import type { PortWanted } from './judge-network.js';
import type { Probes } from './probes.js';

/** Whose machine code is loaded with them: sodium-native and udx-native, classic-level. */
const NATIVE_PACKAGES = ['hyperdht', 'level'] as const;
const LOAD_TIMEOUT_MS = 7000;
const TELL_TIMEOUT_MS = 2000;
const REACH_TIMEOUT_MS = 5000;
const FAULT_MAX_CHARS = 300;

/** Its tools are loaded where they are used: a machine on which they do not load is what this is for. */
export function createProbes(stderr: Writable): Probes {
  return {
    machine,
    packages: () => Promise.all(NATIVE_PACKAGES.map(packageProbe)),
    wall: () => realClock.wall(),
    builtMs,
    isSynchronized,
    certificate: certificateEndMs,
    isInUse: useProbe,
    folder: folderProbe,
    space: spaceProbe,
    syncs: syncProbe,
    port: (wanted) => (wanted.kind === 'tcp' ? tcpPortProbe(wanted) : udpPortProbe(wanted)),
    mesh: async (config) => (await import('../../mesh-tools.js')).lookAtMesh(config, toolLogger(stderr)),
    reach: async (host, port, bootstrap) =>
      (await import('../../mesh-tools.js')).lookAtReach({
        ...{ host, port, bootstrap },
        timeoutMs: REACH_TIMEOUT_MS,
      }),
    runningArchive,
    archive: async (where, dataDir) => (await import('../../archive-tools.js')).lookAtArchive(where, dataDir),
    standby: standbyProbe,
    peer: async (address) => (await import('../../mesh-tools.js')).lookAtPeer(address),
  };
}

const OK = 200;

async function runningArchive(config: Config): Promise<ArchivesStatus | undefined> {
  const answer = await askGateway(urlOf(config), '/api/v1/archive').catch(() => undefined);
  return answer?.status === OK ? (JSON.parse(answer.text) as ArchivesStatus) : undefined;
}

async function standbyProbe(config: Config): Promise<readonly StandbyStatus[]> {
  const url = urlOf(config);
  const answer = await askGateway(url, '/api/v1/archive');
  expectAnswer(url, answer);
  return (JSON.parse(answer.text) as ArchivesStatus).standby;
}

function machine(): MachineFound {
  return {
    nodeVersion: process.versions.node,
    platform: process.platform,
    architecture: process.arch,
    glibcVersion: process.platform === 'linux' ? parseGlibcVersion(process.report?.getReport()) : undefined,
  };
}

/** @param report of Node.js on itself */
export function parseGlibcVersion(report: unknown): string | undefined {
  const { header } = (report ?? {}) as { readonly header?: { readonly glibcVersionRuntime?: unknown } };
  const version = header?.glibcVersionRuntime;
  return typeof version === 'string' ? version : undefined;
}

/** In a process of its own: machine code for another processor ends it. */
export async function packageProbe(name: string): Promise<PackageFound> {
  try {
    const code = `await import(${JSON.stringify(import.meta.resolve(name))})`;
    // The code does not end the process by itself where it leaves something open.
    await run(
      process.execPath,
      ['--input-type=module', '--eval', `${code}; process.exit(0)`],
      LOAD_TIMEOUT_MS,
    );
    return { name, fault: undefined };
  } catch (error) {
    return { name, fault: faultOf(error) };
  }
}

/** The line of what a failed process wrote that says why. */
function faultOf(error: unknown): string {
  const { stderr, signal, message } = error as { stderr?: string; signal?: string | null; message: string };
  const line = stderr?.split('\n').find((one) => /\bError\b.*: /.test(one));
  const text = line?.trim() ?? (signal == null ? message.split('\n')[0] : `it was ended by ${signal}`);
  return (text ?? '').slice(0, FAULT_MAX_CHARS);
}

function run(file: string, args: readonly string[], timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(file, args, { timeout: timeoutMs }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(Object.assign(error, { stderr }));
    });
  });
}

/** Of this very file. Archives of npm set all times to 1985, which says nothing; so does what is judged with it then. */
function builtMs(): number {
  return statSync(fileURLToPath(import.meta.url)).mtimeMs;
}

async function isSynchronized(): Promise<boolean | undefined> {
  try {
    const args = ['show', '--property=NTPSynchronized', '--value'];
    const text = (await run('timedatectl', args, TELL_TIMEOUT_MS)).trim();
    return text === 'yes' ? true : text === 'no' ? false : undefined;
  } catch {
    return undefined; // Not there, or without systemd.
  }
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : error.message;
}

function tcpPortProbe({ host, port }: PortWanted): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(codeOf(error)));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

function udpPortProbe({ host, port }: PortWanted): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', (error) => socket.close(() => resolve(codeOf(error))));
    socket.bind({ address: host, port, exclusive: true }, () => socket.close(() => resolve(undefined)));
  });
}
