import { EventEmitter } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import type { ProcessEvent, ProcessPort, World } from '../../../lib/cli/command.js';

/** Thrown in place of the end of the process. */
export class Exited extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit ${exitCode}`);
    this.exitCode = exitCode;
  }
}

class Sink extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString('utf8');
    this.emit('text');
    done();
  }
}

/** Standard input that counts as a terminal. */
class FakeTerminal extends PassThrough {
  readonly isTTY = true;
  readonly rawModes: boolean[] = [];

  setRawMode(raw: boolean): void {
    this.rawModes.push(raw);
  }
}

class FakeProcess extends EventEmitter implements ProcessPort {
  readonly exits: number[] = [];

  exit(code: number): never {
    this.exits.push(code);
    throw new Exited(code);
  }

  /** Sends a signal or fault; what would have ended the process is in `exits`. */
  send(event: ProcessEvent, cause?: unknown): void {
    try {
      this.emit(event, cause);
    } catch (error) {
      if (!(error instanceof Exited)) throw error;
    }
  }
}

/** A process for a command to run in. */
export class FakeWorld implements World {
  readonly stdin = new PassThrough();
  readonly stdout = new Sink();
  readonly stderr = new Sink();
  readonly process = new FakeProcess();
  readonly env: Record<string, string | undefined> = {};

  /** Resolves once standard error holds `text` behind position `from`. */
  async told(text: string, from = 0): Promise<void> {
    while (!this.stderr.text.slice(from).includes(text)) {
      await new Promise((resolve) => this.stderr.once('text', resolve));
    }
  }
}

export class FakeTerminalWorld extends FakeWorld {
  override readonly stdin = new FakeTerminal();
}
