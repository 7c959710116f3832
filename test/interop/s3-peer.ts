/** Stores that speak S3, of others: real programs, each with an empty bucket, on this machine alone. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { cleanEnvironment } from '../support/clean-process.js';
import { freePort } from '../support/free-port.js';

export const CREDENTIALS = { accessKeyId: 'AKINTEROP', secretAccessKey: 'a secret of tests' } as const;
export const BUCKET = 'interop';
export const REGION = 'us-east-1';
const READY_MS = 60_000;

/** A kind of store, and how it is started. */
export interface PeerKind {
  readonly title: string;
  /** Names the program, where it is not on PATH. */
  readonly variable: string;
  readonly program: string;
  /** It aborts uploads that are never finished after a time, takes no rule for that, and lists none below a prefix. */
  readonly abortsUploads: boolean;
  /** Prints one line. */
  readonly versionArguments: readonly string[];
  command(folder: string): Promise<PeerCommand>;
}

interface PeerCommand {
  readonly port: number;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export const MINIO: PeerKind = {
  ...{ title: 'MinIO', variable: 'SPRAWL_MINIO', program: 'minio', versionArguments: ['--version'] },
  abortsUploads: true,
  command: async (folder) => {
    const port = await freePort();
    return {
      port,
      args: ['server', folder, '--address', `127.0.0.1:${port}`, '--console-address', '127.0.0.1:0'],
      env: { MINIO_ROOT_USER: CREDENTIALS.accessKeyId, MINIO_ROOT_PASSWORD: CREDENTIALS.secretAccessKey },
    };
  },
};

export const SEAWEEDFS: PeerKind = {
  ...{ title: 'SeaweedFS', variable: 'SPRAWL_WEED', program: 'weed', versionArguments: ['version'] },
  abortsUploads: false,
  command: async (folder) => {
    const names = ['master', 'volume', 'filer', 's3'];
    const ports = await Promise.all(names.flatMap((name) => [name, `${name}.grpc`]).map(portOf));
    const config = join(folder, 's3.json');
    const { accessKeyId: accessKey, secretAccessKey: secretKey } = CREDENTIALS;
    const actions = ['Admin', 'Read', 'List', 'Tagging', 'Write'];
    const identities = [{ name: 'interop', credentials: [{ accessKey, secretKey }], actions }];
    writeFileSync(config, JSON.stringify({ identities }));
    const data = join(folder, 'data');
    mkdirSync(data);
    return {
      port: ports.find(({ name }) => name === 's3')?.port ?? 0,
      args: [
        ...['server', `-dir=${data}`, '-ip=127.0.0.1', '-ip.bind=127.0.0.1', '-master.telemetry=false'],
        ...['-s3', `-s3.config=${config}`, '-s3.port.iceberg=0', '-s3.port.lance=0', '-volume.max=20'],
        ...['-master.volumeSizeLimitMB=64'],
        ...ports.map(({ name, port }) => `-${name.replace(/(\.grpc)?$/, '.port$1')}=${port}`),
      ],
    };
  },
};

async function portOf(name: string): Promise<{ readonly name: string; readonly port: number }> {
  return { name, port: await freePort() };
}

/** @returns why there is none of this kind; false: there is */
export function withoutPeer(kind: PeerKind): string | false {
  const program = programOf(kind);
  const { error } = spawnSync(program, kind.versionArguments, { stdio: 'ignore' });
  return error === undefined
    ? false
    : `${kind.title} is not here: no ${program} on PATH, and ${kind.variable} names none (test/README.md says how to get it)`;
}

const programOf = ({ variable, program }: PeerKind): string => process.env[variable] ?? program;

export function versionOf(kind: PeerKind): string {
  const { stdout } = spawnSync(programOf(kind), kind.versionArguments, { encoding: 'utf8' });
  return stdout.split('\n')[0] ?? '';
}

export interface S3Peer {
  readonly endpoint: string;
  readonly client: S3Client;
  stop(): Promise<void>;
}

/** Resolves when its bucket is there. */
export async function startPeer(kind: PeerKind): Promise<S3Peer> {
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-s3-'));
  const { port, args, env = {} } = await kind.command(folder);
  const child = spawn(programOf(kind), args, {
    ...{ cwd: folder, env: { ...cleanEnvironment(), HOME: folder, ...env } },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)));
  const endpoint = `http://127.0.0.1:${port}`;
  const client = new S3Client({
    ...{ endpoint, region: REGION, credentials: CREDENTIALS, forcePathStyle: true, maxAttempts: 1 },
  });
  const stop = async (): Promise<void> => {
    client.destroy();
    await end(child);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  const deadlineMs = performance.now() + READY_MS;
  for (;;) {
    try {
      await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
      return { endpoint, client, stop };
    } catch (error) {
      if (performance.now() > deadlineMs || child.exitCode !== null) {
        await stop();
        throw new Error(`${kind.title} did not start: ${String(error)}\n${said}`, { cause: error });
      }
      await elapse(100);
    }
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
