/** Named faults of a mesh under load, each with what has to hold after it; and several of them at once. */
import { setTimeout as elapse } from 'node:timers/promises';
import type { MeshGateway } from './mesh-gateway.js';
import type { Way } from './mesh-network.js';
import { MeshRun } from './mesh-run.js';
import { type ProofReport, timesText } from './report.js';

export interface MeshFaultsOptions {
  readonly gateways: number;
  /** Each fault so often. */
  readonly rounds: number;
  readonly seed: number;
  /** Default: all. */
  readonly only?: readonly string[] | undefined;
  readonly tell?: (text: string) => void;
}

type Fault = (run: MeshRun) => Promise<void>;

const both = (a: MeshGateway, b: MeshGateway): Way[] => [
  [a.options.place, b.options.place],
  [b.options.place, a.options.place],
];
const between = (some: readonly MeshGateway[], others: readonly MeshGateway[]): Way[] =>
  some.flatMap((a) => others.flatMap((b) => both(a, b)));
const others = (run: MeshRun, some: readonly MeshGateway[]): MeshGateway[] =>
  run.gateways.filter((one) => !some.includes(one));

export const MESH_FAULTS: Readonly<Record<string, Fault>> = {
  'kill one': (run) => run.kill(run.pick(1), run.random.integer(50, 3000)),
  'kill two at once': (run) => run.kill(run.pick(2), run.random.integer(50, 3000)),
  'kill a third': (run) => run.kill(run.pick(Math.max(1, Math.floor(run.gateways.length / 3))), 6000),
  'kill twice in two seconds': async (run) => {
    const who = run.pick(1);
    await run.kill(who, 100);
    await elapse(run.random.integer(0, 600));
    await run.kill(who, 100);
  },
  pause: async (run) => {
    for (const one of run.pick(1)) await run.pause(one, run.random.integer(1000, 6000));
  },
  'pause two': async (run) => {
    await Promise.all(run.pick(2).map((one) => run.pause(one, run.random.integer(1000, 6000))));
  },
  'partition in two': (run) => {
    const some = run.pick(Math.floor(run.gateways.length / 2));
    return run.cut('partition', between(some, others(run, some)), run.random.integer(2000, 9000));
  },
  'one alone': (run) => {
    const some = run.pick(1);
    return run.cut('partition', between(some, others(run, some)), run.random.integer(2000, 9000));
  },
  'two that cannot see each other': (run) => {
    const [a, b] = run.pick(2) as [MeshGateway, MeshGateway];
    return run.cut('one line cut', both(a, b), run.random.integer(4000, 9000));
  },
  'one way': (run) => {
    const [a] = run.pick(1) as [MeshGateway];
    const ways = others(run, [a]).map((one): Way => [a.options.place, one.options.place]);
    return run.cut('one way', ways, run.random.integer(3000, 9000));
  },
  flapping: async (run) => {
    const some = run.pick(1);
    for (let i = 0; i < 4; i++) {
      await run.cut('flapping', between(some, others(run, some)), 1500);
      await elapse(1500);
    }
  },
  loss: (run) => run.badLines('loss', 6000, () => run.formation.network.lose(20)),
  'slow lines': async (run) => {
    const { network } = run.formation;
    if (network.cannotCut === undefined && network.slowness === undefined) {
      run.skipped.add('slow lines: neither tc netem nor tc tbf');
      return;
    }
    await run.badLines('slow lines', 6000, () => {
      for (const { options } of run.pick(2)) network.slow(options.place);
    });
  },
  'all at once without DHT': (run) => run.kill(run.gateways, 200),
  'mixed: partition and kill': async (run) => {
    const some = run.pick(2);
    await Promise.all([
      run.cut('partition', between(some, others(run, some)), run.random.integer(4000, 8000)),
      elapse(run.random.integer(200, 1500)).then(() => run.kill(run.pick(1), run.random.integer(50, 1000))),
    ]);
  },
  'mixed: pause and loss and kill': async (run) => {
    const [stopped, killed] = run.pick(2) as [MeshGateway, MeshGateway];
    await Promise.all([
      run.badLines('loss', 5000, () => run.formation.network.lose(10)),
      run.pause(stopped, run.random.integer(1000, 5000)),
      elapse(run.random.integer(0, 2000)).then(() => run.kill([killed], 300)),
    ]);
  },
};

/** One mesh and one history for all of them. */
export async function meshFaults(options: MeshFaultsOptions): Promise<ProofReport> {
  const { gateways, rounds, seed, only, tell = () => {} } = options;
  const run = await MeshRun.start(gateways, seed);
  let failed = true;
  try {
    let count = 0;
    for (let round = 0; round < rounds; round++)
      for (const [name, fault] of Object.entries(MESH_FAULTS)) {
        if (only !== undefined && !only.includes(name)) continue;
        tell(name);
        await fault(run);
        await run.relinked(name);
        await elapse(300);
        count++;
      }
    tell('everything comes to rest, and is judged');
    const { figures, failures, skipped } = await run.judge({});
    failed = failures.length > 0;
    return {
      figures: {
        gateways,
        faults: count,
        'slow lines by': run.formation.network.slowness ?? 'nothing',
        ...Object.fromEntries([...run.times].map(([what, times]) => [what, timesText(times)])),
        ...figures,
        ...(failed && { 'kept in': run.recording.folder }),
      },
      failures,
      skipped: skipped ?? [],
    };
  } finally {
    await run.close({ keep: failed });
  }
}
