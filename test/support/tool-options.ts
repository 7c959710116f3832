/** The command line of programs for developers: `npm run sim`, `chaos`, `fuzz`, `demo`. */
import { parseArgs, type ParseArgsConfig } from 'node:util';

/** `--help` shows the usage and ends with 0; what is not known, and a number that is none, says so, shows it and ends with 2. */
export class ToolOptions<T extends ParseArgsConfig> {
  readonly given: ReturnType<typeof parseArgs<T>>;
  readonly #usage: string;

  /** @param usage one line for each way to call it, and what it does */
  constructor(usage: string, config: T) {
    this.#usage = usage;
    if (process.argv.includes('--help') || process.argv.includes('-h')) {
      process.stdout.write(`${usage}\n`);
      process.exit(0);
    }
    this.given = this.#parse(config);
  }

  #parse(config: T): ReturnType<typeof parseArgs<T>> {
    try {
      return parseArgs(config);
    } catch (error) {
      return this.fail(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param text undefined: it was not given. @returns `otherwise` then */
  number<D extends number | undefined>(name: string, text: string | undefined, otherwise: D): number | D {
    if (text === undefined) return otherwise;
    const value = Number(text);
    return text !== '' && Number.isFinite(value) && value >= 0
      ? value
      : this.fail(`--${name} ${JSON.stringify(text)} is no number of at least 0`);
  }

  fail(text: string): never {
    process.stderr.write(`${text}\n\n${this.#usage}\n`);
    process.exit(2);
  }
}
