/**
 * Archives of every shape, two that compact at the same time and die anywhere, and somebody who reads meanwhile: what is read is what was archived,
 * each row once. Once all is quiet nothing is left of what was replaced.
 */
import fc from 'fast-check';
import t, { type Test } from 'tap';
import type { MergeLimits } from '../../bridge/archive/compaction/merge-plan.js';
import type { FileFormat } from '../../bridge/archive/object-key.js';
import { type ObjectBody, ObjectFault, type ObjectStore } from '../../bridge/archive/object-store.js';
import { readInOrder } from '../../bridge/archive/reading/archive-reader.js';
import { EVERYTHING } from '../../bridge/archive/reading/object-place.js';
import { type MasterKey, parseKeyFile } from '../../lib/contracts/master-key.js';
import { ArchiveWorld, HOUR_MS, ORIGIN, rowOf, START_MS } from '../support/archive-world.js';
import { compact, GRACE_MS, NOW_MS, rowText, rowTexts, verify } from '../support/compaction-world.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';

const KEYS: readonly MasterKey[] = parseKeyFile(`${'11'.repeat(32)}\n${'22'.repeat(32)}`, 'keys', 'archive');

/** Who has them all. @param current its index */
const keysOf = (current: number): readonly MasterKey[] => (current === 0 ? KEYS : KEYS.toReversed());

interface Cut {
  /** The topics of its rows. */
  readonly topics: readonly number[];
  readonly hours: number;
  readonly isNewLife: boolean;
  readonly site: string;
  readonly format: FileFormat;
  readonly hasColumn: boolean;
  /** Of the key that the gateway has; undefined: it encrypts nothing. */
  readonly key: number | undefined;
}

/** One that compacts: how many requests it makes before it dies. */
interface Life {
  readonly diesAt: number;
  /** Whether the last one takes effect. */
  readonly isDone: boolean;
  /** So many requests of others it begins later, about. */
  readonly delay: number;
  /** What it was told to merge: others may have been told otherwise. */
  readonly limits: MergeLimits;
  /** Its current key, and whether it writes again what has another one. */
  readonly key: number;
  readonly isRekeying: boolean;
}

interface Step {
  readonly cuts: readonly Cut[];
  readonly passesMs: number;
  readonly lives: readonly Life[];
}

const cut: fc.Arbitrary<Cut> = fc.record({
  topics: fc.array(fc.nat(2), { maxLength: 5 }),
  hours: fc.constantFrom(0, 0, 1, 9),
  isNewLife: fc.constantFrom(false, false, false, false, false, true),
  site: fc.constantFrom('harbour', 'harbour', 'harbour', 'plant'),
  format: fc.constantFrom<FileFormat>('parquet', 'parquet', 'parquet', 'ndjson'),
  hasColumn: fc.constantFrom(true, true, true, false),
  key: fc.constantFrom(undefined, 0, 0, 1),
});
const limits: fc.Arbitrary<MergeLimits> = fc.record({
  minBytes: fc.constantFrom(1000, 2400, 1_000_000),
  targetBytes: fc.constantFrom(6000, 1_000_000),
  entriesMaxCount: fc.constantFrom(3, 7, 1000),
});
const life: fc.Arbitrary<Life> = fc.record({
  diesAt: fc.oneof(fc.constant(Infinity), fc.nat(60), fc.nat(300)),
  isDone: fc.boolean(),
  delay: fc.oneof(fc.constant(0), fc.nat(80)),
  limits,
  key: fc.nat(1),
  isRekeying: fc.constantFrom(false, false, true),
});
const step: fc.Arbitrary<Step> = fc.record({
  cuts: fc.array(cut, { minLength: 1, maxLength: 8 }),
  passesMs: fc.constantFrom(0, GRACE_MS / 2, GRACE_MS + 1),
  lives: fc.array(life, { minLength: 1, maxLength: 2 }),
});
/** Requests of one process: others come in between, and with the last one it dies. */
function ofProcess(
  store: MemoryObjectStore,
  scheduler: fc.Scheduler,
  { diesAt, isDone }: Pick<Life, 'diesAt' | 'isDone'>,
  keys = KEYS,
): ObjectStore {
  let count = 0;
  const request = async <T>(task: () => Promise<T>): Promise<T> => {
    await scheduler.schedule(Promise.resolve());
    const isLast = ++count >= diesAt;
    if (isLast && !(isDone && count === diesAt)) throw new ObjectFault('unknown', 'it is dead');
    const result = await task();
    if (isLast) throw new ObjectFault('unknown', 'it is dead');
    return result;
  };
  return {
    ...{ name: store.name, keys },
    createsOnce: () => store.createsOnce(),
    create: (key: string, body: ObjectBody) => request(() => store.create(key, body)),
    read: (key, range) => request(() => store.read(key, range)),
    stat: (key) => request(() => store.stat(key)),
    remove: (key) => request(() => store.remove(key)),
    list: async function* (prefix: string, after?: string) {
      await request(() => Promise.resolve());
      yield* store.list(prefix, after);
    },
  };
}

class Scenario {
  readonly store = new MemoryObjectStore();
  /** What is to be read. */
  readonly expected: string[] = [];
  wallMs = NOW_MS;
  #sequence = 0;
  #epoch = 1;
  #timeMs = START_MS;
  readonly #t: { teardown(done: () => void): void };

  constructor(t: { teardown(done: () => void): void }) {
    this.#t = t;
  }

  async cut({ topics, hours, isNewLife, site, format, hasColumn, key }: Cut): Promise<void> {
    this.#timeMs += hours * HOUR_MS;
    if (isNewLife) this.#epoch++;
    const options = {
      ...{ site, format },
      parquet: {
        ...{ compression: 'snappy' as const, groupMaxRows: 3, groupMaxBytes: 1000 },
        columns: hasColumn ? [{ name: 'n', path: ['n'], type: 'integer' as const }] : [],
      },
    };
    this.store.keys = key === undefined ? [] : keysOf(key);
    const world = new ArchiveWorld(this.#t, this.store, options);
    for await (const { upTo } of world.manifest.read()) this.#sequence = upTo;
    const rows = topics.map((topic) =>
      rowOf(++this.#sequence, { timeMs: this.#timeMs++, topic: `site/${'abc'[topic]}` }),
    );
    const epoch = { counter: this.#epoch, nonce: `00000000000000a${this.#epoch % 10}` };
    await world.cut(++this.#sequence, rows, { epoch });
    this.store.keys = KEYS;
    for (const row of rows) this.expected.push(rowText(row, site, this.#epoch));
  }
}

async function run(t: Test, scenario: Scenario, steps: readonly Step[], scheduler: fc.Scheduler) {
  const { store } = scenario;
  for (const { cuts, passesMs, lives } of steps) {
    scenario.wallMs += passesMs;
    for (const one of cuts) await scenario.cut(one);
    const compactors = lives.map(async (one) => {
      for (let n = 0; n < one.delay; n++) await scheduler.schedule(Promise.resolve());
      try {
        const keys = keysOf(one.key);
        await compact(ofProcess(store, scheduler, one, keys), scenario.wallMs, {
          ...{ limits: one.limits, rekeyTo: one.isRekeying ? keys[0]?.id : undefined },
        });
      } catch (error) {
        if (!(error instanceof ObjectFault)) throw error;
      }
    });
    const reading = rowTexts(ofProcess(store, scheduler, { diesAt: Infinity, isDone: false }));
    await scheduler.waitFor(Promise.all([...compactors, reading]));
    t.strictSame((await reading).sort(), [...scenario.expected].sort(), 'read meanwhile');
    const inOrder = await rowTexts(store, (catalog) => readInOrder(catalog, EVERYTHING));
    t.strictSame(inOrder, scenario.expected, 'read in order');
  }
}

t.test('what is read is what was archived, whoever compacts and dies', async (t) => {
  let [mergedCount, removedCount] = [0, 0];
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 4 }),
      limits,
      fc.boolean(),
      fc.scheduler(),
      async (steps, at, isRekeying, scheduler) => {
        const ends: (() => void)[] = [];
        const scenario = new Scenario({ teardown: (end) => void ends.push(end) });
        const { store } = scenario;
        try {
          await run(t, scenario, steps, scheduler);
          const litter = `data/date=2026-11-29/prefix=site%2Fa/${ORIGIN.slice(0, 16)}-1-1-1-00000000.parquet`;
          const ahead = litter.replace('-1-1-1-', '-99-1-1-');
          for (const key of [litter, ahead]) store.objects.set(key, new Uint8Array(1));
          const rekeyTo = isRekeying ? KEYS[0]?.id : undefined;
          for (let n = 0; n < 2; n++) {
            const [done] = await compact(store, scenario.wallMs, { limits: at, isAlone: true, rekeyTo });
            mergedCount += done?.merges ?? 0;
            removedCount += done?.removed?.replaced.objects ?? 0;
            scenario.wallMs += GRACE_MS;
          }
          const [last] = await compact(store, scenario.wallMs, { limits: at });
          t.same([last?.merges, last?.removed?.litter.objects], [0, 0], 'nothing is left to do');
          const { faults, notes } = await verify(store);
          t.strictSame(faults, []);
          t.strictSame(notes, [`litter ${ahead}: 1 bytes that no manifest names`]);
          if (isRekeying) store.keys = KEYS.slice(0, 1);
          t.strictSame((await rowTexts(store)).sort(), [...scenario.expected].sort());
        } finally {
          for (const end of ends) end();
        }
      },
    ),
    { numRuns: 25 },
  );
  t.comment(`${mergedCount} merges, ${removedCount} removed in the end`);
});
