/** The gateway of one site: a process of its own, with a configuration file that a person can look at. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { ArchivesStatus } from '../../lib/contracts/archive-status.js';
import type { MeshStatus } from '../../lib/contracts/mesh-status.js';
import { cleanEnvironment } from '../support/clean-process.js';
import type { Site } from './readings.js';

const BIN = fileURLToPath(new URL('../../../bin/sprawl-edge.cjs', import.meta.url));
const LOOK_EVERY_MS = 50;
const READY_MAX_MS = 120_000;
const ASK_MAX_MS = 3000;

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Without what whoever runs the demo has configured. */
export function environment(more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...cleanEnvironment(), ...more };
}

export interface SiteOptions {
  readonly site: Site;
  /** For all that it has. */
  readonly folder: string;
  readonly mqttPort: number;
  readonly httpPort: number;
  /** Of mesh and archive. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string>>;
}

export class SiteGateway {
  readonly options: SiteOptions;
  readonly configFile: string;
  readonly logFile: string;
  #child: ChildProcess | undefined;

  constructor(options: SiteOptions) {
    const { site, folder, mqttPort, httpPort, config } = options;
    this.options = options;
    this.configFile = join(folder, `${site}.yaml`);
    this.logFile = join(folder, `${site}.log`);
    const file = {
      dataDir: join(folder, site),
      listeners: { mqttPort, wsPort: false },
      http: { port: httpPort },
      ...config,
    };
    writeFileSync(this.configFile, stringify(file));
  }

  get site(): Site {
    return this.options.site;
  }

  /** Runs one command with its configuration, to the end. */
  run(args: readonly string[], input = ''): Promise<Ran> {
    return runCommand([...args, '--config', this.configFile], this.options.env, input);
  }

  /** Resolves when it serves. @param command `up`, or `join` with the swarm key as input */
  async start(command: readonly string[] = ['up'], input = ''): Promise<void> {
    const log = openSync(this.logFile, 'a');
    const child = spawn(process.execPath, [BIN, ...command, '--config', this.configFile], {
      env: environment(this.options.env),
      stdio: ['pipe', 'ignore', log],
    });
    closeSync(log);
    child.stdin?.end(input);
    this.#child = child;
    const deadline = performance.now() + READY_MAX_MS;
    while (!(await this.#isReady())) {
      if (child.exitCode !== null || performance.now() > deadline)
        throw new Error(`the gateway of ${this.site} does not start:\n${readFileSync(this.logFile, 'utf8')}`);
      await elapse(LOOK_EVERY_MS);
    }
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  mesh(): Promise<MeshStatus> {
    return this.#ask<MeshStatus>('/mesh');
  }

  archive(): Promise<ArchivesStatus> {
    return this.#ask<ArchivesStatus>('/api/v1/archive');
  }

  /** How many others it has a link to. */
  async links(): Promise<number> {
    return (await this.mesh()).peers.filter(({ state }) => state === 'up' || state === 'relayed').length;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await this.#fetch('/readyz')).ok;
    } catch {
      return false;
    }
  }

  async #ask<T>(path: string): Promise<T> {
    const answer = await this.#fetch(path);
    if (!answer.ok) throw new Error(`${this.site} answers ${answer.status} to GET ${path}`);
    return (await answer.json()) as T;
  }

  #fetch(path: string): Promise<Response> {
    const { httpPort } = this.options;
    return fetch(`http://127.0.0.1:${httpPort}${path}`, { signal: AbortSignal.timeout(ASK_MAX_MS) });
  }
}

/** Runs `sprawl-edge` to the end. */
export async function runCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  input = '',
): Promise<Ran> {
  const child = spawn(process.execPath, [BIN, ...args], { env: environment(env) });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}

/** A node of a private hash table, where gateways begin to look for each other. */
export class BootstrapNode {
  readonly #child: ChildProcess;
  readonly address: string;

  private constructor(child: ChildProcess, address: string) {
    this.#child = child;
    this.address = address;
  }

  static async start(port: number): Promise<BootstrapNode> {
    const args = [BIN, 'bootstrap', '--host', '127.0.0.1', '--port', `${port}`];
    const child = spawn(process.execPath, args, {
      env: environment({}),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    const ended = once(child, 'exit').then(() => {
      throw new Error(`the bootstrap node ended: ${out}`);
    });
    ended.catch(() => undefined);
    for (;;) {
      const [, address] = /--bootstrap (\S+) /.exec(out) ?? [];
      if (address !== undefined) return new BootstrapNode(child, address);
      const [text] = (await Promise.race([once(child.stdout, 'data'), ended])) as [Buffer];
      out += text.toString();
    }
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    if (this.#child.exitCode === null && this.#child.kill('SIGTERM')) await ended;
  }
}
