/**
 * The broker under test. Normally that is the gateway in this process; with SPRAWL_TEST_TARGET=mosquitto it is a
 * mosquitto of the machine, which is how the suite itself is checked against a broker it did not grow up with.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { startGateway } from './server-gateway.js';
import type { Owner } from './raw-client.js';
import { target } from './target.js';
import { freePort } from './free-port.js';

export interface ServerOptions {
  /** Default true. */
  anonymous?: boolean;
  /** Name and password. */
  users?: Readonly<Record<string, string>>;
  /** Name and password of users that may authenticate by SCRAM-SHA-256; mosquitto knows no such users. */
  scramUsers?: Readonly<Record<string, string>>;
  /** Text of an ACL file in mosquitto's format. */
  acl?: string;
  packetMaxBytes?: number;
  receiveMaximum?: number;
  keepAliveMaxS?: number;
  /** Aliases that clients may use. */
  topicAliasMaximum?: number;
  /** Whether messages may be retained. Default true. */
  retain?: boolean;
  /** A WebSocket listener beside the TCP one. */
  websocket?: boolean;
  /** Keys of the gateway's configuration, by section; mosquitto ignores them. */
  gateway?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** Options with files in place of texts. */
export interface ServerFiles extends ServerOptions {
  passwordFile?: string;
  aclFile?: string;
  dataDir: string;
}

export interface RunningServer {
  readonly port: number;
  /** 0 without a WebSocket listener. */
  readonly wsPort: number;
  stop(): Promise<void>;
}

/** One line of a password file: PBKDF2-SHA512 as mosquitto 2 writes it. */
function passwordLine(name: string, password: string): string {
  const iterations = 101;
  const salt = randomBytes(12);
  const hash = pbkdf2Sync(password, salt, iterations, 64, 'sha512');
  return `${name}:$7$${iterations}$${salt.toString('base64')}$${hash.toString('base64')}\n`;
}

/** One line of a password file with what SCRAM-SHA-256 keeps of a password [RFC 5802, section 3]. */
function scramLine(name: string, password: string): string {
  const iterations = 4096;
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const key = (text: string): Buffer => createHmac('sha256', salted).update(text).digest();
  const stored = createHash('sha256').update(key('Client Key')).digest();
  const parts = [salt, stored, key('Server Key')].map((bytes) => bytes.toString('base64'));
  return `${name}:$scram-sha-256$${iterations}$${parts.join('$')}\n`;
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

function mosquittoConfig(options: ServerFiles, port: number, wsPort: number): string {
  const lines = [
    'user root',
    'persistence false',
    'log_dest none',
    'sys_interval 1',
    'max_queued_messages 0',
    `listener ${port} 127.0.0.1`,
    `allow_anonymous ${options.anonymous ?? true}`,
  ];
  if (options.passwordFile !== undefined) lines.push(`password_file ${options.passwordFile}`);
  if (options.aclFile !== undefined) lines.push(`acl_file ${options.aclFile}`);
  if (options.packetMaxBytes !== undefined) lines.push(`max_packet_size ${options.packetMaxBytes}`);
  if (options.receiveMaximum !== undefined) lines.push(`max_inflight_messages ${options.receiveMaximum}`);
  if (options.keepAliveMaxS !== undefined) lines.push(`max_keepalive ${Math.max(10, options.keepAliveMaxS)}`);
  if (options.topicAliasMaximum !== undefined) lines.push(`max_topic_alias ${options.topicAliasMaximum}`);
  if (options.retain === false) lines.push('retain_available false');
  if (wsPort > 0) lines.push(`listener ${wsPort} 127.0.0.1`, 'protocol websockets');
  return lines.join('\n') + '\n';
}

async function startMosquitto(options: ServerFiles): Promise<RunningServer> {
  const port = await freePort();
  const wsPort = options.websocket === true ? await freePort() : 0;
  const file = join(options.dataDir, 'mosquitto.conf');
  writeFileSync(file, mosquittoConfig(options, port, wsPort));
  const child: ChildProcess = spawn('mosquitto', ['-c', file], { stdio: ['ignore', 'ignore', 'inherit'] });
  const deadline = performance.now() + 5000;
  while (!(await answers(port)) || (wsPort > 0 && !(await answers(wsPort)))) {
    if (performance.now() > deadline || child.exitCode !== null) throw new Error('mosquitto did not start');
    await delay(10);
  }
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  return { port, wsPort, stop };
}

/** A fresh broker for the test `owner`, with a folder of its own; both are gone when the test ends. */
export async function startServer(owner: Owner, options: ServerOptions = {}): Promise<RunningServer> {
  const dataDir = mkdtempSync(join(tmpdir(), 'sprawl-conformance-'));
  const files: ServerFiles = { ...options, dataDir };
  if (options.users !== undefined || options.scramUsers !== undefined) {
    files.passwordFile = join(dataDir, 'passwords');
    const lines = Object.entries(options.users ?? {}).map(([name, password]) => passwordLine(name, password));
    if (target === 'gateway') {
      for (const [name, password] of Object.entries(options.scramUsers ?? {}))
        lines.push(scramLine(name, password));
    }
    writeFileSync(files.passwordFile, lines.join(''), { mode: 0o600 });
  }
  if (options.acl !== undefined) {
    files.aclFile = join(dataDir, 'acl');
    writeFileSync(files.aclFile, options.acl, { mode: 0o600 });
  }
  const server = target === 'mosquitto' ? await startMosquitto(files) : await startGateway(files);
  owner.teardown(async () => {
    await server.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });
  return server;
}
