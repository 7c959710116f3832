import type { ProcessEvent, World } from './command.js';
import { ExitCode } from './exit-code.js';

/** What is in flight when somebody wants to end: a broker that is well acknowledges it in less. */
const WAIT_MAX_MS = 2000;

const CODES: readonly (readonly [ProcessEvent, ExitCode])[] = [
  ['SIGINT', ExitCode.interrupted],
  ['SIGTERM', ExitCode.terminated],
];

/**
 * SIGINT and SIGTERM of a command that brings to an end what it has begun:
 *
 *     running ── a signal ──▶ stopping ── another one, or 2 s ──▶ leaving
 */
export class Interruption {
  readonly #world: World;
  readonly #waitMaxMs: number;
  readonly #stopping = new AbortController();
  readonly #leaving = new AbortController();
  readonly #listeners: readonly (readonly [ProcessEvent, () => void])[];
  #exitCode: ExitCode | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Listens until `release`. @param waitMaxMs from the first signal until nothing is waited for any more */
  constructor(world: World, waitMaxMs = WAIT_MAX_MS) {
    this.#world = world;
    this.#waitMaxMs = waitMaxMs;
    this.#listeners = CODES.map(([event, code]) => [event, () => this.#take(code)]);
    for (const [event, listener] of this.#listeners) world.process.on(event, listener);
  }

  /** Aborted: nothing new is to be begun. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Aborted: what has been begun is not to be waited for either. */
  get leaving(): AbortSignal {
    return this.#leaving.signal;
  }

  /** Of the first signal; undefined: there was none. */
  get exitCode(): ExitCode | undefined {
    return this.#exitCode;
  }

  release(): void {
    clearTimeout(this.#timer);
    for (const [event, listener] of this.#listeners) this.#world.process.removeListener(event, listener);
  }

  #take(code: ExitCode): void {
    if (this.#exitCode !== undefined) return this.#leaving.abort();
    this.#exitCode = code;
    this.#timer = setTimeout(() => this.#leaving.abort(), this.#waitMaxMs);
    this.#stopping.abort();
  }
}
