/** A gateway whose data folder is restarted, copied and put back at will, and another one that meets it now and then. */
import fc from 'fast-check';
import t from 'tap';
import type { EpochStart, Lineage } from '../../lib/contracts/epoch.js';
import { gatewayIdOf } from '../../lib/contracts/gateway-id.js';
import { type CloneReport, judgeCloneReport } from '../../mesh/identity/clone-report.js';
import { judge, type KnownPart, type Meeting, type Party } from '../../mesh/identity/meeting.js';
import { LINEAGE_MAX_COUNT, presentOf } from '../../mesh/identity/lineage.js';

const ID = gatewayIdOf(new Uint8Array(32).fill(1));
const OBSERVER = gatewayIdOf(new Uint8Array(32).fill(2));
const OBSERVER_LINEAGE: Lineage = [{ counter: 1, nonce: 'f'.repeat(16), after: 0 }];

/** Messages are numbers that no two messages share, wherever they stand in a log. */
interface Folder {
  readonly lineage: Lineage;
  readonly log: readonly number[];
}

class Gateway {
  folder: Folder = { lineage: [], log: [] };
  readonly images: Folder[] = [];
  #lastMessage = 0;
  #lastNonce = 0;

  restart(): void {
    const { lineage, log } = this.folder;
    const nonce = (++this.#lastNonce).toString(16).padStart(16, '0');
    const start: EpochStart = { counter: (lineage.at(-1)?.counter ?? 0) + 1, nonce, after: log.length };
    this.folder = { log, lineage: [...lineage, start].slice(-LINEAGE_MAX_COUNT) };
  }

  write(count: number): void {
    const written = Array.from({ length: count }, () => ++this.#lastMessage);
    this.folder = { ...this.folder, log: [...this.folder.log, ...written] };
  }

  /** @returns whether there was an image to put back */
  restore(which: number): boolean {
    const image = this.images[which % Math.max(1, this.images.length)];
    if (image === undefined) return false;
    this.folder = image;
    this.restart();
    return true;
  }

  get party(): Party {
    return { id: ID, lineage: this.folder.lineage, head: this.folder.log.length };
  }
}

class Observer {
  /** What it has, by position: of one branch. */
  had: number[] = [];
  image: KnownPart | undefined;
  remembered: Lineage | undefined;

  meeting(gateway: Gateway, remembered = this.remembered): Meeting {
    return {
      own: { id: OBSERVER, lineage: OBSERVER_LINEAGE, head: 0 },
      other: gateway.party,
      image: this.image,
      remembered,
      theirImage: undefined,
      liveEpochs: [],
      isOldAlive: false,
    };
  }

  /** Up to where both have the same messages. */
  sharedWith({ folder }: Gateway): number {
    const differs = this.had.findIndex((message, i) => folder.log[i] !== message);
    return differs < 0 ? this.had.length : differs;
  }

  take({ folder }: Gateway, covered: number, count: number): void {
    const sent = folder.log.slice(covered, covered + count);
    this.had = [...folder.log.slice(0, covered), ...sent];
    this.image = { epoch: presentOf(folder.lineage), covered: this.had.length };
    this.remembered = folder.lineage;
  }
}

type Step =
  | { readonly kind: 'write' | 'meet' | 'restore'; readonly count: number }
  | { readonly kind: 'restart' }
  | { readonly kind: 'save' };

const harmless = fc.oneof(
  fc.record({ kind: fc.constant('write' as const), count: fc.integer({ min: 1, max: 9 }) }),
  fc.record({ kind: fc.constant('meet' as const), count: fc.integer({ min: 0, max: 12 }) }),
  fc.record({ kind: fc.constant('restart' as const) }),
  fc.record({ kind: fc.constant('save' as const) }),
);
const anyStep = fc.oneof(
  { weight: 4, arbitrary: harmless },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('restore' as const), count: fc.integer({ min: 0, max: 9 }) }),
  },
);

/** Starts while nobody looks: more or fewer than are remembered. */
const longAbsence = fc
  .integer({ min: 1, max: 2 * LINEAGE_MAX_COUNT })
  .map((count) => Array.from({ length: count }, (): Step => ({ kind: 'restart' })));

interface Met {
  readonly gateway: Gateway;
  readonly observer: Observer;
  readonly wasRestored: boolean;
}

/** Plays the steps; `check` sees each meeting before what follows from it. */
function play(steps: readonly Step[], check: (met: Met) => void): void {
  const gateway = new Gateway();
  const observer = new Observer();
  gateway.restart();
  let wasRestored = false;
  for (const step of steps) {
    if (step.kind === 'write') gateway.write(step.count);
    else if (step.kind === 'restart') gateway.restart();
    else if (step.kind === 'save') gateway.images.push(gateway.folder);
    else if (step.kind === 'restore') wasRestored = gateway.restore(step.count) || wasRestored;
    else {
      check({ gateway, observer, wasRestored });
      const verdict = judge(observer.meeting(gateway));
      if (verdict.kind === 'clone' || verdict.kind === 'weAreRolledBack') throw new Error(verdict.kind);
      observer.take(gateway, verdict.covered, step.count);
      wasRestored = false;
    }
  }
}

const history = fc.array(anyStep, { maxLength: LINEAGE_MAX_COUNT - 4, size: 'max' });

t.test('what counts as had is what both have: nothing is swallowed, and nothing is sent twice', async () => {
  fc.assert(
    fc.property(history, (steps) => {
      play(steps, ({ gateway, observer }) => {
        if (observer.image === undefined) return;
        const shared = observer.sharedWith(gateway);
        const verdict = judge(observer.meeting(gateway));
        if (!('covered' in verdict) || verdict.covered !== shared)
          throw new Error(`${JSON.stringify(verdict)} where ${shared} are shared`);
      });
    }),
    { numRuns: 2000 },
  );
});

t.test(
  'an image that was put back is found where anything beyond it was had, and a restart is no such thing',
  async () => {
    fc.assert(
      fc.property(history, (steps) => {
        play(steps, ({ gateway, observer, wasRestored }) => {
          const { kind } = judge(observer.meeting(gateway));
          if (observer.image === undefined) {
            if (kind !== 'firstMeeting') throw new Error(kind);
            return;
          }
          const isLost = observer.sharedWith(gateway) < observer.had.length;
          if (isLost && kind !== 'rolledBack') throw new Error(`not found: ${kind}`);
          if (!wasRestored && kind !== 'healthy') throw new Error(`healthy, but ${kind}`);
        });
      }),
      { numRuns: 2000 },
    );
  },
);

t.test('without the lives that were told before, too, nothing is swallowed', async () => {
  fc.assert(
    fc.property(history, (steps) => {
      play(steps, ({ gateway, observer, wasRestored }) => {
        if (observer.image === undefined) return;
        const verdict = judge({ ...observer.meeting(gateway), remembered: undefined });
        if (!('covered' in verdict) || verdict.covered > observer.sharedWith(gateway))
          throw new Error(JSON.stringify(verdict));
        if (!wasRestored && verdict.kind !== 'healthy') throw new Error(verdict.kind);
      });
    }),
    { numRuns: 2000 },
  );
});

t.test(
  'a gateway that was put back itself learns it from the other, with the positions that it lost',
  async () => {
    fc.assert(
      fc.property(history, (steps) => {
        play(steps, ({ gateway, observer, wasRestored }) => {
          if (observer.image === undefined) return;
          const verdict = judge({
            own: gateway.party,
            other: { id: OBSERVER, lineage: OBSERVER_LINEAGE, head: 0 },
            image: undefined,
            remembered: undefined,
            theirImage: observer.image,
            liveEpochs: [],
            isOldAlive: false,
          });
          const covered = observer.had.length;
          const isLost = observer.sharedWith(gateway) < covered;
          if (isLost && verdict.kind !== 'weAreRolledBack') throw new Error(`not found: ${verdict.kind}`);
          if (!wasRestored && verdict.kind !== 'firstMeeting') throw new Error(verdict.kind);
          if (verdict.kind === 'weAreRolledBack' && verdict.lostTo !== 0 && verdict.lostTo !== covered)
            throw new Error(JSON.stringify(verdict));
        });
      }),
      { numRuns: 1000 },
    );
  },
);

t.test(
  'a gateway that has started more often than anybody remembers is healthy as long as nobody puts it back',
  async () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(harmless, longAbsence), { maxLength: 60, size: 'max' }), (rounds) => {
        const steps = rounds.flat();
        play(steps, ({ gateway, observer }) => {
          const verdict = judge(observer.meeting(gateway));
          if (observer.image !== undefined && verdict.kind !== 'healthy') throw new Error(verdict.kind);
          if (verdict.kind === 'healthy' && verdict.covered !== observer.had.length)
            throw new Error(JSON.stringify(verdict));
        });
      }),
      { numRuns: 300 },
    );
  },
);

/** A folder is copied after `shared` starts; then each copy starts as often as is said, the first perhaps not at all. */
const copies = fc.record({
  shared: fc.integer({ min: 1, max: 90 }),
  left: fc.integer({ min: 0, max: 5 }),
  right: fc.integer({ min: 1, max: 5 }),
});

function reportOf(seen: Gateway, lineage: Lineage, isOldAlive: boolean): CloneReport | undefined {
  const verdict = judge({
    ...new Observer().meeting(seen),
    liveEpochs: [presentOf(lineage)],
    isOldAlive,
  });
  return verdict.kind === 'clone' ? verdict.report : undefined;
}

t.test(
  'of two copies that are alive at once at least one learns that it is meant, and both where both were started since',
  async () => {
    fc.assert(
      fc.property(copies, ({ shared, left, right }) => {
        const gateway = new Gateway();
        for (let i = 0; i < shared; i++) gateway.restart();
        const copied = gateway.folder;
        for (let i = 0; i < left; i++) gateway.restart();
        const first = gateway.folder.lineage;
        gateway.folder = copied;
        for (let i = 0; i < right; i++) gateway.restart();
        const second = gateway.folder.lineage;
        const report = reportOf(gateway, first, true);
        if (report === undefined) throw new Error('not found');
        const meant = [first, second].map((lineage) => judgeCloneReport(report, ID, lineage));
        if (meant[0] !== 'clone') throw new Error(`the first: ${meant[0]}`);
        if (left > 0 && meant[1] !== 'clone') throw new Error(`the second: ${meant[1]}`);
      }),
    );
  },
);

t.test(
  'a restart is no clone: neither while its old connection is dying nor to itself when somebody took it for one',
  async () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 90 }), fc.integer({ min: 1, max: 9 }), (before, after) => {
        const gateway = new Gateway();
        for (let i = 0; i < before; i++) gateway.restart();
        const old = gateway.folder.lineage;
        for (let i = 0; i < after; i++) gateway.restart();
        if (reportOf(gateway, old, false) !== undefined) throw new Error('taken for a clone');
        const report = reportOf(gateway, old, true);
        if (report === undefined) throw new Error('not reported');
        if (judgeCloneReport(report, ID, gateway.folder.lineage) !== 'stale') throw new Error('believed');
      }),
    );
  },
);
