/**
 * Which part of an origin's log comes next into its archive. Pure.
 *
 * The lives of a gateway are a path through positions. A data folder that was put back goes on beside what the archive has of it:
 *
 *     archive     1 ────── 2 ────────── 3 ───       positions of 2 and 3 that the folder does not have any more stay in it
 *     folder      1 ────── 2 ──── 3'────            what comes behind the end of the last life that both share is new
 *
 * In one life an entry goes on where the one before it ended, and the counter of lives never falls. Where the archive has a later life than
 * the folder, a new life has to begin before anything can be archived.
 */
import type { Epoch, EpochStart, Lineage } from '../../lib/contracts/epoch.js';
import { isSameEpoch } from '../../lib/contracts/epoch.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { ManifestTip } from './manifest-entry.js';

/** How far the archive has each life that it knows, or up to where nothing of it is to be archived: by its nonce. */
export type ArchivedLives = ReadonlyMap<string, LogPosition>;

export interface LogExtent {
  /** Of the gateway whose log it is. */
  readonly lineage: Lineage;
  /** The first position that the log still has. */
  readonly first: LogPosition;
  readonly committed: LogPosition;
}

/** `beyond`: the archive has a life with this counter, and everything that is not archived is of earlier ones. */
export type NextStretch =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'stretch';
      readonly epoch: Epoch;
      /** Where the entry has to begin. */
      readonly after: LogPosition;
      /** Everything up to here is archived, or nothing of it is to be. */
      readonly from: LogPosition;
      /** Nonce of the life of what comes behind `from`: an older one than `epoch` where the archive has gone on without it. */
      readonly life: string;
      /** Where the life ends, or what is committed. */
      readonly upTo: LogPosition;
    }
  | { readonly kind: 'beyond'; readonly counter: number };

const NONE: NextStretch = { kind: 'none' };

export function nextStretch(log: LogExtent, tip: ManifestTip, archived: ArchivedLives): NextStretch {
  const { lineage, committed } = log;
  const from = archivedUpTo(log, tip, archived);
  const index = lifeBehind(log, from);
  const upTo = Math.min(endOf(log, index), committed);
  if (upTo <= from) return NONE;
  const { epoch: known } = tip;
  const life = labelFor(lineage, index, known);
  if (life === undefined) return { kind: 'beyond', counter: known?.counter ?? 0 };
  const epoch = { counter: life.counter, nonce: life.nonce };
  // What a clone has archived may leave a part of a shared life behind the tip: it comes again, as of the new life.
  const after = known === undefined ? from : Math.min(from, tip.upTo);
  return { kind: 'stretch', epoch, after, from, life: (lineage[index] as EpochStart).nonce, upTo };
}

/** Of what the log has now. */
function archivedUpTo(log: LogExtent, tip: ManifestTip, archived: ArchivedLives): LogPosition {
  const { lineage, first } = log;
  for (let i = lineage.length - 1; i >= 0; i--) {
    const upTo = archived.get((lineage[i] as EpochStart).nonce);
    if (upTo !== undefined) return Math.min(upTo, endOf(log, i));
  }
  if (tip.epoch === undefined) return first - 1;
  const [oldest] = lineage;
  // It has started too often since to remember the lives that are archived; or it was put back to before all of them.
  return Math.min(tip.upTo, oldest?.after ?? 0);
}

/** Index of the life of what stands behind a position. */
function lifeBehind(log: LogExtent, position: LogPosition): number {
  const { lineage } = log;
  let index = 0;
  while (index + 1 < lineage.length && endOf(log, index) <= position) index++;
  return index;
}

function endOf({ lineage, committed }: LogExtent, index: number): LogPosition {
  return lineage[index + 1]?.after ?? committed;
}

/** The life as of which an entry can be written: its own one, or a later one where the archive has gone on without it. */
function labelFor(lineage: Lineage, index: number, known: Epoch | undefined): EpochStart | undefined {
  if (known === undefined) return lineage[index];
  const tip = lineage.findIndex((life) => isSameEpoch(life, known));
  if (tip >= index) return lineage[tip];
  return lineage.find((life, i) => i >= index && life.counter > known.counter);
}
