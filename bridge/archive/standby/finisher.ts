/**
 * Brings what is kept of the archive of another gateway into it: an archive of its own, whose log are the copies. So entries are made as the origin makes
 * them, behind where the manifest ends, and whoever writes there at the same time costs nothing.
 */
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import type { ArchiveStatus } from '../../../lib/contracts/archive-status.js';
import type { MasterKey } from '../../../lib/contracts/master-key.js';
import type { LogPosition } from '../../../lib/contracts/store.js';
import { Archive, type ArchivedLog, type ArchivePorts, type ArchiveSettings } from '../archive.js';
import type { Finish } from './kept-note.js';
import { type KeptLog, KeptRows } from './kept-rows.js';
import type { KeptState } from './kept-state.js';

export type FinisherPorts = Pick<
  ArchivePorts,
  'self' | 'clock' | 'timers' | 'logger' | 'minuteOfDay' | 'inTurns'
> & {
  readonly log: KeptLog;
  /** Resolves when so many bytes of the log here may be read. */
  through(bytes: number): Promise<void>;
};

/** Of the archive of this gateway: where the files go to, and how. */
export type FinisherSettings = Pick<
  ArchiveSettings,
  'target' | 'keys' | 'maxBytesPerSecond' | 'fileMaxBytes' | 'fileMaxCount' | 'spoolFolder'
>;

export interface KeptCopies {
  readonly origin: GatewayId;
  /** Of the copies. */
  readonly name: string;
  readonly state: KeptState;
}

export class Finisher {
  readonly origin: GatewayId;
  readonly #archive: Archive;
  readonly #end: LogPosition;
  /** The archive has a life of the origin that is not known here. */
  #unknownLife: number | undefined;

  /** @throws Error where this Node.js cannot write what the origin writes */
  constructor(
    settings: FinisherSettings,
    { origin, name, state }: KeptCopies,
    finish: Finish,
    ports: FinisherPorts,
  ) {
    const { log, through, ...rest } = ports;
    const { offer } = state;
    const rows = new KeptRows({ log, through }, name, state, finish.tellsRest);
    this.origin = origin;
    this.#end = rows.end;
    this.#archive = new Archive(
      {
        ...settings,
        ...offer.config,
        ...{ name: 'archive', hours: [], fileMaxAgeMs: 0, backlogMaxBytes: Infinity, whenFull: 'refuse' },
      },
      {
        ...rest,
        origin,
        known: offer.tip.number === 0 ? undefined : offer.tip,
        store: archivedLogOf(state, rows.end),
        rows: () => rows,
        setFull: () => undefined,
        lineage: () => offer.lineage,
        beyond: (counter) => (this.#unknownLife = counter),
        // What is written down of it is in memory alone: after a crash it begins anew.
        whenCommitted: (done) => done(),
      },
    );
  }

  start(): void {
    this.#archive.start();
  }

  /** See Archive. */
  setKeys(keys: readonly MasterKey[]): void {
    this.#archive.setKeys(keys);
  }

  tick(): void {
    this.#archive.tick();
  }

  stop(): Promise<void> {
    return this.#archive.stop();
  }

  get status(): ArchiveStatus {
    return this.#archive.status();
  }

  /** Everything that is kept is in the archive. */
  get isDone(): boolean {
    const { state, backlog } = this.#archive.status();
    return state === 'idle' && backlog.positions === 0;
  }

  /** Up to where it is to come. */
  get end(): LogPosition {
    return this.#end;
  }

  /** Why it does not get on; undefined: it does. */
  get trouble(): string | undefined {
    if (this.#unknownLife !== undefined)
      return `the archive has start ${this.#unknownLife} of it, which is not known here: it has gone on by itself`;
    const { state, reason } = this.#archive.status();
    return state === 'failing' || state === 'waiting' ? (reason ?? undefined) : undefined;
  }
}

/** The copies, as an archive sees a log. Nothing of it goes until all of it is archived. */
function archivedLogOf({ offer, after, upTo, bytes }: KeptState, end: LogPosition): ArchivedLog {
  const notes = new Map<string, Uint8Array>();
  // As the origin has it: from here on there is something for its archive.
  const floors = new Map<string, LogPosition>([['archive', offer.begin]]);
  const perPosition = bytes / Math.max(1, upTo - after);
  return {
    first: offer.begin,
    committed: end,
    bytesBetween: (from, to) => Math.max(0, Math.min(to, upTo) - Math.max(from, after)) * perPosition,
    floors,
    setFloor: (name, position) => {
      if (position !== undefined) floors.set(name, position);
    },
    setNote: (name, value) => void notes.set(name, value),
    recordNote: () => 0,
    note: (name) => notes.get(name),
  };
}
