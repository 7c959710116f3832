/** What a gateway tells others of its own archive, and the copies of its log that they get. */
import type { LogPosition } from '../../../lib/contracts/store.js';
import type { ArchiveBegin, ArchivePorts, ArchiveSettings } from '../archive.js';
import type { ArchiveNotes } from '../archive-notes.js';
import type { ClockSteps } from '../clock-steps.js';
import type { RowSource } from '../log-rows.js';
import type { KnownEntry, ManifestTip } from '../manifest-entry.js';
import type { LogRead } from '../row-columns.js';
import { type ArchiveOffer, OFFERED_LIVES_MAX_COUNT } from './offer.js';

/** How far the archive was known to be. */
interface Reached {
  /** Of another archive it says nothing. */
  readonly target: string;
  readonly tip: KnownEntry;
  readonly done: LogPosition;
}

/** On its way to another gateway live messages wait behind it. */
const READ_BYTES = 32_768;

export class OfferedLog {
  readonly #settings: ArchiveSettings;
  readonly #ports: ArchivePorts;
  readonly #notes: ArchiveNotes;
  #target = '';
  #begin: LogPosition = 0;
  #steps: ClockSteps | undefined;
  #rows: RowSource | undefined;
  #reached: Reached | undefined;
  /** Something was archived, and nothing remembers what. */
  #isForgotten = false;

  constructor(settings: ArchiveSettings, ports: ArchivePorts, notes: ArchiveNotes) {
    this.#settings = settings;
    this.#ports = ports;
    this.#notes = notes;
  }

  /** As soon as it is known which archive it is. @param floor the first position that may have to be read */
  start({ target, from: begin }: ArchiveBegin, floor: LogPosition, steps: ClockSteps): void {
    const { rows } = this.#ports;
    const { topics } = this.#settings;
    this.#reached = reachedAt(target, this.#notes);
    this.#target = target;
    this.#begin = begin;
    this.#isForgotten = this.#reached === undefined && floor !== begin;
    this.#steps = steps;
    this.#rows = rows(topics, steps, READ_BYTES);
  }

  /** Nothing up to `position` is wanted any more. */
  reached({ number, hash }: ManifestTip, position: LogPosition): void {
    const done = Math.max(position, this.#reached?.done ?? 0);
    this.#reached = { target: this.#target, tip: { number, hash }, done };
    this.#isForgotten = false;
    // Durable with the floor, and nothing goes before that.
    this.#notes.set('reached', this.#reached);
  }

  /** The last entry that was seen in the archive; undefined: none. */
  get known(): KnownEntry | undefined {
    return lastEntryOf(this.#reached);
  }

  /** undefined: it is not known yet what the archive has, or not at which time things happen. */
  get offer(): ArchiveOffer | undefined {
    if (this.#steps?.isTrusted !== true || this.#isForgotten) return undefined;
    const { topics, format, compression, partitions, columns, site } = this.#settings;
    const reached = this.#reached;
    return {
      lineage: this.#ports.lineage().slice(-OFFERED_LIVES_MAX_COUNT),
      begin: this.#begin,
      done: reached?.done ?? this.#begin - 1,
      tip: reached?.tip ?? { number: 0, hash: '' },
      target: this.#target,
      config: { topics, format, compression, partitions, columns, site },
    };
  }

  /** Some of what is to be archived behind `after`, with the times that it will have in the archive. @throws Error before `start` */
  read(after: LogPosition): Promise<LogRead> {
    if (this.#rows === undefined) throw new Error('the archive has not begun');
    const { store, clock } = this.#ports;
    return this.#rows.read({ upTo: store.committed, atMs: Math.round(clock.wall()) }, after);
  }
}

function reachedAt(target: string, notes: ArchiveNotes): Reached | undefined {
  const reached = notes.read<Reached>('reached');
  return reached?.target === target ? reached : undefined;
}

const lastEntryOf = (reached: Reached | undefined): KnownEntry | undefined =>
  reached === undefined || reached.tip.number === 0 ? undefined : reached.tip;

/** The last entry that was seen in the archive that was at `target`, where that is the last one; undefined: none. */
export function lastEntryAt(target: string, notes: ArchiveNotes): KnownEntry | undefined {
  return lastEntryOf(reachedAt(target, notes));
}
