/**
 * The archive of one gateway: decides what is archived when, and has a thread that does it.
 *
 *     log ─ cutter ─▶ cut (note of the log, durable) ─▶ thread: files ─▶ store ─▶ manifest ─▶ floor of the log moves on
 */
import type { ArchiveStatus } from '../../lib/contracts/archive-status.js';
import type { Clock, Timers } from '../../lib/contracts/clock.js';
import type { Lineage } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { ArchiveFloor, LogPosition, Store } from '../../lib/contracts/store.js';
import { type ArchiveConfig, fingerprintOf } from './archive-config.js';
import { ArchiveThread } from './archive-thread.js';
import type { RunnerStatus } from './archive-runner.js';
import type { Cut } from './archiver.js';
import { type ClockStep, ClockSteps } from './clock-steps.js';
import { CutKeeper } from './cut-keeper.js';
import { type ArchiveBacklog, type CutLimits, type CutLog, Cutter } from './cutter.js';
import type { RowSource } from './log-rows.js';
import type { KnownEntry, ManifestTip, PositionRange } from './manifest-entry.js';
import type { LogRead } from './row-columns.js';
import { OfferedLog } from './standby/offered-log.js';
import type { ArchivedLives } from './stretch.js';
import type { TargetSettings } from './target.js';
import type { AddedFiles } from './thread-protocol.js';
import { HAS_ZSTD } from './zstd.js';

/** Minutes of a day, in the time of the machine; an end before its begin is of the next day. */
export interface DayHours {
  readonly from: number;
  readonly to: number;
}

export interface ArchiveSettings extends ArchiveConfig, CutLimits {
  /** Tells the archives of one gateway apart. */
  readonly name: ArchiveFloor;
  readonly target: TargetSettings;
  /** 0: no limit. */
  readonly maxBytesPerSecond: number;
  /** Empty: at any time. */
  readonly hours: readonly DayHours[];
  readonly backlogMaxBytes: number;
  readonly whenFull: 'refuse' | 'drop';
  /** Where files are made; what is in it goes. */
  readonly spoolFolder: string;
}

/** The log, as its archive needs it. */
export type ArchivedLog = Pick<
  Store,
  'first' | 'committed' | 'bytesBetween' | 'floors' | 'setFloor' | 'setNote' | 'recordNote' | 'note'
>;

export interface ArchivePorts {
  /** Who writes. */
  readonly self: GatewayId;
  /** Whose log it is. */
  readonly origin: GatewayId;
  readonly store: ArchivedLog;
  /** What is to be archived of it. */
  rows(topics: readonly string[], steps: ClockSteps, readBytes?: number): RowSource;
  /** See ThreadSettings. */
  readonly known?: KnownEntry | undefined;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  /** While it is full nothing is taken in. */
  setFull(isFull: boolean): void;
  /** Minutes of the day in the time of the machine. */
  minuteOfDay(): number;
  /** The lives of this gateway. */
  lineage(): Lineage;
  /** A life with a higher counter has to begin. */
  beyond(counter: number): void;
  /** Calls back when what the log has at this position is committed. */
  whenCommitted(done: () => void, position: LogPosition): void;
}

/** Where in the log an archive begins that has nothing yet. */
interface ArchiveBegin {
  readonly target: string;
  readonly from: LogPosition;
}

interface SavedCut {
  /** Of another archive it says nothing. */
  readonly target: string;
  readonly cut: Cut;
}

/** What the log remembers for an archive; the floor has the name of the archive. */
type NoteKind = 'cut' | 'clock' | 'target' | 'given-up' | 'reached';

/** Of what may wait. */
const ALARM_SHARE = 0.8;
/** At least between two warnings of one kind. */
const WARN_EVERY_MS = 600_000;

export class Archive {
  readonly #settings: ArchiveSettings;
  readonly #ports: ArchivePorts;
  readonly #config: string;
  readonly #cutter: Cutter;
  readonly #keeper: CutKeeper;
  #steps: ClockSteps;
  #rows: RowSource;
  readonly #offered: OfferedLog;
  #thread: ArchiveThread | undefined;
  #runner: RunnerStatus = { state: 'stopped', fault: undefined, doneCount: 0 };
  #isStarted = false;
  #tip: ManifestTip | undefined;
  #lives: ArchivedLives = new Map();
  #begin: ArchiveBegin | undefined;
  #isFull = false;
  #isStopped = false;
  #warnedAt = -Infinity;
  #added: AddedFiles = { rows: 0, bytes: 0, objects: 0 };
  #entries = 0;
  #dropped = 0;
  /** Positions that were given up and are not told as lost yet. */
  #givenUp: readonly PositionRange[] = [];

  /** @throws Error where this Node.js cannot write what is asked for */
  constructor(settings: ArchiveSettings, ports: ArchivePorts) {
    const { clock, lineage, beyond } = ports;
    if (settings.format === 'parquet' && settings.compression === 'zstd' && !HAS_ZSTD)
      throw new Error('archive.compression: zstd needs Node.js 22.15 or later: update it, or choose snappy');
    this.#settings = settings;
    this.#ports = ports;
    this.#config = fingerprintOf(settings);
    this.#steps = new ClockSteps(clock, []);
    this.#rows = ports.rows(settings.topics, this.#steps);
    this.#offered = new OfferedLog(settings, ports, this.#nameOf('reached'));
    this.#cutter = new Cutter(
      { clock, log: this.#log(), lineage, beyond, isOpen: () => this.#closedBecause() === undefined },
      settings,
      this.#config,
    );
    this.#keeper = new CutKeeper({
      saved: () => this.#savedCut(),
      save: (cut) => this.#save('cut', { target: this.#settings.target.target, cut } satisfies SavedCut),
      next: () => this.#nextCut(),
    });
  }

  /** After the store was opened, and the life of the gateway has begun. */
  start(): void {
    const { store, clock } = this.#ports;
    const steps = this.#note<readonly ClockStep[]>('clock');
    this.#givenUp = this.#note<readonly PositionRange[]>('given-up') ?? [];
    this.#steps = new ClockSteps(clock, steps ?? []);
    this.#rows = this.#ports.rows(this.#settings.topics, this.#steps);
    // Until it is known what the archive has, nothing goes.
    const { name } = this.#settings;
    if (!store.floors.has(name)) {
      store.setFloor(name, store.first);
      // Where it was an archive before, nobody held what came meanwhile.
      this.#giveUpBefore(store.first);
    }
    this.#lookAtTarget();
    this.#offered.start(this.#begin?.from ?? store.first, this.#floor, this.#steps);
    this.#isStarted = true;
  }

  /** What went to another archive is not in this one: an archive that is new begins behind it, one that was left for a while tells it as lost. */
  #lookAtTarget(): void {
    const { target } = this.#settings.target;
    const before = this.#note<ArchiveBegin>('target');
    this.#begin = before?.target === target ? before : { target, from: this.#floor };
    if (before === this.#begin) return;
    if (before !== undefined) this.#giveUpBefore(this.#floor);
    this.#keep('target', this.#begin);
  }

  /** What of it is not archived by now is told as lost. */
  #giveUpBefore(position: LogPosition): void {
    if (position <= 1) return;
    this.#givenUp = [[1, position - 1]];
    this.#keep('given-up', this.#givenUp);
  }

  /** The log as the cutter sees it: it begins where this archive does. */
  #log(): CutLog {
    const { store } = this.#ports;
    const from = (): LogPosition => this.#begin?.from ?? store.first;
    return {
      get first() {
        return from();
      },
      get committed() {
        return store.committed;
      },
      bytesBetween: (after, upTo) => store.bytesBetween(after, upTo),
    };
  }

  /** Every now and then. */
  tick(): void {
    if (!this.#isStarted || this.#isStopped) return;
    const { store } = this.#ports;
    if (this.#steps.look(store.committed)) this.#keep('clock', this.#steps.steps);
    if (this.#cutter.look()) this.#wake();
    this.#watchBacklog();
  }

  /** Resolves when nothing goes on any more. What was begun is gone on with after the next start. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#thread?.stop();
  }

  /** What waits, as far as it is known without asking the archive: nothing before the floor does. */
  get #backlog(): ArchiveBacklog {
    const { store } = this.#ports;
    const { positions, bytes, ageMs } = this.#cutter.backlog;
    const after = this.#floor - 1;
    if (store.committed - positions >= after) return { positions, bytes, ageMs };
    const rest = { positions: store.committed - after, bytes: store.bytesBetween(after, store.committed) };
    return { ...rest, ageMs: rest.positions === 0 ? 0 : ageMs };
  }

  /** Why the gateway is not well; undefined: the archive is no reason. */
  get trouble(): string | undefined {
    const { bytes } = this.#backlog;
    const { backlogMaxBytes, whenFull, name } = this.#settings;
    if (!this.#isStarted || bytes < ALARM_SHARE * backlogMaxBytes) return undefined;
    const share = Math.floor((100 * bytes) / Math.max(1, backlogMaxBytes));
    const what = this.#isFull
      ? whenFull === 'refuse'
        ? ', messages are refused'
        : ', the oldest is given up'
      : '';
    return `${name}: ${share} % of archive.backlogMaxBytes wait${what}`;
  }

  /** Why messages are refused; undefined: they are not. */
  get refusal(): string | undefined {
    return this.#isFull && this.#settings.whenFull === 'refuse' ? this.trouble : undefined;
  }

  status(): ArchiveStatus {
    const { backlogMaxBytes: maxBytes, whenFull, target } = this.#settings;
    const { fault } = this.#runner;
    const closed = this.#closedBecause();
    const { positions, bytes, ageMs } = this.#isStarted
      ? this.#backlog
      : { positions: 0, bytes: 0, ageMs: 0 };
    const tip = this.#tip;
    return {
      target: target.target,
      state: this.#state(closed),
      reason: fault?.text ?? closed ?? null,
      retryAtMs: fault?.nextMs ?? null,
      failures: fault?.count ?? 0,
      backlog: {
        ...{ positions, bytes, maxBytes, whenFull, isFull: this.#isFull },
        ageS: Math.round(ageMs / 1000),
      },
      tip: tip?.epoch === undefined ? null : { number: tip.number, epoch: tip.epoch.counter, upTo: tip.upTo },
      entries: this.#entries,
      ...this.#added,
      dropped: this.#dropped,
    };
  }

  #state(closed: string | undefined): ArchiveStatus['state'] {
    if (this.#isStopped) return 'stopped';
    if (this.#runner.fault !== undefined) return 'failing';
    if (closed !== undefined) return 'waiting';
    if (this.#tip === undefined) return 'starting';
    return this.#runner.state === 'working' ? 'working' : 'idle';
  }

  /** Why nothing is archived at the moment, though something may wait. */
  #closedBecause(): string | undefined {
    if (!this.#steps.isTrusted) return 'the clock of this machine has not been set yet';
    const { hours } = this.#settings;
    const minute = this.#ports.minuteOfDay();
    const isOpen = ({ from, to }: DayHours): boolean =>
      from <= to ? minute >= from && minute < to : minute >= from || minute < to;
    return hours.length === 0 || hours.some(isOpen) ? undefined : 'it is not the time of archive.uploadHours';
  }

  #wake(): void {
    this.#thread ??= this.#createThread();
    this.#thread.wake();
  }

  #createThread(): ArchiveThread {
    const { self, origin, known, timers, logger } = this.#ports;
    const { topics, format, compression, partitions, columns, site } = this.#settings;
    const { target, maxBytesPerSecond, spoolFolder } = this.#settings;
    const config = { topics, format, compression, partitions, columns, site };
    return new ArchiveThread(
      { self, origin, known, target, config, maxBytesPerSecond, spoolFolder },
      {
        ...{ timers, logger },
        cut: () => this.#keeper.cutAfter(this.#tip as ManifestTip, this.#lives),
        rows: (cut, after) => this.#read(cut, after),
        archived: (tip, lives, added) => this.#archived(tip, lives, added),
        status: (status) => (this.#runner = status),
      },
    );
  }

  #archived(tip: ManifestTip, lives: ArchivedLives, added: AddedFiles): void {
    this.#added = {
      rows: this.#added.rows + added.rows,
      bytes: this.#added.bytes + added.bytes,
      objects: this.#added.objects + added.objects,
    };
    if (this.#tip !== undefined && tip.number > this.#tip.number)
      this.#entries += tip.number - this.#tip.number;
    this.#tip = tip;
    this.#lives = lives;
    this.#cutter.archived(tip, lives);
    this.#doneWith(this.#cutter.doneUpTo);
    const untold = this.#givenUp.filter(([, to]) => to > tip.upTo);
    if (untold.length === this.#givenUp.length) return;
    this.#givenUp = untold;
    this.#keep('given-up', untold);
  }

  /** Nothing up to here is wanted any more. What was given up stays given up. */
  #doneWith(position: LogPosition): void {
    const { store } = this.#ports;
    if (position >= this.#floor) store.setFloor(this.#settings.name, position + 1);
    if (this.#tip !== undefined) this.#offered.reached(this.#tip, position);
  }

  /** What other gateways have to know to finish the archive, and what it is made of. */
  get offered(): OfferedLog {
    return this.#offered;
  }

  /** The first position that may have to be read. */
  get #floor(): LogPosition {
    const { store } = this.#ports;
    return store.floors.get(this.#settings.name) ?? store.first;
  }

  /** What has nothing in it makes no entry: a gateway with nothing to do would write one for the record of the one before. */
  async #nextCut(): Promise<Cut | undefined> {
    for (;;) {
      const cut = this.#cutter.cut();
      if (cut === undefined || (await this.#rows.hasRows(this.#startOf(cut.after), cut.upTo))) return cut;
      this.#cutter.skip(cut.upTo);
      this.#doneWith(this.#cutter.doneUpTo);
    }
  }

  /** What is before the floor is archived, was given up, or is nothing that is archived. */
  #startOf(after: LogPosition): LogPosition {
    return Math.max(after, this.#floor - 1);
  }

  async #read(cut: Cut, after: LogPosition): Promise<LogRead> {
    const start = Math.min(this.#startOf(after), cut.upTo);
    const lost = this.#givenUp
      .map(([from, to]): PositionRange => [Math.max(from, after + 1), Math.min(to, start)])
      .filter(([from, to]) => from <= to);
    const read = await this.#rows.read(cut, start);
    return lost.length === 0 ? read : { ...read, lost: [...lost, ...read.lost] };
  }

  /** What waits is bounded, and what happens then was chosen. */
  #watchBacklog(): void {
    const { setFull, clock, logger } = this.#ports;
    const { backlogMaxBytes, whenFull } = this.#settings;
    const { bytes } = this.#backlog;
    const isFull = bytes >= backlogMaxBytes;
    if (bytes >= ALARM_SHARE * backlogMaxBytes && clock.now() - this.#warnedAt >= WARN_EVERY_MS) {
      this.#warnedAt = clock.now();
      logger.warn('much waits to be archived', {
        ...{ bytes, maxBytes: backlogMaxBytes, whenFull, reason: this.#runner.fault?.text },
        raise: 'archive.backlogMaxBytes',
      });
    }
    if (whenFull === 'drop') {
      if (isFull) this.#giveUp();
    } else if (isFull !== this.#isFull) {
      setFull(isFull);
      if (isFull)
        logger.error('messages are refused until the archive has taken what waits for it', { bytes });
      else logger.info('messages are taken again: the archive has room');
    }
    this.#isFull = isFull;
  }

  /** The oldest need not stay in the log for the archive any more; what of it is gone when it is its turn is told there as lost. */
  #giveUp(): void {
    const { store, logger } = this.#ports;
    const { committed } = store;
    const held = this.#floor;
    let from = held;
    const { backlogMaxBytes } = this.#settings;
    // A tenth at a time.
    const step = Math.max(1, Math.ceil((committed - held) / 10));
    while (from < committed && store.bytesBetween(from - 1, committed) > backlogMaxBytes) from += step;
    if (from <= held) return;
    const upTo = Math.min(from, committed);
    this.#dropped += upTo - held;
    this.#givenUp = [...this.#givenUp, [held, upTo - 1]];
    this.#keep('given-up', this.#givenUp);
    store.setFloor(this.#settings.name, upTo);
    logger.error('what waits to be archived is more than is kept for it: the oldest is given up', {
      ...{ from: held, to: upTo - 1, maxBytes: backlogMaxBytes },
    });
  }

  #savedCut(): Cut | undefined {
    const saved = this.#note<SavedCut>('cut');
    // With another configuration it is made otherwise.
    return saved?.target === this.#settings.target.target
      ? { ...saved.cut, config: this.#config }
      : undefined;
  }

  #nameOf(kind: NoteKind): string {
    return `${this.#settings.name}-${kind}`;
  }

  #note<T>(kind: NoteKind): T | undefined {
    const bytes = this.#ports.store.note(this.#nameOf(kind));
    return bytes === undefined ? undefined : (JSON.parse(Buffer.from(bytes).toString('utf8')) as T);
  }

  /** @returns the position with which it is durable */
  #keep(kind: NoteKind, value: unknown): LogPosition {
    const { store } = this.#ports;
    const name = this.#nameOf(kind);
    store.setNote(name, Buffer.from(JSON.stringify(value), 'utf8'));
    return store.recordNote(name);
  }

  #save(kind: NoteKind, value: unknown): Promise<void> {
    const position = this.#keep(kind, value);
    return new Promise((resolve) => this.#ports.whenCommitted(resolve, position));
  }
}
