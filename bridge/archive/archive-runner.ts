/**
 * Keeps an archiver going: at once while there is something to archive, later where there is not, and ever later where the store fails.
 * Nothing is given up: what cannot be archived stays in the log.
 */
import type { Clock, TimerHandle, Timers } from '../../lib/contracts/clock.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { ArchiveStep } from './archiver.js';
import { ManifestFault } from './manifest-entry.js';
import { ObjectFault, type ObjectFaultKind } from './object-store.js';

export interface RunnerPorts {
  readonly clock: Clock;
  readonly timers: Timers;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly logger: Logger;
  step(): Promise<ArchiveStep>;
  /** What `status` says is another. */
  readonly changed?: (status: RunnerStatus) => void;
  /** When there may be something to archive at the latest, on `clock`; undefined: only `wake` tells. */
  nextAt(): number | undefined;
}

/** `manifest`: what is in the archive is not what its writers left. `local`: the log or the disk here. */
export type ArchiveFaultKind = ObjectFaultKind | 'manifest' | 'local';

export interface ArchiveFault {
  readonly kind: ArchiveFaultKind;
  /** For people. */
  readonly text: string;
  /** How often in a row something failed. */
  readonly count: number;
  /** On the wall clock, milliseconds since 1970: the first of them. */
  readonly sinceMs: number;
  /** The next attempt, on the wall clock. */
  readonly nextMs: number;
}

export interface RunnerStatus {
  readonly state: 'stopped' | 'working' | 'idle' | 'failing';
  readonly fault: ArchiveFault | undefined;
  /** Steps since the start that archived something. */
  readonly doneCount: number;
}

const FIRST_RETRY_MS = 1000;
/** After an outage of days it goes on within a minute. */
const RETRY_MAX_MS = 60_000;
/** What only a person can put right is tried no more often. */
const NEEDS_A_PERSON: ReadonlySet<ArchiveFaultKind> = new Set([
  'denied',
  'clock',
  'missing',
  'manifest',
  'full',
]);
const DOUBLINGS_MAX = 16;

export class ArchiveRunner {
  readonly #ports: RunnerPorts;
  #state: RunnerStatus['state'] = 'stopped';
  #fault: ArchiveFault | undefined;
  #doneCount = 0;
  #timer: TimerHandle | undefined;
  /** What there is to archive may have changed while a step was under way. */
  #isWoken = false;
  #running: Promise<void> | undefined;

  constructor(ports: RunnerPorts) {
    this.#ports = ports;
  }

  get status(): RunnerStatus {
    return { state: this.#state, fault: this.#fault, doneCount: this.#doneCount };
  }

  start(): void {
    if (this.#state !== 'stopped') return;
    this.#enter('idle');
    this.wake();
  }

  /** There may be something to archive. While the store fails it is not asked more often for that. */
  wake(): void {
    this.#isWoken = true;
    if (this.#state === 'idle') this.#run();
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#enter('stopped');
    this.#timer?.cancel();
    await this.#running;
  }

  #run(): void {
    this.#timer?.cancel();
    this.#enter('working');
    this.#running = this.#work().finally(() => (this.#running = undefined));
  }

  async #work(): Promise<void> {
    while (this.#state === 'working') {
      this.#isWoken = false;
      try {
        const step = await this.#ports.step();
        this.#recovered();
        if (step !== 'idle') this.#done();
        else if (!this.#isWoken) return this.#rest();
      } catch (error) {
        return this.#failed(error);
      }
    }
  }

  #enter(state: RunnerStatus['state']): void {
    this.#state = state;
    this.#ports.changed?.(this.status);
  }

  #done(): void {
    this.#doneCount++;
    this.#ports.changed?.(this.status);
  }

  #rest(): void {
    if (this.#state !== 'working') return;
    this.#enter('idle');
    const { clock, nextAt } = this.#ports;
    const at = nextAt();
    if (at !== undefined) this.#after(Math.max(0, at - clock.now()));
  }

  #recovered(): void {
    if (this.#fault === undefined) return;
    const { clock, logger } = this.#ports;
    const seconds = Math.round((clock.wall() - this.#fault.sinceMs) / 1000);
    logger.info('the archive can be reached again', { after: `${seconds} s`, failures: this.#fault.count });
    this.#fault = undefined;
  }

  #failed(error: unknown): void {
    const { clock, logger, random } = this.#ports;
    const kind = kindOf(error);
    const text = error instanceof Error ? error.message : String(error);
    const before = this.#fault;
    const count = (before?.count ?? 0) + 1;
    const longest = RETRY_MAX_MS * (0.5 + random() / 2);
    const grown = FIRST_RETRY_MS * 2 ** Math.min(count - 1, DOUBLINGS_MAX) * (0.5 + random());
    const delayMs = NEEDS_A_PERSON.has(kind) ? longest : Math.min(grown, longest);
    const now = clock.wall();
    this.#fault = { kind, text, count, sinceMs: before?.sinceMs ?? now, nextMs: Math.round(now + delayMs) };
    // Once for each kind: an outage of days fills no log. What is cut off by the end is none.
    if (before?.kind !== kind && this.#state === 'working')
      logger.warn('messages cannot be archived; they stay in the log', { kind, reason: text });
    if (this.#state !== 'working') return;
    this.#enter('failing');
    this.#after(delayMs);
  }

  #after(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#ports.timers.after(delayMs, () => {
      if (this.#state !== 'stopped') this.#run();
    });
  }
}

function kindOf(error: unknown): ArchiveFaultKind {
  if (error instanceof ObjectFault) return error.kind;
  return error instanceof ManifestFault ? 'manifest' : 'local';
}
