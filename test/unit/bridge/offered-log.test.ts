import t from 'tap';
import type { ArchivePorts, ArchiveSettings } from '../../../bridge/archive/archive.js';
import { ArchiveNotes, type NoteStore } from '../../../bridge/archive/archive-notes.js';
import { ClockSteps } from '../../../bridge/archive/clock-steps.js';
import { noRows } from '../../../bridge/archive/row-columns.js';
import { OfferedLog } from '../../../bridge/archive/standby/offered-log.js';

const TIP = { number: 3, hash: 'a'.repeat(64), epoch: undefined, upTo: 50 };
const YEAR_2026_MS = Date.UTC(2026, 10, 29);

class World {
  readonly notes = new Map<string, Uint8Array>();
  readonly asked: unknown[] = [];
  wallMs = YEAR_2026_MS;

  offered(): OfferedLog {
    const settings = {
      ...{ topics: ['#'], format: 'ndjson', compression: 'none', columns: [], site: 'harbour' },
      partitions: { by: 'day', topicLevels: 0 },
    };
    const ports = {
      store: {
        committed: 70,
        note: (name: string) => this.notes.get(name),
        setNote: (name: string, value: Uint8Array) => this.notes.set(name, value),
      },
      clock: this.clock,
      lineage: () => Array.from({ length: 70 }, (_, i) => ({ counter: i + 1, nonce: `${i}`, after: i })),
      rows: (topics: readonly string[], _steps: ClockSteps, readBytes: number) => ({
        read: async (cut: unknown, after: number) => {
          this.asked.push({ topics, readBytes, cut, after });
          return { rows: noRows(), lost: [], next: after + 1 };
        },
      }),
    };
    const notes = new ArchiveNotes(ports.store as unknown as NoteStore, 'archive');
    return new OfferedLog(settings as unknown as ArchiveSettings, ports as unknown as ArchivePorts, notes);
  }

  get clock() {
    return { now: () => 0, wall: () => this.wallMs };
  }

  get steps(): ClockSteps {
    return new ClockSteps(this.clock, []);
  }
}

t.test(
  'what is offered is what is not archived, as was known last, also after a restart without the store',
  (t) => {
    const world = new World();
    const first = world.offered();
    t.equal(first.offer, undefined, 'not before the start');
    first.start({ target: 'file:///a', from: 5 }, 5, world.steps);
    t.match(first.offer, {
      begin: 5,
      done: 4,
      tip: { number: 0, hash: '' },
      target: 'file:///a',
      config: { site: 'harbour' },
    });
    t.equal(first.offer?.lineage.length, 64);
    t.equal(first.offer?.lineage.at(-1)?.counter, 70);
    first.reached(TIP, 60);
    first.reached(TIP, 0);
    t.match(first.offer, { done: 60, tip: { number: 3, hash: TIP.hash } }, 'what is done stays so');
    const second = world.offered();
    second.start({ target: 'file:///a', from: 5 }, 61, world.steps);
    t.match(second.offer, { begin: 5, done: 60, tip: { number: 3 } });
    const elsewhere = world.offered();
    elsewhere.start({ target: 'file:///b', from: 61 }, 61, world.steps);
    t.match(elsewhere.offer, { begin: 61, done: 60, tip: { number: 0 } }, 'another archive has nothing yet');
    t.end();
  },
);

t.test('where nobody remembers what was archived, or what time it is, nothing is offered', (t) => {
  const world = new World();
  const offered = world.offered();
  offered.start({ target: 'file:///a', from: 5 }, 30, world.steps);
  t.equal(offered.offer, undefined);
  offered.reached(TIP, 50);
  t.match(offered.offer, { done: 50 });
  world.wallMs = 0;
  t.equal(offered.offer, undefined);
  t.end();
});

t.test('copies are read in small parts, with the time of the archive', async (t) => {
  const world = new World();
  const offered = world.offered();
  t.throws(() => offered.read(3), /has not begun/);
  offered.start({ target: 'file:///a', from: 5 }, 5, world.steps);
  t.match(await offered.read(9), { next: 10 });
  t.same(world.asked, [
    { topics: ['#'], readBytes: 32_768, cut: { upTo: 70, atMs: YEAR_2026_MS }, after: 9 },
  ]);
});
