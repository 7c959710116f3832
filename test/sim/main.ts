/**
 * Runs many seeds: `node dist/test/sim/main.js [crash|mesh] --seeds N [--seed S] [--seconds T] [--trace]`. Ends with 1 where a seed fails, and
 * says how to replay it. Of a mesh `--gateways N` says how many there are, `--faults a,b` which faults.
 */
import { parseArgs } from 'node:util';
import { runCrashSeed } from './crash-run.js';
import { CRASH_SITUATIONS } from './crash-situations.js';
import { FAULT_KINDS } from './mesh/mesh-plan.js';
import { runMeshSeed } from './mesh/mesh-run.js';
import { MESH_SITUATIONS } from './mesh/mesh-situations.js';
import { runSeed } from './run.js';
import { SOMETIMES } from './sometimes.js';

interface Result {
  readonly digest: number;
  readonly steps: number;
  readonly failure: Error | undefined;
  /** How often each situation was met. */
  readonly counts: ReadonlyMap<string, number>;
}

interface Simulation {
  readonly run: (seed: number, trace?: (line: string) => void) => Promise<Result>;
  readonly situations: readonly string[];
}

const LANES: Simulation = {
  run: async (seed, trace) => {
    const { sometimes, ...result } = await runSeed(seed, trace);
    return { ...result, counts: sometimes.counts };
  },
  situations: SOMETIMES,
};
const CRASH: Simulation = {
  run: async (seed, trace) => {
    const { situations, ...result } = await runCrashSeed(seed, trace);
    return { ...result, counts: situations.counts };
  },
  situations: CRASH_SITUATIONS,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '0' },
    trace: { type: 'boolean', default: false },
    gateways: { type: 'string' },
    faults: { type: 'string' },
  },
});
const MESH: Simulation = {
  run: async (seed, trace) => {
    const { gateways, faults } = values;
    const named = faults?.split(',');
    const { situations, ...result } = await runMeshSeed(seed, trace, {
      gateways: gateways === undefined ? undefined : Number(gateways),
      faults: named && FAULT_KINDS.filter((kind) => named.includes(kind)),
    });
    return { ...result, counts: situations.counts };
  },
  situations: MESH_SITUATIONS,
};

const [name] = positionals;
const { run, situations } = name === 'mesh' ? MESH : name === 'crash' ? CRASH : LANES;
const more = (['gateways', 'faults'] as const).filter((option) => values[option] !== undefined);
const command = `node dist/test/sim/main.js${name === undefined ? '' : ` ${name}`}${more.map((option) => ` --${option} ${values[option]}`).join('')}`;
const first = Number(values.seed);
const count = Number(values.seeds);
const budgetMs = Number(values.seconds) * 1000;
if (![first, count, budgetMs].every(Number.isFinite)) {
  process.stderr.write('--seeds, --seed and --seconds are numbers\n');
  process.exit(2);
}

const trace = values.trace ? (line: string): void => void process.stdout.write(`${line}\n`) : undefined;
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
    const { message, stack, name } = result.failure;
    process.stdout.write(`seed ${seed}: ${name === 'InvariantViolation' ? message : stack}\n`);
    process.stdout.write(`  replay: ${command} --seed ${seed} --seeds 1\n`);
  }
  // A few run twice.
  if (seed % (name === 'mesh' ? 50 : 100) === 0 && (await run(seed)).digest !== result.digest) {
    failures++;
    process.stdout.write(`seed ${seed}: two runs have different digests\n`);
  }
}
const seconds = (performance.now() - started) / 1000;
process.stdout.write(`${runs} seeds, ${steps} steps, ${failures} failures, ${seconds.toFixed(1)} s\n`);
if (count > 1) {
  for (const situation of situations)
    process.stdout.write(`  ${String(met.get(situation) ?? 0).padStart(8)}  ${situation}\n`);
}
process.exitCode = failures === 0 ? 0 : 1;
