/**
 * How far a gateway can vouch for the log of another one, whose archive it may have to finish. Pure.
 *
 *     ───────────────┬────────────────────────┬───────────▶ positions of the origin
 *        done         after    copies here     upTo    not known here
 *        (its word)
 *
 * Copies follow each other without a gap, from where the origin says that nothing is wanted before; so all between `after` and `upTo` that is to
 * be archived is here, and nothing is said of what is beyond. A run is a sequence of such copies: where the origin turns out to be another one than
 * it was, or to archive something else, a new one begins, and the copies of the old one are nobody's.
 */
import type { Lineage } from '../../../lib/contracts/epoch.js';
import type { LogPosition } from '../../../lib/contracts/store.js';
import type { ChunkHead } from './copy-chunk.js';
import type { ArchiveOffer } from './offer.js';

/** Where in the log here copies of what is behind a position of the origin begin. */
export type KeptMark = readonly [from: LogPosition, position: LogPosition];

export interface KeptState {
  /** Names the copies. */
  readonly run: number;
  readonly offer: ArchiveOffer;
  /** Nothing up to here is wanted any more. */
  readonly after: LogPosition;
  readonly upTo: LogPosition;
  /** The newest position of the origin that is known of. */
  readonly head: LogPosition;
  /** Ascending; some of the copies, the first among them. */
  readonly marks: readonly KeptMark[];
  /** Of the copies, about. */
  readonly bytes: number;
  /** Copies in the log here up to this position are accounted for. */
  readonly scanned: LogPosition;
}

/** Why copies were let go and are asked for anew. */
export type RestartReason = 'topics' | 'target' | 'past' | 'lives';

export interface TakenOffer {
  readonly state: KeptState;
  /** undefined: what is here stays of use. */
  readonly restart: RestartReason | undefined;
}

/** What a new run would be, and what came of the old one. */
export interface RunStart {
  readonly run: number;
  /** The newest position of the log here. */
  readonly scanned: LogPosition;
  /** Up to where copies came, whether or not they are durable: those that are not yet are found after a crash. */
  readonly claimed: LogPosition;
}

/** Reading begins at a mark and passes over what is between: more of them cost memory. */
const MARKS_MAX_COUNT = 64;

export function takeOffer(
  before: KeptState | undefined,
  offer: ArchiveOffer,
  { run, scanned, claimed }: RunStart,
): TakenOffer {
  const restart = before === undefined ? undefined : restartFor(before, offer, claimed);
  if (before === undefined || restart !== undefined) {
    const { done } = offer;
    const state = { run, offer, after: done, upTo: done, head: done, marks: [], bytes: 0, scanned };
    return { state, restart };
  }
  // What was archived once stays so, and no entry goes: after a crash it may know less than it did.
  const tip = offer.tip.number < before.offer.tip.number ? before.offer.tip : offer.tip;
  const done = Math.max(offer.done, before.offer.done);
  return { state: doneUpTo({ ...before, offer: { ...offer, tip, done } }, done), restart };
}

function restartFor(
  { offer, upTo }: KeptState,
  told: ArchiveOffer,
  claimed: LogPosition,
): RestartReason | undefined {
  if (told.target !== offer.target || told.begin !== offer.begin) return 'target';
  if (JSON.stringify(told.config.topics) !== JSON.stringify(offer.config.topics)) return 'topics';
  const shared = sharedUpTo(offer.lineage, told.lineage);
  if (shared === undefined) return 'lives';
  return shared < Math.max(upTo, claimed) ? 'past' : undefined;
}

/** Up to which position two paths of lives of a gateway are one; undefined: they have no life in common. */
export function sharedUpTo(known: Lineage, told: Lineage): LogPosition | undefined {
  for (let i = known.length - 1; i >= 0; i--) {
    const at = told.findIndex(({ nonce }) => nonce === known[i]?.nonce);
    if (at >= 0) return Math.min(endOf(known, i), endOf(told, at));
  }
  return undefined;
}

/** A log that became shorter since is taken into account. */
function endOf(lineage: Lineage, index: number): LogPosition {
  return Math.min(Infinity, ...lineage.slice(index + 1).map(({ after }) => after));
}

/** Whether a chunk goes on where the copies end. One that came before does not. */
export function isNextChunk({ upTo }: KeptState, { from, to }: ChunkHead): boolean {
  return from <= upTo && to > upTo;
}

/** A chunk that goes on is durable here. @param position of it */
export function takeChunk(
  state: KeptState,
  chunk: ChunkHead,
  position: LogPosition,
  bytes: number,
): KeptState {
  const { from, to, head } = chunk;
  return {
    ...state,
    upTo: to,
    head: Math.max(state.head, head, to),
    marks: thinned([...state.marks, [from, position]]),
    bytes: state.bytes + bytes,
    scanned: Math.max(state.scanned, position),
  };
}

/** What is up to here is not wanted any more. */
function doneUpTo(state: KeptState, done: LogPosition): KeptState {
  const { after, upTo, marks, bytes } = state;
  if (done <= after) return state;
  const head = Math.max(state.head, done);
  if (done >= upTo) return { ...state, after: done, upTo: done, head, marks: [], bytes: 0 };
  const first = Math.max(
    0,
    marks.findLastIndex(([from]) => from <= done),
  );
  const share = (upTo - done) / (upTo - after);
  return { ...state, after: done, head, marks: marks.slice(first), bytes: Math.round(bytes * share) };
}

/** From where on the log here is needed; undefined: it is not. */
export function floorOf({ marks }: KeptState): LogPosition | undefined {
  return marks[0]?.[1];
}

/** Every second one goes, but for the first and the last. */
function thinned(marks: readonly KeptMark[]): readonly KeptMark[] {
  if (marks.length <= MARKS_MAX_COUNT) return marks;
  return marks.filter((_, i) => i % 2 === 0 || i === marks.length - 1);
}
