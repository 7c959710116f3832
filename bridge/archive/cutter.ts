/** Decides when a stretch of the log becomes an entry of the archive: by size, by count and by age. */
import type { Clock } from '../../lib/contracts/clock.js';
import type { Lineage } from '../../lib/contracts/epoch.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { Cut } from './archiver.js';
import { EMPTY_TIP, type ManifestTip } from './manifest-entry.js';
import { type ArchivedLives, type NextStretch, nextStretch } from './stretch.js';

export interface CutLimits {
  readonly fileMaxBytes: number;
  readonly fileMaxCount: number;
  readonly fileMaxAgeMs: number;
}

/** The log, as far as it has to be known here: part of Store. */
export interface CutLog {
  readonly first: LogPosition;
  readonly committed: LogPosition;
  bytesBetween(after: LogPosition, upTo: LogPosition): number;
}

export interface CutterPorts {
  readonly clock: Clock;
  readonly log: CutLog;
  lineage(): Lineage;
  /** Whether anything may be archived now: the clock is trusted, and it is the time of day for it. */
  isOpen(): boolean;
  /** The archive knows a life of this gateway with this counter: a later one has to begin. */
  beyond(counter: number): void;
}

/** What waits to be archived. */
export interface ArchiveBacklog {
  readonly positions: number;
  /** About. */
  readonly bytes: number;
  /** How long the oldest of it has waited, as far as this process knows; 0: nothing waits. */
  readonly ageMs: number;
}

/** What an earlier process has left is not to wait for as long again; but a gateway that starts again and again makes no file each time. */
const LEFT_OVER_MAX_MS = 60_000;

export class Cutter {
  readonly #ports: CutterPorts;
  readonly #limits: CutLimits;
  readonly #config: string;
  readonly #startedAt: number;
  #tip: ManifestTip | undefined;
  #archived: ArchivedLives = new Map();
  readonly #skipped = new Map<string, LogPosition>();
  /** Since when something waits behind the tip; undefined: nothing does. */
  #waitsSince: number | undefined;
  #waitsFrom: LogPosition = 0;

  /** @param config see ManifestEntry */
  constructor(ports: CutterPorts, limits: CutLimits, config: string) {
    this.#ports = ports;
    this.#limits = limits;
    this.#config = config;
    this.#startedAt = ports.clock.now();
  }

  /** Everything up to here is in the archive. */
  archived(tip: ManifestTip, lives: ArchivedLives): void {
    this.#tip = tip;
    this.#archived = lives;
  }

  /** Looks at what has come. @returns whether something is to be cut now */
  look(): boolean {
    const stretch = this.#next();
    this.#wait(stretch);
    // Before anything is known of the archive there is something to find out.
    if (this.#tip === undefined) return this.#ports.isOpen();
    if (stretch.kind === 'beyond') this.#ports.beyond(stretch.counter);
    return stretch.kind === 'stretch' && this.#isDue(stretch.from, stretch.upTo);
  }

  /** undefined: nothing yet. */
  cut(): Cut | undefined {
    const stretch = this.#next();
    this.#wait(stretch);
    if (stretch.kind !== 'stretch' || !this.#isDue(stretch.from, stretch.upTo)) return undefined;
    const { epoch, after, from } = stretch;
    const upTo = this.#within(from, Math.min(stretch.upTo, from + this.#limits.fileMaxCount));
    return { epoch, after, upTo, config: this.#config, atMs: Math.round(this.#ports.clock.wall()) };
  }

  /** Nothing of the stretch is to be archived up to here: it makes no entry by itself. */
  skip(upTo: LogPosition): void {
    const stretch = this.#next();
    if (stretch.kind === 'stretch') this.#skipped.set(stretch.life, upTo);
  }

  /** Nothing up to here is wanted of the log any more. */
  get doneUpTo(): LogPosition {
    const stretch = this.#next();
    if (stretch.kind === 'none') return this.#ports.log.committed;
    return stretch.kind === 'stretch' ? stretch.from : 0;
  }

  get backlog(): ArchiveBacklog {
    const { clock, log } = this.#ports;
    const stretch = this.#next();
    if (stretch.kind === 'none') return { positions: 0, bytes: 0, ageMs: 0 };
    const after = this.doneUpTo;
    return {
      positions: log.committed - after,
      bytes: Math.round(log.bytesBetween(after, log.committed)),
      ageMs: this.#waitsSince === undefined ? 0 : clock.now() - this.#waitsSince,
    };
  }

  #next(): NextStretch {
    const { log, lineage } = this.#ports;
    const { first, committed } = log;
    return nextStretch({ first, committed, lineage: lineage() }, this.#tip ?? EMPTY_TIP, this.#lives());
  }

  #lives(): ArchivedLives {
    if (this.#skipped.size === 0) return this.#archived;
    const lives = new Map(this.#archived);
    for (const [life, upTo] of this.#skipped) lives.set(life, Math.max(upTo, lives.get(life) ?? 0));
    return lives;
  }

  #wait(stretch: NextStretch): void {
    const { clock } = this.#ports;
    if (stretch.kind !== 'stretch') {
      this.#waitsSince = undefined;
      return;
    }
    // What is behind the end of an entry came while it was made.
    if (this.#waitsSince === undefined || this.#waitsFrom !== stretch.from) this.#waitsSince = clock.now();
    this.#waitsFrom = stretch.from;
  }

  #isDue(from: LogPosition, upTo: LogPosition): boolean {
    const { clock, log, isOpen } = this.#ports;
    const { fileMaxBytes, fileMaxCount, fileMaxAgeMs } = this.#limits;
    if (!isOpen()) return false;
    if (upTo - from >= fileMaxCount || log.bytesBetween(from, upTo) >= fileMaxBytes) return true;
    const now = clock.now();
    // A life that has ended grows no more.
    if (upTo < log.committed && now - this.#startedAt >= Math.min(LEFT_OVER_MAX_MS, fileMaxAgeMs))
      return true;
    return this.#waitsSince !== undefined && now - this.#waitsSince >= fileMaxAgeMs;
  }

  /** The last position that leaves the stretch within its bytes; at least one. */
  #within(after: LogPosition, upTo: LogPosition): LogPosition {
    const { log } = this.#ports;
    const { fileMaxBytes } = this.#limits;
    if (log.bytesBetween(after, upTo) <= fileMaxBytes) return upTo;
    let least = after + 1;
    let most = upTo;
    while (least < most) {
      const middle = Math.ceil((least + most) / 2);
      if (log.bytesBetween(after, middle) <= fileMaxBytes) least = middle;
      else most = middle - 1;
    }
    return least;
  }
}
