import { randomInt } from 'node:crypto';
import t from 'tap';
import { fuzz } from './run.js';

const SECONDS = 1.5;

for (const [name, seed] of [
  ['the seed 20261', 20261],
  ['a fresh seed', randomInt(2 ** 31)],
] as const) {
  t.test(`with ${name} no malformed, random or ill-timed packet disturbs the other clients`, async (t) => {
    const { faults, delivered, caseFile } = await fuzz({ seed, seconds: SECONDS, whole: false });
    t.strictSame(faults, [], `npm run fuzz -- --seed ${seed}; ${caseFile ?? 'no case'}`);
    t.ok(delivered > 100, `${delivered} deliveries were checked`);
  });
}
