/** The table of mutants.ts is in step with the page, the titles and the sources; `npm run mutants` makes the breaks. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { draw, DRAWN_PER_EDITION, EDITIONS, MUTANTS, type Edition } from './mutants.js';
import { editedTexts, PROJECT } from './mutation.js';

/** Statements whose row names a test. */
function shown(edition: Edition): { id: string; shownBy: string }[] {
  const page = readFileSync(join(PROJECT, 'docs/conformance.md'), 'utf8');
  const section = page.split(`\n## MQTT ${edition}\n`)[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/^\| (MQTT-[\d.]+-\d+) +\| [^|]+ \| (.*`[a-z0-9-]+\.test\.ts`.*) \|$/gm)].map(
    ([, id = '', shownBy = '']) => ({ id, shownBy: shownBy.trim() }),
  );
}

for (const edition of EDITIONS) {
  const rows = shown(edition);
  const mutants = MUTANTS.filter((mutant) => mutant.edition === edition);

  t.test(`each statement of ${edition} that is drawn has a break, and no other`, async (t) => {
    const drawn = draw(
      edition,
      rows.map(({ id }) => id),
    );
    t.equal(drawn.length, DRAWN_PER_EDITION);
    t.same(new Set(mutants.map(({ statement }) => statement)), new Set(drawn));
  });

  t.test(`the row of each break of ${edition} names the test that has to notice it`, async (t) => {
    for (const { statement, test } of mutants) {
      const cells = rows.find(({ id }) => id === statement)?.shownBy.split('<br>') ?? [];
      t.ok(cells.includes(`\`${test[0]}\`: ${test[1]}`), `${statement}: ${test[1]}`);
    }
  });
}

t.test('what a break replaces stands exactly once in its file', async (t) => {
  for (const { statement, breaks, edits } of MUTANTS)
    t.doesNotThrow(() => editedTexts(edits), `${statement}: ${breaks}`);
});
