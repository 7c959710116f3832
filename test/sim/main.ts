/**
 * Runs many seeds: `node dist/test/sim/main.js --seeds N [--seed S] [--seconds T] [--trace]`. Ends with 1 where a seed fails, and says how to
 * replay it.
 */
import { parseArgs } from 'node:util';
import { runSeed } from './run.js';
import { SOMETIMES, Sometimes } from './sometimes.js';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '0' },
    trace: { type: 'boolean', default: false },
  },
});

const first = Number(values.seed);
const count = Number(values.seeds);
const budgetMs = Number(values.seconds) * 1000;
if (![first, count, budgetMs].every(Number.isFinite)) {
  process.stderr.write('--seeds, --seed and --seconds are numbers\n');
  process.exit(2);
}

const trace = values.trace ? (line: string): void => void process.stdout.write(`${line}\n`) : undefined;
const started = performance.now();
const met = new Sometimes();
let runs = 0;
let steps = 0;
let failures = 0;
for (let seed = first; runs < count; seed++) {
  if (budgetMs > 0 && performance.now() - started > budgetMs) break;
  const result = await runSeed(seed, trace);
  runs++;
  steps += result.steps;
  met.add(result.sometimes);
  if (result.failure !== undefined) {
    failures++;
    const { message, stack, name } = result.failure;
    process.stdout.write(`seed ${seed}: ${name === 'InvariantViolation' ? message : stack}\n`);
    process.stdout.write(`  replay: node dist/test/sim/main.js --seed ${seed} --seeds 1\n`);
  }
  // One seed in a hundred runs twice.
  if (seed % 100 === 0 && (await runSeed(seed)).digest !== result.digest) {
    failures++;
    process.stdout.write(`seed ${seed}: two runs have different digests\n`);
  }
}
const seconds = (performance.now() - started) / 1000;
process.stdout.write(`${runs} seeds, ${steps} steps, ${failures} failures, ${seconds.toFixed(1)} s\n`);
if (count > 1) {
  for (const situation of SOMETIMES)
    process.stdout.write(`  ${String(met.counts.get(situation) ?? 0).padStart(8)}  ${situation}\n`);
}
process.exitCode = failures === 0 ? 0 : 1;
