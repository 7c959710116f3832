/**
 * What two gateways are to each other when they meet. Each of them judges for itself, from what both have said in their hellos and
 * what it remembers. Pure.
 *
 * The lives of a data folder are a path; a folder that is put back to an old image, or copied, makes it a tree:
 *
 *     1 ── 2 ──┬── 3 ── 4          we knew this branch …
 *              └── 3'── 4'         … and the gateway comes back on this one: 2 is the last life that both share
 *
 * What is of one branch and not of the other begins where the earlier of the first lives that differ begins (3 or 3'): up to there
 * nothing is to be sent again, beyond it nothing counts as had. What the judgement is:
 *
 *     two lives, both alive                                          clone
 *     nothing was ever had of it                                     firstMeeting   go on at its head
 *     our newest known life is one of its own, covered within it     healthy        go on at covered
 *     …, but covered is beyond where that life ended                 rolledBack     go on where it ended
 *     our newest known life is older than all it remembers           healthy        …, which cannot be proved
 *     our newest known life is none of its own                       rolledBack     go on where the branches part
 *
 * Whether we ourselves were put back is the same question with the sides changed.
 */
import { type Epoch, type EpochStart, isSameEpoch, type Lineage } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { StreamImage } from '../../lib/contracts/streams.js';
import { type CloneReport, cloneReportOf } from './clone-report.js';
import { endBefore, isCut, lineageHas, presentOf } from './lineage.js';

/** One gateway, as it tells of itself. */
export interface Party {
  readonly id: GatewayId;
  readonly lineage: Lineage;
  /** The last committed position of its log. */
  readonly head: number;
}

/** How much one has of the other's log. */
export type KnownPart = Pick<StreamImage, 'epoch' | 'covered'>;

export interface Meeting {
  readonly own: Party;
  readonly other: Party;
  /** What we have of the other; undefined: we never met. */
  readonly image: KnownPart | undefined;
  /**
   * The lineage that the other told when we met last. Without it the place where branches part is not known, and everything counts as
   * beyond it: nothing is lost, much may come again.
   */
  readonly remembered: Lineage | undefined;
  /** What the other has of us. */
  readonly theirImage: KnownPart | undefined;
  /** Of other links of the same key; for one that has our own key, our present one. */
  readonly liveEpochs: readonly Epoch[];
  /** Whether one of those links answered after the new one was made. */
  readonly isOldAlive: boolean;
}

/** Positions from one to the other, both included; 0 and 0: none. */
export interface Loss {
  readonly lostFrom: number;
  readonly lostTo: number;
}

export interface Healthy {
  readonly kind: 'healthy';
  readonly covered: number;
  /** False: the other has started so often since that it does not remember the life that we knew. */
  readonly isProven: boolean;
}

export interface FirstMeeting {
  readonly kind: 'firstMeeting';
  /** The other's head: what came before is not for us. */
  readonly covered: number;
}

/** The other was put back to an old image. What it lost is here, as far as we had it; who did not have it will not get it from there. */
export interface RolledBack extends Loss {
  readonly kind: 'rolledBack';
  /** What it is to be set to; never more than it was. */
  readonly covered: number;
  readonly known: Epoch;
  readonly present: Epoch;
}

export type Standing = Healthy | FirstMeeting | RolledBack;

/** We were put back to an old image. We go on in our present life; the stream of the other goes on as `other` says. */
export interface WeAreRolledBack extends Loss {
  readonly kind: 'weAreRolledBack';
  readonly known: Epoch;
  readonly present: Epoch;
  readonly other: Standing;
}

export interface Clone {
  readonly kind: 'clone';
  readonly report: CloneReport;
}

export type Verdict = Standing | WeAreRolledBack | Clone;

export function judge({
  own,
  other,
  image,
  remembered,
  theirImage,
  liveEpochs,
  isOldAlive,
}: Meeting): Verdict {
  const present = presentOf(other.lineage);
  const twin = liveEpochs.find((epoch) => !isSameEpoch(epoch, present));
  if (twin !== undefined && isOldAlive)
    return { kind: 'clone', report: cloneReportOf(other.id, twin, present) };
  const standing = standingOf(other, image, remembered);
  const ours = standingOf(own, theirImage, undefined);
  if (ours.kind !== 'rolledBack') return standing;
  const { known } = ours;
  const from = firstForeign(own.lineage, known);
  return {
    kind: 'weAreRolledBack',
    known,
    present: ours.present,
    ...lossBetween(from, theirImage?.covered ?? 0),
    other: standing,
  };
}

function standingOf(party: Party, image: KnownPart | undefined, remembered: Lineage | undefined): Standing {
  const { lineage, head } = party;
  if (image === undefined) return { kind: 'firstMeeting', covered: head };
  const { epoch, covered } = image;
  const oldest = lineage[0] as EpochStart; // It is not empty.
  const path = pathTo(epoch, remembered);
  const newest = path.at(-1) ?? epoch;
  const isForgotten = isCut(lineage) && newest.counter < oldest.counter;
  if (isForgotten) {
    const limit = Math.min(head, endBefore(lineage, 0));
    return covered <= limit
      ? { kind: 'healthy', covered, isProven: false }
      : rolledBack(limit, covered, epoch, lineage);
  }
  const limit = Math.min(head, partingOf(lineage, path, epoch));
  return covered <= limit && lineageHas(lineage, newest)
    ? { kind: 'healthy', covered, isProven: true }
    : rolledBack(limit, covered, epoch, lineage);
}

/** What is remembered, where it can be that of which `epoch` is a part; else nothing. */
function pathTo(epoch: Epoch, remembered: Lineage | undefined): readonly EpochStart[] {
  return remembered !== undefined && lineageHas(remembered, epoch) ? remembered : [];
}

/** The last position that is the same on the branch that is told and on the one that was known. */
function partingOf(lineage: Lineage, path: readonly EpochStart[], epoch: Epoch): number {
  const shared = lastShared(lineage, path.length === 0 ? [epoch] : path);
  if (shared < 0) return isCut(lineage) ? 0 : Math.min(endBefore(lineage, 0), endBefore(path, 0));
  const last = lineage[shared] as EpochStart; // It was found there.
  const inPath = path.findIndex((start) => isSameEpoch(start, last));
  return Math.min(endBefore(lineage, shared + 1), endBefore(path, inPath + 1));
}

/** Index of the newest life of the lineage that is one of `known`; -1: none is. */
function lastShared(lineage: Lineage, known: readonly Epoch[]): number {
  for (let i = lineage.length - 1; i >= 0; i--) {
    const start = lineage[i] as EpochStart;
    if (known.some((epoch) => isSameEpoch(epoch, start))) return i;
  }
  return -1;
}

function rolledBack(limit: number, covered: number, known: Epoch, lineage: Lineage): RolledBack {
  return {
    kind: 'rolledBack',
    covered: Math.min(limit, covered),
    ...lossBetween(limit, covered),
    known: { counter: known.counter, nonce: known.nonce },
    present: presentOf(lineage),
  };
}

/**
 * The last position of ours that is certainly on the branch with `known`, as far as we can tell without its other lives: up to the start
 * of the first life that took its place.
 */
function firstForeign(lineage: Lineage, known: Epoch): number {
  const shared = lineage.findIndex((start) => isSameEpoch(start, known));
  if (shared >= 0) return endBefore(lineage, shared + 1);
  const index = lineage.findIndex((start) => start.counter >= known.counter);
  return endBefore(lineage, index < 0 ? lineage.length - 1 : index);
}

function lossBetween(limit: number, covered: number): Loss {
  return covered > limit ? { lostFrom: limit + 1, lostTo: covered } : { lostFrom: 0, lostTo: 0 };
}
