/** What is left of a damaged folder against what was in it, and against what is said of it. */
import { type Restored, withRestored } from '../restored.js';
import { ARCHIVE, type Facts, type Original } from './original.js';

/** How the opening of a damaged folder ended. */
export interface Comparison {
  readonly kind: 'whole' | 'reported' | 'refused';
  /** Messages that are gone. */
  readonly lost: number;
  /** Of these, those that waited for `archive`. */
  readonly lostOfBacklog: number;
  /** What should not be. */
  readonly faults: readonly string[];
  /** Of a refusal: why. */
  readonly reason?: string;
}

export interface Allowed {
  /** Everything up to it was in the database: what is lost of that is found out when it is needed. Default: as it was. */
  readonly applied?: number;
  /** Positions that may be gone without a word: those of the last commit, whose end looks torn. */
  readonly unreportedFrom?: number;
}

/** Opens the folder, which is a copy, and compares. */
export async function compare(
  dataDir: string,
  original: Original,
  allowed: Allowed = {},
): Promise<Comparison> {
  let comparison: Comparison | undefined;
  try {
    await withRestored(dataDir, (restored) => {
      comparison = compareRestored(restored, original, allowed);
    });
  } catch (error) {
    const reason = String(error);
    return {
      kind: 'refused',
      lost: 0,
      lostOfBacklog: 0,
      faults: [`it cannot be opened: ${reason}`],
      reason,
    };
  }
  return comparison ?? { kind: 'refused', lost: 0, lostOfBacklog: 0, faults: ['nothing was looked at'] };
}

function compareRestored(restored: Restored, { facts, clientIds }: Original, allowed: Allowed): Comparison {
  const faults: string[] = [];
  const { losses, unreadable } = restored;
  const isIn = (position: number, ranges: readonly (readonly [number, number])[]): boolean =>
    ranges.some(([first, last]) => position >= first && position <= last);
  // How much was in a newest segment that is gone nobody knows.
  const reported = losses.map(
    ({ first, last, cause }) => [first, cause === 'missingEnd' ? Infinity : last] as const,
  );
  const unreported = allowed.unreportedFrom ?? Infinity;
  const applied = allowed.applied ?? facts.applied;
  const isLate = (position: number): boolean =>
    position <= applied && (position < restored.first || isIn(position, unreadable));
  const aside = Math.min(...restored.setAside.map((path) => Number(/(\d+)\.log$/.exec(path)?.[1])));
  const lost = new Set<number>();
  for (const [position, message] of facts.messages) {
    const found = restored.messages.get(position);
    if (found === undefined) {
      lost.add(position);
      const isSaid = isIn(position, reported) || isLate(position) || position >= aside;
      if (!isSaid && position < unreported) faults.push(`message ${position} is gone, and nobody says so`);
    } else if (found.payload !== message.payload || found.topic !== message.topic) {
      faults.push(`message ${position} is another one`);
    }
  }
  for (const position of restored.messages.keys()) {
    if (!facts.messages.has(position)) faults.push(`message ${position} was never there`);
    if (isIn(position, reported)) faults.push(`message ${position} is said to be lost, and is there`);
  }
  const isWhole = lost.size === 0 && reported.length === 0;
  if (isWhole && unreported === Infinity) faults.push(...sessionFaults(restored, facts, clientIds));
  const lostOfBacklog = [...lost].filter((position) =>
    facts.messages.get(position)?.topic.startsWith('t/'),
  ).length;
  const waiting = restored.queuedCount(ARCHIVE);
  const owed = facts.sessions.get(ARCHIVE)?.queuedCount ?? 0;
  if (waiting < owed - lost.size)
    faults.push(`${waiting} of ${owed} messages wait for ${ARCHIVE}, ${lost.size} are lost`);
  return { kind: isWhole ? 'whole' : 'reported', lost: lost.size, lostOfBacklog, faults };
}

function sessionFaults(restored: Restored, facts: Facts, clientIds: readonly string[]): string[] {
  const faults: string[] = [];
  for (const clientId of clientIds) {
    const { filters = [], queuedCount = 0 } = facts.sessions.get(clientId) ?? {};
    const image = restored.session(clientId);
    const now = (image?.subscriptions ?? []).map(({ filter }) => filter).toSorted();
    if (now.join() !== filters.join())
      faults.push(`${clientId} is subscribed to ${now.join()}, not ${filters.join()}`);
    const queued = restored.queuedCount(clientId);
    if (queued !== queuedCount) faults.push(`${queued} messages wait for ${clientId}, not ${queuedCount}`);
  }
  return faults;
}
