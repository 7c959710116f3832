/** Runs many seeds. Ends with 1 where a seed fails, and says how to replay it. */
import { ToolOptions } from '../support/tool-options.js';
import { runCrashSeed } from './crash-run.js';
import { CRASH_SITUATIONS } from './crash-situations.js';
import { FORWARD_SITUATIONS, runForward } from './mesh/forward/world.js';
import { MEMBERSHIP_FAULTS, runMembership } from './mesh/membership/run.js';
import { FAULT_KINDS, type FaultKind } from './mesh/mesh-plan.js';
import { runMeshSeed } from './mesh/mesh-run.js';
import { MESH_SITUATIONS } from './mesh/mesh-situations.js';
import { runSeed } from './run.js';
import { SOMETIMES } from './sometimes.js';

interface Result {
  readonly digest: number | string;
  readonly steps: number;
  readonly failure: Error | undefined;
  /** How often each situation was met. */
  readonly counts: ReadonlyMap<string, number>;
}

interface Simulation {
  readonly run: (seed: number, trace?: (line: string) => void) => Promise<Result>;
  readonly situations: readonly string[];
  /** Beside those of all. */
  readonly options: readonly Extra[];
  /** Of so many seeds one runs twice. */
  readonly twiceEvery: number;
}

const USAGE = `npm run sim -- [SIMULATION] [--seeds N] [--seed S] [--seconds T] [--trace]

  lanes          sessions and messages of one gateway (the default)
  crash          the same over a disk, with crashes
  mesh           [--gateways N] [--faults A,B]
  forward        streams between two gateways; no --trace
  membership     [--gateways N] [--faults KIND] [--span SECONDS]; no --seconds, no --trace

  --seeds N      how many (default 1000), from --seed S on (default 1)
  --seconds T    no new seed after so long
  --trace        shows what happens`;

const options = new ToolOptions(USAGE, {
  allowPositionals: true,
  options: {
    seeds: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string' },
    trace: { type: 'boolean' },
    gateways: { type: 'string' },
    faults: { type: 'string' },
    span: { type: 'string' },
  },
});
const { values, positionals } = options.given;
const EXTRAS = ['seconds', 'trace', 'gateways', 'faults', 'span'] as const;
type Extra = (typeof EXTRAS)[number];

const LANES: Simulation = {
  run: async (seed, trace) => {
    const { sometimes, ...result } = await runSeed(seed, trace);
    return { ...result, counts: sometimes.counts };
  },
  situations: SOMETIMES,
  options: ['seconds', 'trace'],
  twiceEvery: 100,
};
const CRASH: Simulation = {
  run: async (seed, trace) => {
    const { situations, ...result } = await runCrashSeed(seed, trace);
    return { ...result, counts: situations.counts };
  },
  situations: CRASH_SITUATIONS,
  options: ['seconds', 'trace'],
  twiceEvery: 100,
};
const MESH: Simulation = {
  run: async (seed, trace) => {
    const { situations, ...result } = await runMeshSeed(seed, trace, {
      gateways: values.gateways === undefined ? undefined : numberOf('gateways'),
      faults: meshFaults(),
    });
    return { ...result, counts: situations.counts };
  },
  situations: MESH_SITUATIONS,
  options: ['seconds', 'trace', 'gateways', 'faults'],
  twiceEvery: 50,
};
/** Its steps are the messages that came into a log. */
const FORWARD: Simulation = {
  run: async (seed) => {
    try {
      const { digest, delivered, met } = runForward(seed);
      return { digest, steps: delivered, failure: undefined, counts: met };
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      return { digest: failure.message, steps: 0, failure, counts: new Map() };
    }
  },
  situations: FORWARD_SITUATIONS,
  options: ['seconds'],
  twiceEvery: 100,
};
const SIMULATIONS = new Map([
  ['lanes', LANES],
  ['crash', CRASH],
  ['mesh', MESH],
  ['forward', FORWARD],
]);
/** What its seeds have to be judged by together it says itself. */
const MEMBERSHIP_OPTIONS: readonly Extra[] = ['gateways', 'faults', 'span'];

function numberOf(option: 'seeds' | 'seed' | 'seconds' | 'gateways' | 'span', otherwise = 0): number {
  return options.number(option, values[option], otherwise);
}

/** undefined: as the seed says. */
function meshFaults(): readonly FaultKind[] | undefined {
  const named = values.faults?.split(',');
  const kinds: readonly string[] = [...FAULT_KINDS, 'none'];
  for (const one of named ?? [])
    if (!kinds.includes(one)) options.fail(`${one} is none of the faults of a mesh: ${kinds.join(', ')}`);
  return named && FAULT_KINDS.filter((kind) => named.includes(kind));
}

function checkOptions(name: string, known: readonly Extra[]): void {
  for (const option of EXTRAS)
    if (values[option] !== undefined && !known.includes(option)) options.fail(`${name} has no --${option}`);
}

async function runMembershipSeeds(): Promise<number> {
  const { faults: named = 'mixed' } = values;
  const faults =
    MEMBERSHIP_FAULTS.find((kind) => kind === named) ??
    options.fail(`--faults of membership is one of ${MEMBERSHIP_FAULTS.join(', ')}`);
  return runMembership({
    ...{ seeds: numberOf('seeds'), seed: numberOf('seed'), faults },
    ...{ gateways: numberOf('gateways', 8), seconds: numberOf('span', 300) },
  });
}

async function runSeeds(name: string, { run, situations, twiceEvery }: Simulation): Promise<number> {
  const [first, count, budgetMs] = [numberOf('seed'), numberOf('seeds'), numberOf('seconds') * 1000];
  const more = (['gateways', 'faults'] as const).filter((option) => values[option] !== undefined);
  const command = [
    'node dist/test/sim/main.js',
    name,
    ...more.map((option) => `--${option} ${values[option]}`),
  ];
  const trace =
    values.trace === true ? (line: string): void => void process.stdout.write(`${line}\n`) : undefined;
  const started = performance.now();
  const met = new Map<string, number>();
  let runs = 0;
  let steps = 0;
  let failures = 0;
  for (let seed = first; runs < count; seed++) {
    if (budgetMs > 0 && performance.now() - started > budgetMs) break;
    const result = await run(seed, trace);
    runs++;
    steps += result.steps;
    for (const [situation, times] of result.counts) met.set(situation, (met.get(situation) ?? 0) + times);
    if (result.failure !== undefined) {
      failures++;
      const { message, stack, name: kind } = result.failure;
      process.stdout.write(`seed ${seed}: ${kind === 'InvariantViolation' ? message : stack}\n`);
      process.stdout.write(`  replay: ${command.join(' ')} --seed ${seed} --seeds 1\n`);
    }
    if (seed % twiceEvery === 0 && (await run(seed)).digest !== result.digest) {
      failures++;
      process.stdout.write(`seed ${seed}: two runs have different digests\n`);
    }
  }
  const seconds = (performance.now() - started) / 1000;
  process.stdout.write(`${runs} seeds, ${steps} steps, ${failures} failures, ${seconds.toFixed(1)} s\n`);
  if (count > 1)
    for (const situation of situations)
      process.stdout.write(`  ${String(met.get(situation) ?? 0).padStart(8)}  ${situation}\n`);
  return failures;
}

const [name = 'lanes'] = positionals;
const simulation = SIMULATIONS.get(name);
if (simulation === undefined && name !== 'membership')
  options.fail(`${name} is none of ${[...SIMULATIONS.keys(), 'membership'].join(', ')}`);
checkOptions(name, simulation?.options ?? MEMBERSHIP_OPTIONS);
const failures = simulation === undefined ? await runMembershipSeeds() : await runSeeds(name, simulation);
process.exitCode = failures === 0 ? 0 : 1;
