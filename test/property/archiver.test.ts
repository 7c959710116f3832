/**
 * Archives of one log by uploaders that are killed between any two steps, lose answers, and get in each other's way: in the end the manifest
 * names every message once, and every object that it names is what it says.
 */
import fc from 'fast-check';
import t from 'tap';
import { Archiver, type BuiltCut, type Cut } from '../../bridge/archive/archiver.js';
import { CutKeeper } from '../../bridge/archive/cut-keeper.js';
import { Manifest } from '../../bridge/archive/manifest.js';
import { hashOf, type ManifestTip } from '../../bridge/archive/manifest-entry.js';
import { bodyOf, ObjectFault } from '../../bridge/archive/object-store.js';
import { gatewayIdOf } from '../../lib/contracts/gateway-id.js';
import { MemoryObjectStore, type PlannedFault } from '../support/memory-object-store.js';

const ORIGIN = gatewayIdOf(new Uint8Array(32).fill(1));
const EPOCH = { counter: 1, nonce: '00000000000000aa' };
const LOG_END = 60;
const PARTITIONS = 3;

class Killed extends Error {}

/** What outlives the process of an uploader. */
interface Disk {
  cut: Cut | undefined;
  archivedUpTo: number;
}

/** When it happens, if anything does, of each thing that an uploader does. */
type Luck = () => 'nothing' | 'kill' | PlannedFault;

class Uploader {
  readonly archiver: Archiver;
  readonly #luck: Luck;
  readonly #cutSize: number;

  constructor(number: number, objects: MemoryObjectStore, disk: Disk, luck: Luck, cutSize: number) {
    this.#luck = luck;
    this.#cutSize = cutSize;
    const self = gatewayIdOf(new Uint8Array(32).fill(number));
    const cuts = new CutKeeper({
      saved: () => disk.cut,
      save: async (cut) => {
        await this.#live();
        disk.cut = cut;
        await this.#live();
      },
      next: (tip) => this.#nextCut(tip),
    });
    this.archiver = new Archiver({
      ...{ self, objects, manifest: new Manifest(objects, ORIGIN) },
      cutAfter: (tip, lives) => cuts.cutAfter(tip, lives),
      build: (cut) => this.#build(cut),
      archived: ({ upTo }) => {
        disk.archivedUpTo = Math.max(disk.archivedUpTo, upTo);
      },
    });
  }

  async #live(): Promise<void> {
    await Promise.resolve();
    if (this.#luck() === 'kill') throw new Killed();
  }

  #nextCut({ upTo }: ManifestTip): Cut | undefined {
    if (upTo >= LOG_END) return undefined;
    return { epoch: EPOCH, after: upTo, upTo: Math.min(LOG_END, upTo + this.#cutSize), config: 'c', atMs: 0 };
  }

  async #build({ after, upTo }: Cut): Promise<BuiltCut> {
    await this.#live();
    const objects = [];
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const rows: number[] = [];
      for (let position = after + 1; position <= upTo; position++)
        if (position % PARTITIONS === partition) rows.push(position);
      if (rows.length === 0) continue;
      const bytes = Buffer.from(rows.join('\n'));
      const sha256 = hashOf(bytes);
      const key = `data/p=${partition}/${after + 1}-${upTo}-${sha256.slice(0, 8)}`;
      objects.push({ key, length: bytes.length, rows: rows.length, sha256, body: bodyOf(bytes) });
    }
    return { objects, lost: [], dispose: () => this.#live() };
  }
}

async function archivedRows(objects: MemoryObjectStore): Promise<number[]> {
  const rows: number[] = [];
  for await (const entry of new Manifest(objects, ORIGIN).read())
    for (const { key, sha256 } of entry.objects) {
      const bytes = objects.objects.get(key);
      if (bytes === undefined || hashOf(bytes) !== sha256)
        throw new Error(`${key} is not what the manifest says`);
      rows.push(...Buffer.from(bytes).toString().split('\n').map(Number));
    }
  return rows.sort((a, b) => a - b);
}

const ALL_ROWS = Array.from({ length: LOG_END }, (_, n) => n + 1);

t.test('whatever happens in between, everything is archived once', async (t) => {
  const kills = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 1, maxLength: 3 }),
      fc.infiniteStream(fc.nat(99)),
      async (cutSizes, dice) => {
        const objects = new MemoryObjectStore();
        let isCalm = false;
        const luck: Luck = () => {
          const thrown = isCalm ? 99 : (dice.next().value ?? 99);
          if (thrown < 4) return 'kill';
          if (thrown < 10) return { when: 'before', kind: 'unreachable' };
          return thrown < 16 ? { when: 'after', kind: 'unknown' } : 'nothing';
        };
        objects.fault = () => {
          const fate = luck();
          return typeof fate === 'object' ? fate : undefined;
        };
        objects.agrees = () => (dice.next().value ?? 99) < 30;
        const run = async (cutSize: number, number: number): Promise<void> => {
          const disk: Disk = { cut: undefined, archivedUpTo: 0 };
          for (let life = 0; disk.archivedUpTo < LOG_END; life++) {
            if (life > 50) isCalm = true;
            const { archiver } = new Uploader(number + 2, objects, disk, luck, cutSize);
            for (;;) {
              try {
                if ((await archiver.step()) === 'idle') break;
              } catch (error) {
                if (error instanceof Killed) break;
                if (!(error instanceof ObjectFault)) throw error;
              }
            }
            kills.set('lives', (kills.get('lives') ?? 0) + 1);
          }
        };
        await Promise.all(cutSizes.map((cutSize, number) => run(cutSize, number)));
        objects.fault = () => undefined;
        t.same(await archivedRows(objects), ALL_ROWS);
      },
    ),
    { numRuns: 300 },
  );
  t.ok((kills.get('lives') ?? 0) > 400, `${kills.get('lives')} lives`);
});

t.test('one that begins again makes the same objects, and leaves no litter', async (t) => {
  const { length } = ALL_ROWS;
  // Killed after each number of things that it does.
  let left = -1;
  for (let things = 0; left < 0; things++) {
    const objects = new MemoryObjectStore();
    const disk: Disk = { cut: undefined, archivedUpTo: 0 };
    left = things;
    const dies: Luck = () => (left-- === 0 ? 'kill' : 'nothing');
    objects.fault = () => {
      if (dies() === 'kill') throw new Killed();
      return undefined;
    };
    const first = new Uploader(2, objects, disk, dies, 7);
    for (let steps = 0; steps < length; steps++)
      if ((await first.archiver.step().catch(() => 'idle')) === 'idle') break;
    objects.fault = () => undefined;
    const second = new Uploader(2, objects, disk, () => 'nothing', 11);
    while ((await second.archiver.step()) !== 'idle');
    t.same(await archivedRows(objects), ALL_ROWS);
    const named = new Set<string>();
    for await (const entry of new Manifest(objects, ORIGIN).read())
      for (const { key } of entry.objects) named.add(key);
    const litter = [...objects.objects.keys()].filter((key) => key.startsWith('data/') && !named.has(key));
    t.same(litter, [], `killed after ${things} things`);
    t.ok(things < 1000);
  }
});

t.test('what was stored otherwise than it was sent is found before the manifest names it', async (t) => {
  for (const spoil of [
    (bytes: Uint8Array) => bytes.subarray(1),
    (bytes: Uint8Array) => bytes.map((byte) => byte ^ 1),
    () => undefined,
  ]) {
    const objects = new MemoryObjectStore();
    const { archiver } = new Uploader(2, objects, { cut: undefined, archivedUpTo: 0 }, () => 'nothing', 7);
    objects.fault = (operation, key) => {
      const bytes = objects.objects.get(key);
      if (operation !== 'stat' || bytes === undefined) return undefined;
      const spoilt = spoil(bytes);
      if (spoilt === undefined) objects.objects.delete(key);
      else objects.objects.set(key, spoilt);
      return undefined;
    };
    await t.rejects(archiver.step(), { name: 'ObjectFault', message: /was stored in memory, and / });
    t.same(await archivedRows(objects), []);
  }
});
