/** A gateway as a process of its own that can be killed, traced and made to fail in its system calls. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { atEnd } from '../support/clean-end.js';
import { cleanCommand, cleanEnvironment } from '../support/clean-process.js';

const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));
const START_MAX_MS = 30_000;

/** Small files, so that segments, checkpoints and snapshots come and go within seconds. */
const SMALL_FILES: Readonly<Record<string, number | string>> = {
  'storage.segmentMaxBytes': 65_536,
  'storage.checkpointEveryBytes': 65_536,
  'storage.snapshotEveryBytes': 131_072,
};

export interface GatewayProcessOptions {
  readonly dataDir: string;
  readonly port: number;
  /** Default: true. Where it is measured how fast something is, files are what they are with everybody. */
  readonly hasSmallFiles?: boolean | undefined;
  /** Keys of the configuration. */
  readonly set?: Readonly<Record<string, number | string>>;
  /** Options of strace, under which it runs then. */
  readonly strace?: readonly string[];
  /** Options of Node.js. */
  readonly execArgv?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Folder with `bin` and `dist`; default: this project. */
  readonly project?: string;
  /** Subcommand with arguments of its own. Default: `up`. */
  readonly command?: readonly string[];
  /** What runs it and is replaced by it, as `ip netns exec NAME`. */
  readonly within?: readonly string[];
  /** Default: off. */
  readonly httpPort?: number;
}

/** One line of the log. */
export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class GatewayProcess {
  readonly child: ChildProcess;
  readonly startedAtMs = performance.now();
  readonly ended: Promise<ProcessEnd>;
  readonly lines: LogLine[] = [];
  /** What it said that was no line of the log. */
  text = '';
  #end: ProcessEnd | undefined;
  #rest = '';
  #watchers: (() => void)[] = [];

  constructor(options: GatewayProcessOptions) {
    const { dataDir, port, set = {}, strace, env = {}, project = PROJECT } = options;
    const { command = ['up'], within = [], execArgv = [], httpPort = false, hasSmallFiles = true } = options;
    const files = hasSmallFiles ? SMALL_FILES : {};
    const settings = Object.entries({ 'log.format': 'json', ...files, ...set }).flatMap(([key, value]) => [
      '--set',
      `${key}=${value}`,
    ]);
    const args = [
      ...[join(project, 'bin/sprawl-edge.cjs'), ...command, '--data-dir', dataDir],
      ...['--mqtt-port', `${port}`, '--ws-port', 'false', '--http-port', `${httpPort}`, ...settings],
    ];
    // -D: the child is the gateway and strace its grandchild, so that signals and ends are those of the gateway.
    const traced = strace === undefined ? [] : ['strace', '-D', '-f', ...strace];
    const [file = '', ...all] = [...within, ...traced, process.execPath, ...execArgv, ...args];
    this.child = spawn(...cleanCommand(file, all), {
      env: { ...cleanEnvironment(), ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#heard(text));
    const takeBack = atEnd(() => this.child.kill('SIGKILL'));
    this.ended = once(this.child, 'exit').then(([code, signal]) => {
      takeBack();
      this.#end = { code: code as number | null, signal: signal as NodeJS.Signals | null };
      this.#happened();
      return this.#end;
    });
  }

  get isRunning(): boolean {
    return this.#end === undefined;
  }

  /** Log lines at error level. */
  get errors(): readonly LogLine[] {
    return this.lines.filter(({ level }) => level === 'error');
  }

  /** @returns whether it takes connections; false: it ended before. @throws Error where it does neither for long. */
  async whenReady(): Promise<boolean> {
    const deadline = setTimeout(() => this.#happened(), START_MAX_MS);
    try {
      while (!this.lines.some(({ message }) => message === 'ready')) {
        if (!this.isRunning) return false;
        if (performance.now() - this.startedAtMs >= START_MAX_MS)
          throw new Error(`the gateway was not ready in ${START_MAX_MS} ms: ${this.text}`);
        await new Promise<void>((resolve) => this.#watchers.push(resolve));
      }
      return true;
    } finally {
      clearTimeout(deadline);
    }
  }

  /** Resolves when such a line was logged, or the process ended. @returns whether it was. */
  async told(holds: (line: LogLine) => boolean): Promise<boolean> {
    while (!this.lines.some(holds)) {
      if (!this.isRunning) return false;
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
    return true;
  }

  /** Also while it stands still. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  /** SIGTERM, and SIGKILL where that does not end it. */
  async stop(): Promise<ProcessEnd> {
    this.child.kill('SIGTERM');
    const impatient = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
    const end = await this.ended;
    clearTimeout(impatient);
    return end;
  }

  #heard(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('{')) this.lines.push(JSON.parse(line) as LogLine);
      else this.text += `${line}\n`;
    }
    this.#happened();
  }

  #happened(): void {
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const resume of watchers) resume();
  }
}
