import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cleanCommand, cleanEnvironment } from '../support/clean-process.js';

const BIN = fileURLToPath(new URL('../../../bin/sprawl-edge.cjs', import.meta.url));
const LEAN_TAP = fileURLToPath(new URL('../support/lean-tap.cjs', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A running `sprawl-edge`. */
export class CliProcess {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ended>;
  out = '';
  err = '';

  /** @param isCovered its lines count as covered; it starts more slowly, and no other test reaches them */
  constructor(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    { isCovered = false } = {},
  ) {
    const dataDir = mkdtempSync(join(tmpdir(), 'sprawl-edge-'));
    const own = { SPRAWL_DATA_DIR: dataDir };
    const [file, all] = isCovered
      ? [process.execPath, ['--require', LEAN_TAP, BIN, ...args]]
      : cleanCommand(process.execPath, [BIN, ...args]);
    this.child = spawn(file, all, {
      env: { ...cleanEnvironment(), ...own, ...env },
    });
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => (this.out += text));
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => (this.err += text));
    this.child.stdin.on('error', () => undefined); // It may end before it has read everything.
    this.ended = once(this.child, 'close').then(([code]) => {
      rmSync(dataDir, { recursive: true, force: true });
      return {
        code: typeof code === 'number' ? code : null,
        out: this.out,
        err: this.err,
      };
    });
  }

  /** For a teardown: a folder can be removed once nobody writes to it. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  /** Resolves once its output holds `text`; rejects where it ends before. */
  async told(stream: 'out' | 'err', text: string): Promise<void> {
    const source = stream === 'out' ? this.child.stdout : this.child.stderr;
    const gone = this.ended.then(() => {
      if (!this[stream].includes(text))
        throw new Error(`it ended without ${JSON.stringify(text)}: ${this.err}`);
    });
    gone.catch(() => undefined); // Only the race below looks at it.
    while (!this[stream].includes(text)) await Promise.race([once(source, 'data'), gone]);
  }
}

/** Runs one command line to its end. */
export async function runCli(
  args: readonly string[],
  input?: string | Buffer,
  env?: Record<string, string>,
): Promise<Ended> {
  const { child, ended } = new CliProcess(args, env, { isCovered: true });
  child.stdin.end(input);
  return ended;
}
