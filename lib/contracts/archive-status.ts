import type { GatewayId } from './gateway-id.js';

/** The gateway that archives for another one. */
export interface ArchiveWay {
  readonly gateway: GatewayId;
  /** Its name for people. */
  readonly site: string;
  /** Where the archive is, as it says itself. */
  readonly target: string;
}

/** What a gateway has done in its archive for others. They only rise. */
export interface ServedCounts {
  /** Requests. */
  readonly done: number;
  /** The store did not do them. */
  readonly failed: number;
  /** They may not have that done, or ask for too much at a time. */
  readonly refused: number;
  /** Of files that came from them. */
  readonly bytes: number;
}

/** A gateway that archives for others. */
export interface ServedStatus extends ServedCounts {
  /** Without anything secret. */
  readonly target: string;
}

/** The archive of a gateway, as it shows itself. */
export interface ArchiveStatus {
  /** Without anything secret. */
  readonly target: string;
  /** Where the target is `mesh`: through which gateway it goes; null: through none at the moment, or the target is a place of its own. */
  readonly through: ArchiveWay | null;
  /** `waiting`: the clock is not trusted yet, or it is not the time of day for it. */
  readonly state: 'starting' | 'idle' | 'working' | 'failing' | 'waiting' | 'stopped';
  /** Why it is failing or waiting; null: it is not. */
  readonly reason: string | null;
  /** When it is tried again, milliseconds since 1970; null: no failure. */
  readonly retryAtMs: number | null;
  /** How often in a row it failed. */
  readonly failures: number;
  readonly backlog: {
    /** Of the log; messages are among them. */
    readonly positions: number;
    readonly bytes: number;
    readonly maxBytes: number;
    /** How long the oldest has waited, as far as this process knows. */
    readonly ageS: number;
    /** What happens at `maxBytes`. */
    readonly whenFull: 'refuse' | 'drop';
    /** It has happened, and goes on. */
    readonly isFull: boolean;
  };
  /** The last entry of the manifest; null: not known yet, or there is none. */
  readonly tip: {
    readonly number: number;
    /** Counter of this gateway's life. */
    readonly epoch: number;
    /** Position of the log. */
    readonly upTo: number;
  } | null;
  /** Added since this process began. */
  readonly entries: number;
  readonly rows: number;
  /** Of the files. */
  readonly bytes: number;
  readonly objects: number;
  /** Positions that were given up because there was no room. */
  readonly dropped: number;
}

/** What is kept here of the archive of another gateway, to finish it when that one does not come back. */
export interface StandbyStatus {
  /** Its id; where it was not met yet, what the configuration calls it. */
  readonly gateway: string;
  readonly site: string;
  /**
   * `apart`: there is no link to it, and what it took in since is not here. `incomplete`: something of what it takes in is not kept.
   * `finishing`, `failing`, `finished`: its archive is brought to an end from here.
   */
  readonly state: 'keeping' | 'apart' | 'incomplete' | 'finishing' | 'failing' | 'finished';
  /** For people; null: all is well. */
  readonly reason: string | null;
  /** Positions of its log. Up to where its archive is, as it says; null: not known. */
  readonly archivedUpTo: number | null;
  /** Up to where this gateway could finish it. */
  readonly keptUpTo: number | null;
  /** The newest that is known of. */
  readonly head: number | null;
  /** Of the copies, about. */
  readonly bytes: number;
  /** Of the log of this gateway that is held for them. */
  readonly heldBytes: number;
  readonly maxBytes: number;
  /** Messages that were brought into its archive from here, since this process began. */
  readonly rows: number;
}

/** With that of the second target; null: there is none. */
export interface ArchivesStatus extends ArchiveStatus {
  readonly copy: ArchiveStatus | null;
  readonly standby: readonly StandbyStatus[];
}
