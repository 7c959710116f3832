/** Rows that are missing, twice, changed or made up: what the log says of them is exactly what was done to them. */
import fc from 'fast-check';
import t from 'tap';
import { compare, ComparedCounts, type Section } from '../../bridge/archive/proof/comparison.js';
import type { ProofKind, Run } from '../../bridge/archive/proof/finding-runs.js';
import { digestOf, type LogBlock, type LogMark } from '../../bridge/archive/proof/log-mark.js';
import type { RowMark } from '../../bridge/archive/proof/unit-rows.js';
import { START_MS } from '../support/archive-world.js';

type Change = 'topic' | 'qos' | 'retain' | 'timeMs' | 'digest' | 'epoch' | 'origin';

/** What is at a position of the log, and what became of it in the archive. */
interface Place {
  /** undefined: a record that is no message. */
  readonly topic: 'a' | 'b' | 'elsewhere' | undefined;
  readonly fate: 'kept' | 'removed' | 'twice' | 'late' | 'made up' | Change;
  /** The clock was not set yet. */
  readonly isEarly: boolean;
  readonly isTold: boolean;
}

interface Case {
  readonly places: readonly Place[];
  /** Where entries end, as shares of all. */
  readonly ends: readonly number[];
  readonly batch: number;
  readonly block: number;
  /** Of so many at the beginning the log has nothing any more. */
  readonly gone: number;
}

const place: fc.Arbitrary<Place> = fc.record({
  topic: fc.constantFrom('a', 'a', 'a', 'b', 'elsewhere', undefined),
  fate: fc.oneof(
    { weight: 12, arbitrary: fc.constant<Place['fate']>('kept') },
    {
      weight: 4,
      arbitrary: fc.constantFrom<Place['fate']>('removed', 'removed', 'twice', 'late', 'made up'),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom<Place['fate']>(
        ...(['topic', 'qos', 'retain', 'timeMs', 'digest', 'epoch', 'origin'] as const),
      ),
    },
  ),
  isEarly: fc.nat(9).map((n) => n === 0),
  isTold: fc.nat(9).map((n) => n === 0),
});
const cases: fc.Arbitrary<Case> = fc.record({
  places: fc.array(place, { minLength: 1, maxLength: 80 }),
  ends: fc.array(fc.nat(100), { maxLength: 3 }),
  batch: fc.integer({ min: 1, max: 40 }),
  block: fc.integer({ min: 1, max: 40 }),
  gone: fc.oneof(fc.constant(0), fc.nat(20)),
});

const AFTER = 100;
const isArchived = (topic: string): boolean => topic !== 'elsewhere';

function markOf(sequence: number, { topic = 'a', isEarly }: Place): LogMark {
  const timeMs = isEarly ? sequence : START_MS + sequence;
  const digest = digestOf(undefined, Buffer.from(`${sequence}`));
  return { sequence, timeMs, topic, qos: 1, retain: false, digest, bytes: 1 };
}

function rowOf(mark: LogMark, fate: Place['fate']): RowMark {
  const { sequence, topic, qos, retain, digest } = mark;
  const row = { sequence, topic, qos, retain, digest, isLine: false, origin: 'o', epoch: 1 };
  // As the gateway dates it once its clock is set.
  const timeMs = mark.timeMs < START_MS ? mark.timeMs + START_MS : mark.timeMs;
  const changed = {
    ...{ topic: 'c', qos: 2, retain: true, timeMs: timeMs + 1, digest: digest.slice(1) },
    ...{ epoch: 2, origin: 'p' },
  };
  return { ...row, timeMs, ...(fate in changed ? { [fate]: changed[fate as Change] } : {}) };
}

interface World {
  readonly sections: readonly Section[];
  readonly blocks: readonly LogBlock[];
  readonly rows: readonly RowMark[];
  readonly expected: Readonly<Record<ProofKind, readonly number[]>>;
  readonly counts: Partial<ComparedCounts>;
}

function worldOf({ places, ends, block, gone }: Case): World {
  const upTo = AFTER + places.length;
  const bounds = [...ends.map((share) => AFTER + Math.floor((share * places.length) / 100)), upTo];
  const sorted = [...new Set(bounds.filter((end) => end > AFTER))].sort((a, b) => a - b);
  const told = (index: number): boolean => places[index]?.isTold === true;
  const sections = sorted.map((end, i): Section => {
    const after = sorted[i - 1] ?? AFTER;
    const positions = Array.from({ length: end - after }, (_, n) => after + 1 + n);
    const lost = positions.filter((position) => told(position - AFTER - 1)).map((one) => [one, one] as const);
    return { number: i + 1, after, upTo: end, lost, isArchived };
  });
  const expected: Record<ProofKind, number[]> = { missing: [], twice: [], differs: [], unknown: [] };
  const counts = { same: 0, notJudged: 0, lostAndThere: 0 };
  const marks: LogMark[] = [];
  const rows: RowMark[] = [];
  const late: RowMark[] = [];
  for (const [i, one] of places.entries()) {
    const position = AFTER + 1 + i;
    const mark = markOf(position, one);
    const { topic, fate } = one;
    const isGone = i < gone;
    const isThere = topic !== undefined && !isGone;
    if (isThere) marks.push(mark);
    if (topic === undefined || topic === 'elsewhere') {
      if (fate !== 'made up') continue;
      rows.push(rowOf(mark, fate));
      if (isGone) counts.notJudged++;
      else expected.unknown.push(position);
      continue;
    }
    if (fate === 'removed' || fate === 'made up') {
      if (isThere && one.isTold) counts.lostAndThere++;
      else if (isThere) expected.missing.push(position);
      continue;
    }
    rows.push(rowOf(mark, fate));
    if (fate === 'twice') rows.push(rowOf(mark, fate));
    if (fate === 'late') late.push(rowOf(mark, fate));
    if (fate === 'twice' || fate === 'late') expected.twice.push(position);
    const isKept = ['kept', 'twice', 'late'].includes(fate) || (fate === 'timeMs' && one.isEarly);
    if (isGone) counts.notJudged++;
    else if (isKept) counts.same++;
    else expected.differs.push(position);
  }
  const blocks: LogBlock[] = [];
  for (let at = AFTER + 1; at <= upTo; at += block) {
    const next = Math.min(at + block, upTo + 1);
    const lastGone = Math.min(AFTER + gone, next - 1);
    const lost = lastGone >= at ? ([at, lastGone] as const) : undefined;
    blocks.push({ marks: marks.filter(({ sequence }) => sequence >= at && sequence < next), lost, next });
  }
  return { sections, blocks, rows: [...rows, ...late], expected, counts };
}

async function* inBatches<T>(all: readonly T[], size: number): AsyncGenerator<readonly T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
}

async function* each<T>(all: readonly T[]): AsyncGenerator<T> {
  yield* all;
}

t.test('what was done to rows is found, and nothing else', async (t) => {
  await fc.assert(
    fc.asyncProperty(cases, async (made) => {
      const { sections, blocks, rows, expected, counts } = worldOf(made);
      const runs: { run: Run; section: Section }[] = [];
      const counted = new ComparedCounts();
      await compare(
        { origin: 'o', epoch: 1, sections, sharedUpTo: Infinity },
        inBatches(rows, made.batch),
        each(blocks),
        {
          onRun: (run, section) => void runs.push({ run, section }),
          onLost: () => undefined,
          onBlock: () => undefined,
        },
        counted,
      );
      t.match({ ...counted }, counts);
      for (const kind of ['missing', 'twice', 'differs', 'unknown'] as const) {
        const own = runs.filter(({ run }) => run.kind === kind);
        const concerned = own.flatMap(({ run: { first, last, count } }) => {
          const within = expected[kind].filter((position) => position >= first && position <= last);
          if (within.length !== count) throw new Error(`${kind}: ${count} of ${within.join(' ')}`);
          return within;
        });
        const got = concerned.sort((a, b) => a - b);
        if (got.join() !== expected[kind].join())
          throw new Error(`${kind}: ${got.join()} and not ${expected[kind].join()}`);
        for (const { run, section } of own)
          if (kind === 'missing' && (run.first <= section.after || run.last > section.upTo))
            throw new Error(`${run.first} is not of entry ${section.number}`);
      }
      if (runs.length > Object.values(expected).flat().length) throw new Error('a run of nothing');
    }),
    { numRuns: 400 },
  );
});
