/**
 * A data folder that is restarted, put back to older images and archived now and then, in any order: all that it has at the end is in the
 * archive, under names that are given once, in entries that can stand one behind the other.
 */
import fc from 'fast-check';
import t from 'tap';
import type { EpochStart } from '../../lib/contracts/epoch.js';
import {
  EMPTY_TIP,
  type ManifestEntry,
  type ManifestTip,
  successionFault,
} from '../../bridge/archive/manifest-entry.js';
import { nextStretch } from '../../bridge/archive/stretch.js';
import { gatewayIdOf } from '../../lib/contracts/gateway-id.js';

const ORIGIN = gatewayIdOf(new Uint8Array(32).fill(1));

/** What is at each position of the log, from 1 on, is a number that is given once. */
interface Folder {
  readonly log: readonly number[];
  readonly lineage: readonly EpochStart[];
}

class World {
  folder: Folder = { log: [], lineage: [] };
  readonly images: Folder[] = [];
  readonly rows = new Map<string, number>();
  readonly lives = new Map<string, number>();
  tip: ManifestTip = EMPTY_TIP;
  rollbacks = 0;
  #given = 0;
  #nonces = 0;

  constructor(readonly lineageMax: number) {
    this.restart();
  }

  /** A counter is never used twice by one folder, as long as it is not put back. */
  restart(beyond = 0): void {
    const { log, lineage } = this.folder;
    const counter = Math.max(beyond, lineage.at(-1)?.counter ?? 0) + 1;
    const nonce = String(++this.#nonces).padStart(16, '0');
    const begun = [...lineage, { counter, nonce, after: log.length }].slice(-this.lineageMax);
    this.folder = { log, lineage: begun };
  }

  append(count: number): void {
    const { log, lineage } = this.folder;
    this.folder = { log: [...log, ...Array.from({ length: count }, () => ++this.#given)], lineage };
  }

  /** @param size of the entry at most @returns whether there was anything to archive */
  archive(size: number): boolean {
    const { log, lineage } = this.folder;
    const extent = { lineage, first: 1, committed: log.length };
    const next = nextStretch(extent, this.tip, this.lives);
    if (next.kind === 'none') return false;
    if (next.kind === 'beyond') {
      this.restart(next.counter);
      return true;
    }
    const { epoch, after, from } = next;
    const upTo = Math.min(next.upTo, from + size);
    const entry: ManifestEntry = {
      ...{ origin: ORIGIN, number: this.tip.number + 1, previous: this.tip.hash, epoch, after, upTo },
      ...{ lost: [], config: '', rows: upTo - after, objects: [], by: ORIGIN },
    };
    const fault = successionFault(this.tip, entry);
    if (fault !== undefined) throw new Error(`entry ${entry.number} ${fault}`);
    for (let position = after + 1; position <= upTo; position++) {
      const name = `${epoch.nonce} ${position}`;
      if (this.rows.has(name)) throw new Error(`${name} is archived twice`);
      this.rows.set(name, log[position - 1] as number);
    }
    this.tip = { number: entry.number, hash: '', epoch, upTo };
    this.lives.set(epoch.nonce, upTo);
    return true;
  }
}

type Step =
  | { readonly do: 'append'; readonly count: number }
  | { readonly do: 'archive'; readonly size: number }
  | { readonly do: 'restart' }
  | { readonly do: 'image' }
  | { readonly do: 'putBack'; readonly which: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('append' as const), count: fc.integer({ min: 1, max: 9 }) }),
  fc.record({ do: fc.constant('archive' as const), size: fc.integer({ min: 1, max: 12 }) }),
  fc.record({ do: fc.constant('restart' as const) }),
  fc.record({ do: fc.constant('image' as const) }),
  fc.record({ do: fc.constant('putBack' as const), which: fc.nat(5) }),
);

function play(world: World, steps: readonly Step[], mayPutBack: boolean): void {
  for (const one of steps) {
    if (one.do === 'append') world.append(one.count);
    else if (one.do === 'archive') world.archive(one.size);
    else if (one.do === 'restart') world.restart();
    else if (one.do === 'image') world.images.push(world.folder);
    else if (one.do === 'putBack') {
      const image = world.images[one.which];
      if (image === undefined || !mayPutBack) continue;
      world.rollbacks++;
      world.folder = image;
      // A process that begins on it has a life of its own.
      world.restart();
    }
  }
  while (world.archive(1000));
}

t.test('everything that the folder has is archived, and nothing under a name twice', async (t) => {
  let rollbacks = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 15, maxLength: 60 }), (steps) => {
      const world = new World(1000);
      play(world, steps, true);
      rollbacks += world.rollbacks;
      const archived = new Set(world.rows.values());
      for (const one of world.folder.log) if (!archived.has(one)) throw new Error(`${one} is not archived`);
      // What was put back is the only reason for one that comes under two names.
      return world.rollbacks > 0 || archived.size === world.rows.size;
    }),
    { numRuns: 3000 },
  );
  t.ok(rollbacks > 1000, `${rollbacks} times put back`);
});

t.test(
  'in a folder that is never put back each is archived once, also where it forgets its lives',
  async () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 15, maxLength: 80 }),
        fc.integer({ min: 1, max: 3 }),
        (steps, lineageMax) => {
          const world = new World(lineageMax);
          play(world, steps, false);
          return (
            world.rows.size === world.folder.log.length &&
            new Set(world.rows.values()).size === world.folder.log.length
          );
        },
      ),
      { numRuns: 2000 },
    );
  },
);
