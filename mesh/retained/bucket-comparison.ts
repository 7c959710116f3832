/**
 * What to do about a bucket that is not the same on both sides, decided by the initiator: who sends what to whom. The higher version goes
 * to the other side. What a side that has to resync must not bring (see TombstoneKeeper) it discards.
 */
import { isNeedless } from './retained-merge.js';
import type { RetainedEntry } from './retained-index.js';
import type { DiscardedEntry, ListedEntry } from './retained-frames.js';

export interface Sides {
  /** Whether what this side has must not be brought. */
  isSuspect(mine: RetainedEntry): boolean;
  isPeerSuspect(theirs: Pick<ListedEntry, 'kind' | 'counter' | 'isOwn'>): boolean;
  readonly floor: number;
  readonly peerFloor: number;
}

export interface Decisions {
  readonly send: RetainedEntry[];
  /** Hashes of topics. */
  readonly want: number[];
  /** By this side. */
  readonly discard: RetainedEntry[];
  /** By the peer. */
  readonly peerDiscards: DiscardedEntry[];
}

/** Adds to `out`. */
export function compareBucket(
  mine: Iterable<RetainedEntry>,
  theirs: readonly ListedEntry[],
  sides: Sides,
  out: Decisions,
): void {
  const listed = new Map<number, ListedEntry[]>();
  for (const entry of theirs) {
    const same = listed.get(entry.topicHash);
    if (same === undefined) listed.set(entry.topicHash, [entry]);
    else same.push(entry);
  }
  const own = new Map<number, RetainedEntry[]>();
  for (const entry of mine) {
    const others = listed.get(entry.topicHash);
    const same = others?.findIndex(({ high, low }) => high === entry.high && low === entry.low) ?? -1;
    if (same >= 0) others?.splice(same, 1);
    else {
      const known = own.get(entry.topicHash);
      if (known === undefined) own.set(entry.topicHash, [entry]);
      else known.push(entry);
    }
  }
  for (const [hash, entries] of own) {
    const others = listed.get(hash) ?? [];
    const [entry] = entries;
    const [other] = others;
    if (entry !== undefined && other !== undefined && entries.length === 1 && others.length === 1) {
      decide(entry, other, sides, out);
      listed.delete(hash);
    } else for (const one of entries) onlyMine(one, sides, out);
  }
  // Two topics of one hash are looked at one by one: what is sent in vain loses where it arrives.
  for (const others of listed.values()) for (const other of others) onlyTheirs(other, sides, out);
}

/** One topic, two versions. Of two with one counter each side learns of the other's. */
function decide(mine: RetainedEntry, theirs: ListedEntry, sides: Sides, out: Decisions): void {
  const isSuspect = sides.isSuspect(mine);
  const isPeerSuspect = sides.isPeerSuspect(theirs);
  if (isSuspect) out.discard.push(mine);
  if (isPeerSuspect) out.peerDiscards.push(theirs);
  const { counter } = mine.version;
  const isMine = !isSuspect && (isPeerSuspect || counter >= theirs.counter);
  const isTheirs = !isPeerSuspect && (isSuspect || theirs.counter >= counter);
  if (isMine && mine.kind !== 'shadow') out.send.push(mine);
  if (isTheirs && theirs.kind !== 'shadow') out.want.push(theirs.topicHash);
}

function onlyMine(entry: RetainedEntry, sides: Sides, out: Decisions): void {
  if (sides.isSuspect(entry)) out.discard.push(entry);
  else if (isWanted(entry.kind, entry.version.counter, sides.peerFloor)) out.send.push(entry);
}

function onlyTheirs(entry: ListedEntry, sides: Sides, out: Decisions): void {
  if (sides.isPeerSuspect(entry)) out.peerDiscards.push(entry);
  else if (isWanted(entry.kind, entry.counter, sides.floor)) out.want.push(entry.topicHash);
}

function isWanted(kind: RetainedEntry['kind'], counter: number, floor: number): boolean {
  return kind === 'message' || (kind === 'tombstone' && !isNeedless(counter, floor));
}
