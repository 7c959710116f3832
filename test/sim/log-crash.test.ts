import t from 'tap';
import { LOG_SITUATIONS, type LogSituation, runLogCrashes } from './log-crash.js';

const SEEDS = 60;

t.test('whatever a loss of power leaves holds every committed record and reports no loss', async (t) => {
  const met = new Set<LogSituation>();
  let images = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      images += await runLogCrashes(seed, (situation) => met.add(situation));
    } catch (error) {
      t.fail(`runLogCrashes(${seed}): ${String(error)}`);
    }
  }
  t.ok(images > SEEDS * 50, `${images} images`);
  t.same(
    LOG_SITUATIONS.filter((situation) => !met.has(situation)),
    [],
    'every situation was met',
  );
});
