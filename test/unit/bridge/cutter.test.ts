import t from 'tap';
import type { EpochStart } from '../../../lib/contracts/epoch.js';
import { Cutter, type CutLimits } from '../../../bridge/archive/cutter.js';
import { EMPTY_TIP, type ManifestTip } from '../../../bridge/archive/manifest-entry.js';

const FIRST: EpochStart = { counter: 1, nonce: 'a'.padStart(16, '0'), after: 0 };
const LIMITS: CutLimits = { fileMaxBytes: 1000, fileMaxCount: 50, fileMaxAgeMs: 10_000 };

class Bench {
  now = 0;
  committed = 0;
  recordBytes = 1;
  isOpen = true;
  lineage: EpochStart[] = [FIRST];
  readonly beyond: number[] = [];
  readonly cutter: Cutter;

  constructor(limits: Partial<CutLimits> = {}) {
    const log = {
      first: 1,
      bytesBetween: (after: number, upTo: number) => this.recordBytes * (upTo - after),
    };
    Object.defineProperty(log, 'committed', { get: () => this.committed });
    this.cutter = new Cutter(
      {
        clock: { now: () => this.now, wall: () => 1000 + this.now },
        log: log as typeof log & { readonly committed: number },
        lineage: () => this.lineage,
        isOpen: () => this.isOpen,
        beyond: (counter) => this.beyond.push(counter),
      },
      { ...LIMITS, ...limits },
      'config',
    );
  }

  /** What is known of the archive: everything up to here of the first life. */
  archived(upTo: number, epoch = FIRST): void {
    const tip: ManifestTip = upTo === 0 ? EMPTY_TIP : { number: 1, hash: '', epoch, upTo };
    this.cutter.archived(tip, upTo === 0 ? new Map() : new Map([[epoch.nonce, upTo]]));
  }
}

t.test('before anything is known of the archive, it is to be looked at', async (t) => {
  const bench = new Bench();
  t.equal(bench.cutter.look(), true);
  bench.isOpen = false;
  t.equal(bench.cutter.look(), false);
});

t.test('a stretch is cut when it is old enough, and not before', async (t) => {
  const bench = new Bench();
  bench.archived(0);
  t.equal(bench.cutter.look(), false, 'nothing is there');
  bench.committed = 5;
  bench.now = 100;
  t.equal(bench.cutter.look(), false);
  bench.now = 10_099;
  t.equal(bench.cutter.look(), false);
  t.equal(bench.cutter.cut(), undefined);
  t.match(bench.cutter.backlog, { positions: 5, bytes: 5, ageMs: 9999 });
  bench.now = 10_100;
  t.equal(bench.cutter.look(), true);
  const epoch = { counter: 1, nonce: FIRST.nonce };
  t.same(bench.cutter.cut(), { epoch, after: 0, upTo: 5, config: 'config', atMs: 11_100 });
  bench.archived(5);
  bench.committed = 6;
  t.equal(bench.cutter.cut(), undefined, 'what came behind it begins to wait');
});

t.test('many or large ones are cut at once, within the limits', async (t) => {
  const bench = new Bench();
  bench.archived(0);
  bench.committed = 49;
  t.equal(bench.cutter.look(), false);
  bench.committed = 120;
  t.equal(bench.cutter.look(), true);
  t.match(bench.cutter.cut(), { after: 0, upTo: 50 });
  bench.archived(50);
  t.match(bench.cutter.cut(), { after: 50, upTo: 100 });
  bench.recordBytes = 300;
  t.match(bench.cutter.cut(), { after: 50, upTo: 53 }, '3 of 300 bytes');
  bench.recordBytes = 5000;
  t.match(bench.cutter.cut(), { after: 50, upTo: 51 }, 'at least one, however large it is');
});

t.test('nothing is cut while the archive is closed', async (t) => {
  const bench = new Bench();
  bench.archived(0);
  bench.committed = 1000;
  bench.isOpen = false;
  t.equal(bench.cutter.look(), false);
  t.equal(bench.cutter.cut(), undefined);
  bench.isOpen = true;
  t.equal(bench.cutter.look(), true);
});

t.test('what an earlier process left waits a minute at most, and not for its age', async (t) => {
  const bench = new Bench({ fileMaxAgeMs: 1e9 });
  bench.committed = 10;
  bench.lineage = [FIRST, { counter: 2, nonce: 'b'.padStart(16, '0'), after: 7 }];
  bench.archived(0);
  t.equal(bench.cutter.look(), false);
  bench.now = 60_000;
  t.equal(bench.cutter.look(), true);
  t.match(bench.cutter.cut(), { epoch: { counter: 1 }, after: 0, upTo: 7 });
  bench.archived(7);
  t.equal(bench.cutter.cut(), undefined, 'the life that goes on is not due');
});

t.test('what has nothing in it is passed over, and is part of the next entry', async (t) => {
  const bench = new Bench();
  bench.archived(3);
  bench.committed = 9;
  bench.cutter.look();
  bench.now = 20_000;
  t.match(bench.cutter.cut(), { after: 3, upTo: 9 });
  bench.cutter.skip(9);
  t.equal(bench.cutter.cut(), undefined);
  t.equal(bench.cutter.doneUpTo, 9);
  t.equal(bench.cutter.backlog.positions, 0);
  bench.committed = 11;
  bench.cutter.look();
  bench.now = 40_000;
  t.equal(bench.cutter.backlog.positions, 2);
  t.match(bench.cutter.cut(), { after: 3, upTo: 11 });
});

t.test('a life that the archive knows and the gateway does not has to be left behind', async (t) => {
  const bench = new Bench();
  bench.committed = 9;
  bench.archived(20, { counter: 4, nonce: 'f'.padStart(16, '0'), after: 0 });
  t.equal(bench.cutter.look(), false);
  t.same(bench.beyond, [4]);
  bench.lineage = [FIRST, { counter: 5, nonce: 'c'.padStart(16, '0'), after: 9 }];
  t.equal(bench.cutter.look(), false);
  bench.now = 10_000;
  t.equal(bench.cutter.look(), true);
  t.match(bench.cutter.cut(), { epoch: { counter: 5 }, after: 0, upTo: 9 });
});
