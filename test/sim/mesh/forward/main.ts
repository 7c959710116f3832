/** The long form: `node dist/test/sim/mesh/forward/main.js [seeds] [first]`. */
import { FORWARD_SITUATIONS, type ForwardSituation, runForward } from './world.js';

const [seeds = 1000, first = 1] = process.argv.slice(2).map(Number);
const met = new Map<ForwardSituation, number>();
let delivered = 0;
let failed = 0;
const startedAt = process.hrtime.bigint();
for (let seed = first; seed < first + seeds; seed++) {
  try {
    const result = runForward(seed);
    delivered += result.delivered;
    for (const [situation, times] of result.met) met.set(situation, (met.get(situation) ?? 0) + times);
  } catch (error) {
    failed++;
    process.stdout.write(`seed ${seed}: ${String(error)}\n`);
  }
}
const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9;
process.stdout.write(`${seeds} seeds in ${seconds.toFixed(1)} s, ${failed} failed, ${delivered} records\n`);
for (const situation of FORWARD_SITUATIONS) process.stdout.write(`${met.get(situation) ?? 0} ${situation}\n`);
process.exitCode = failed > 0 ? 1 : 0;
