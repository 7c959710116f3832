import { main } from '../../lib/cli/main.js';
import { FakeWorld } from '../unit/cli/fake-world.js';
import type { Ended } from './cli-process.js';

/** A command that runs in this process: a tenth of the time of one of its own. */
export class CliRun {
  readonly world = new FakeWorld();
  readonly ended: Promise<Ended>;

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    Object.assign(this.world.env, env);
    this.ended = main(args, this.world).then((code) => ({
      code,
      out: this.world.stdout.text,
      err: this.world.stderr.text,
    }));
  }

  get err(): string {
    return this.world.stderr.text;
  }

  /** Resolves once standard error holds `text` behind position `from`; rejects where the command ends before. */
  async told(text: string, from = 0): Promise<void> {
    const gone = this.ended.then(({ err }) => {
      if (!err.slice(from).includes(text))
        throw new Error(`it ended without ${JSON.stringify(text)}: ${err}`);
    });
    await Promise.race([this.world.told(text, from), gone]);
  }
}

/** Runs one command line to its end. */
export function runHere(
  args: readonly string[],
  input = '',
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const { world, ended } = new CliRun(args, env);
  world.stdin.end(input);
  return ended;
}
