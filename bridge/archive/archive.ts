/**
 * The archive of one gateway: decides what is archived when, and has a thread that does it.
 *
 *     log ─ cutter ─▶ cut (note of the log, durable) ─▶ thread: files ─▶ store ─▶ manifest ─▶ floor of the log moves on
 */
import type { ArchiveStatus, ArchiveWay } from '../../lib/contracts/archive-status.js';
import type { Clock, Timers } from '../../lib/contracts/clock.js';
import type { Lineage } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { MasterKey } from '../../lib/contracts/master-key.js';
import type { ArchiveFloor, LogPosition, Store } from '../../lib/contracts/store.js';
import { type ArchiveConfig, fingerprintOf } from './archive-config.js';
import { ArchiveNotes } from './archive-notes.js';
import { ArchiveThread } from './archive-thread.js';
import type { RunnerStatus } from './archive-runner.js';
import type { Cut } from './archiver.js';
import { type BacklogLimits, BacklogPolicy } from './backlog-policy.js';
import { type ClockStep, ClockSteps } from './clock-steps.js';
import { CutKeeper } from './cut-keeper.js';
import { type ArchiveBacklog, type CutLimits, type CutLog, Cutter } from './cutter.js';
import { GivenUp } from './given-up.js';
import type { RowSource } from './log-rows.js';
import type { KnownEntry, ManifestTip, PositionRange } from './manifest-entry.js';
import type { AskStore } from './relay/object-request.js';
import type { LogRead } from './row-columns.js';
import { lastEntryAt, OfferedLog } from './standby/offered-log.js';
import type { ArchivedLives } from './stretch.js';
import type { TargetSettings } from './target.js';
import type { AddedFiles } from './thread-protocol.js';
import { HAS_ZSTD } from './zstd.js';

/** Minutes of a day, in the time of the machine; an end before its begin is of the next day. */
export interface DayHours {
  readonly from: number;
  readonly to: number;
}

export interface ArchiveSettings extends ArchiveConfig, BacklogLimits, CutLimits {
  /** Tells the archives of one gateway apart. */
  readonly name: ArchiveFloor;
  readonly target: TargetSettings;
  /** 0: no limit. */
  readonly maxBytesPerSecond: number;
  /** Empty: at any time. */
  readonly hours: readonly DayHours[];
  /** Where files are made; what is in it goes. */
  readonly spoolFolder: string;
  /** See ThreadSettings. */
  readonly keys: readonly MasterKey[];
}

/** The log, as its archive needs it. */
export type ArchivedLog = Pick<
  Store,
  'first' | 'committed' | 'bytesBetween' | 'floors' | 'setFloor' | 'setNote' | 'recordNote' | 'note'
>;

/** The store of another gateway: which one that is, is known when there is one. See RelayClient. */
export interface RelayPort {
  readonly ask: AskStore;
  readonly way: ArchiveWay | null;
  begin(remembered: string | undefined, bound: (identity: string) => void): void;
}

export interface ArchivePorts {
  /** Who writes. */
  readonly self: GatewayId;
  /** Whose log it is. */
  readonly origin: GatewayId;
  readonly store: ArchivedLog;
  /** What is to be archived of it. */
  rows(topics: readonly string[], steps: ClockSteps, readBytes?: number): RowSource;
  /** An entry that the archive has, by what others say. */
  readonly known?: KnownEntry | undefined;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  /** undefined: the target is a place of its own. */
  readonly relay?: RelayPort | undefined;
  /** While it is full nothing is taken in. */
  setFull(isFull: boolean): void;
  /** Minutes of the day in the time of the machine. */
  minuteOfDay(): number;
  /** The lives of this gateway. */
  lineage(): Lineage;
  /** A life with a higher counter has to begin. */
  beyond(counter: number): void;
  /** Clients are served, and the thread leaves them the processor after short turns. */
  inTurns(): boolean;
  /** Calls back when what the log has at this position is committed. */
  whenCommitted(done: () => void, position: LogPosition): void;
}

/** Where in the log an archive begins that has nothing yet. */
export interface ArchiveBegin {
  readonly target: string;
  readonly from: LogPosition;
  /** Until it is known whether what is at `target` is the archive that was elsewhere before. */
  readonly before?: ArchiveElsewhere | undefined;
}

interface ArchiveElsewhere {
  /** Its last entry. */
  readonly tip: KnownEntry;
  /** What was to be told there as lost. */
  readonly givenUp: readonly PositionRange[];
}

interface SavedCut {
  /** Of another archive it says nothing. */
  readonly target: string;
  readonly cut: Cut;
}

/** Before the identity of a store that another gateway has. */
const STORE_OF_OTHERS = 'archive:';

export class Archive {
  readonly #settings: ArchiveSettings;
  readonly #ports: ArchivePorts;
  readonly #config: string;
  #keys: readonly MasterKey[];
  readonly #cutter: Cutter;
  readonly #keeper: CutKeeper;
  readonly #notes: ArchiveNotes;
  readonly #policy: BacklogPolicy;
  #givenUp = new GivenUp([], () => undefined);
  #steps: ClockSteps;
  #rows: RowSource;
  readonly #offered: OfferedLog;
  #thread: ArchiveThread | undefined;
  #runner: RunnerStatus = { state: 'stopped', fault: undefined, doneCount: 0 };
  #isStarted = false;
  #tip: ManifestTip | undefined;
  #lives: ArchivedLives = new Map();
  #begin: ArchiveBegin | undefined;
  #isStopped = false;
  #added: AddedFiles = { rows: 0, bytes: 0, objects: 0 };
  #entries = 0;
  #dropped = 0;

  /** @throws Error where this Node.js cannot write what is asked for */
  constructor(settings: ArchiveSettings, ports: ArchivePorts) {
    const { clock, logger, store, lineage, beyond, setFull } = ports;
    if (settings.format === 'parquet' && settings.compression === 'zstd' && !HAS_ZSTD)
      throw new Error('archive.compression: zstd needs Node.js 22.15 or later: update it, or choose snappy');
    this.#settings = settings;
    this.#ports = ports;
    this.#keys = settings.keys;
    this.#config = fingerprintOf(settings);
    this.#notes = new ArchiveNotes(store, settings.name);
    this.#policy = new BacklogPolicy(settings, {
      ...{ clock, logger, setFull },
      bytes: () => this.#backlog.bytes,
      reason: () => this.#runner.fault?.text,
      giveUp: () => this.#giveUpOldest(),
    });
    this.#steps = new ClockSteps(clock, []);
    this.#rows = ports.rows(settings.topics, this.#steps);
    this.#offered = new OfferedLog(settings, ports, this.#notes);
    this.#cutter = new Cutter(
      { clock, log: this.#log(), lineage, beyond, isOpen: () => this.#closedBecause() === undefined },
      settings,
      this.#config,
    );
    this.#keeper = new CutKeeper({
      saved: () => this.#savedCut(),
      save: (cut) => this.#saveCut(cut),
      next: () => this.#nextCut(),
    });
  }

  /** After the store was opened, and the life of the gateway has begun. */
  start(): void {
    const { store, clock } = this.#ports;
    const steps = this.#notes.read<readonly ClockStep[]>('clock');
    this.#givenUp = this.#readGivenUp();
    this.#steps = new ClockSteps(clock, steps ?? []);
    this.#rows = this.#ports.rows(this.#settings.topics, this.#steps);
    // Until it is known what the archive has, nothing goes.
    const { name } = this.#settings;
    if (!store.floors.has(name)) {
      store.setFloor(name, store.first);
      // Where it was an archive before, nobody held what came meanwhile.
      this.#givenUp.addAllBefore(store.first);
    }
    this.#findTarget();
    this.#isStarted = true;
  }

  /** Through another gateway it is the store that counts, whatever it is called there, and whoever has it. */
  #findTarget(): void {
    const { relay } = this.#ports;
    if (relay === undefined) return this.#lookAtTarget(this.#settings.target.target);
    const before = this.#notes.read<ArchiveBegin>('target');
    const remembered = before?.target.startsWith(STORE_OF_OTHERS)
      ? before.target.slice(STORE_OF_OTHERS.length)
      : undefined;
    relay.begin(remembered, (identity) => this.#lookAtTarget(`${STORE_OF_OTHERS}${identity}`));
  }

  /** What went to another archive is not in this one: an archive that is new begins behind it, one that was left for a while tells it as lost. */
  #lookAtTarget(target: string): void {
    const before = this.#notes.read<ArchiveBegin>('target');
    if (before?.target === target) this.#begin = before;
    else {
      this.#begin = { target, from: this.#floor, before: this.#elsewhere(before) };
      if (before !== undefined) this.#givenUp.addAllBefore(this.#floor);
      this.#notes.keep('target', this.#begin);
    }
    this.#offered.start(this.#begin, this.#floor, this.#steps);
  }

  #elsewhere(before: ArchiveBegin | undefined): ArchiveElsewhere | undefined {
    const tip = before && lastEntryAt(before.target, this.#notes);
    return tip && { tip, givenUp: this.#givenUp.ranges };
  }

  /** An archive that was moved with all that is in it has what went to it. */
  #lookAtTip({ number, hash }: ManifestTip): void {
    const begin = this.#begin;
    if (begin?.before === undefined) return;
    const { tip, givenUp } = begin.before;
    if (tip.number === number && tip.hash === hash) this.#givenUp.restore(givenUp);
    this.#begin = { target: begin.target, from: begin.from };
    this.#notes.keep('target', this.#begin);
  }

  #readGivenUp(): GivenUp {
    const ranges = this.#notes.read<readonly PositionRange[]>('given-up') ?? [];
    return new GivenUp(ranges, (untold) => this.#notes.keep('given-up', untold));
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
    if (this.#steps.look(store.committed)) this.#notes.keep('clock', this.#steps.steps);
    if (this.#cutter.look()) this.#wake();
    this.#policy.look();
  }

  /** For objects that are begun from now on. Without any key it stays with those that it has: an archive does not become plain unnoticed. */
  setKeys(keys: readonly MasterKey[]): void {
    const [before, now] = [this.#keys[0], keys[0]];
    if (now === undefined || now.id === before?.id) return;
    this.#keys = keys;
    this.#thread?.setKeys(keys);
    this.#ports.logger.info('the archive is encrypted with another key from now on', { keyId: now.id });
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
    const waiting = store.committed - after;
    const waitingBytes = Math.round(store.bytesBetween(after, store.committed));
    return { positions: waiting, bytes: waitingBytes, ageMs: waiting === 0 ? 0 : ageMs };
  }

  /** Why the gateway is not well; undefined: the archive is no reason. */
  get trouble(): string | undefined {
    return this.#isStarted ? this.#policy.trouble : undefined;
  }

  /** Why messages are refused; undefined: they are not. */
  get refusal(): string | undefined {
    return this.#policy.refusal;
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
      through: this.#ports.relay?.way ?? null,
      state: this.#state(closed),
      reason: fault?.text ?? closed ?? null,
      retryAtMs: fault?.nextMs ?? null,
      failures: fault?.count ?? 0,
      backlog: {
        ...{ positions, bytes, maxBytes, whenFull, isFull: this.#policy.isFull },
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
    const { self, origin, timers, logger, inTurns } = this.#ports;
    const known = this.#ports.known ?? this.#offered.known;
    const { topics, format, compression, partitions, columns, site } = this.#settings;
    const { target, maxBytesPerSecond, spoolFolder } = this.#settings;
    const config = { topics, format, compression, partitions, columns, site };
    return new ArchiveThread(
      { self, origin, known, target, config, maxBytesPerSecond, spoolFolder, keys: this.#keys },
      {
        ...{ timers, logger, inTurns },
        cut: () => this.#keeper.cutAfter(this.#tip as ManifestTip, this.#lives),
        rows: (cut, after) => this.#read(cut, after),
        archived: (tip, lives, added) => this.#archived(tip, lives, added),
        status: (status) => (this.#runner = status),
        askStore: this.#ports.relay?.ask,
      },
    );
  }

  #archived(tip: ManifestTip, lives: ArchivedLives, added: AddedFiles): void {
    this.#added = {
      rows: this.#added.rows + added.rows,
      bytes: this.#added.bytes + added.bytes,
      objects: this.#added.objects + added.objects,
    };
    this.#lookAtTip(tip);
    if (this.#tip !== undefined && tip.number > this.#tip.number)
      this.#entries += tip.number - this.#tip.number;
    this.#tip = tip;
    this.#lives = lives;
    this.#cutter.archived(tip, lives);
    this.#doneWith(this.#cutter.doneUpTo);
    this.#givenUp.told(this.#cutter.doneUpTo);
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
    const lost = this.#givenUp.between(after, start);
    const read = await this.#rows.read(cut, start);
    return lost.length === 0 ? read : { ...read, lost: [...lost, ...read.lost] };
  }

  /** The oldest need not stay in the log for the archive any more; what of it is gone when it is its turn is told there as lost. */
  #giveUpOldest(): void {
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
    this.#givenUp.add(held, upTo - 1);
    store.setFloor(this.#settings.name, upTo);
    logger.error('what waits to be archived is more than is kept for it: the oldest is given up', {
      ...{ from: held, to: upTo - 1, maxBytes: backlogMaxBytes },
    });
  }

  #savedCut(): Cut | undefined {
    const saved = this.#notes.read<SavedCut>('cut');
    // With another configuration it is made otherwise.
    return saved !== undefined && saved.target === this.#begin?.target
      ? { ...saved.cut, config: this.#config }
      : undefined;
  }

  #saveCut(cut: Cut): Promise<void> {
    const saved: SavedCut = { target: this.#begin?.target ?? '', cut };
    const position = this.#notes.keep('cut', saved);
    return new Promise((resolve) => this.#ports.whenCommitted(resolve, position));
  }
}
