import type { Readable, Writable } from 'node:stream';

/** What a command line option is called and takes. */
export interface OptionSpec {
  readonly long: string;
  readonly short?: string;
  /** Placeholders of its values; absent: the option is a switch. */
  readonly values?: readonly [string, ...string[]];
  /** How many values follow beyond `values`, given those. */
  readonly moreValues?: (values: readonly string[]) => number;
  readonly description: string;
  /** The configuration key that the option sets; a switch sets it to true. */
  readonly key?: string;
}

export interface Example {
  readonly purpose: string;
  readonly line: string;
}

/** One row of the command table; help, docs/cli.md and the parser are made from it. */
export interface Command {
  /** One or two words: `up`, `config check`. */
  readonly name: string;
  readonly summary: string;
  /** What follows `sprawl-edge <name>`. */
  readonly usage: string;
  /** Paragraphs. */
  readonly details: readonly string[];
  readonly options: readonly OptionSpec[];
  readonly positionals: { readonly min: number; readonly max: number };
  readonly examples: readonly Example[];
  /** Exit code of a command line that cannot be understood. */
  readonly usageExitCode: number;
  /** Runs the command and resolves to the exit code. Its code is loaded only here, so that help is fast. */
  readonly run: (invocation: Invocation, world: World) => Promise<number>;
}

/** The process around a command. */
export interface World {
  readonly stdin: InputStream;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly process: ProcessPort;
}

/** Standard input, a terminal perhaps. */
export interface InputStream extends Readable {
  readonly isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
}

/** Signals and faults of the process, and its end. */
export interface ProcessPort {
  on(event: ProcessEvent, listener: (cause: unknown) => void): unknown;
  removeListener(event: ProcessEvent, listener: (cause: unknown) => void): unknown;
  exit(code: number): never;
}
export type ProcessEvent = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'uncaughtException' | 'unhandledRejection';

/** One option as it was given. */
export interface GivenOption {
  readonly spec: OptionSpec;
  /** As the user wrote it: `-t`, `--topic`. */
  readonly written: string;
  readonly values: readonly string[];
}

/** A parsed command line. */
export class Invocation {
  readonly command: Command;
  /** In the order of the command line. */
  readonly given: readonly GivenOption[];
  readonly positionals: readonly string[];

  constructor(command: Command, given: readonly GivenOption[], positionals: readonly string[]) {
    this.command = command;
    this.given = given;
    this.positionals = positionals;
  }

  has(long: string): boolean {
    return this.given.some((option) => option.spec.long === long);
  }

  /** The first value of the last such option. */
  value(long: string): string | undefined {
    return this.valuesOf(long).at(-1);
  }

  /** The first value of every such option. */
  valuesOf(long: string): string[] {
    return this.tuplesOf(long).flatMap((values) => values.slice(0, 1));
  }

  /** All values of every such option. */
  tuplesOf(long: string): (readonly string[])[] {
    return this.given.filter((option) => option.spec.long === long).map((option) => option.values);
  }
}
