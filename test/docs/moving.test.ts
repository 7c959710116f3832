import { readFileSync } from 'node:fs';
import t from 'tap';
import { KNOWN_OPTIONS } from '../../lib/cli/import/plan.js';
import { CONFIG_KEYS } from '../../lib/config/index.js';

const page = readFileSync(new URL('../../../docs/moving-from-mosquitto.md', import.meta.url), 'utf8');

t.test('every key that the page about moving names is one of the configuration', async (t) => {
  const sections = new Set([...CONFIG_KEYS.keys()].map((key) => key.split('.')[0]));
  const named = [...page.matchAll(/[`= ]([a-z]+(?:\.[a-zA-Z]+)+)/g)]
    .map(([, key]) => key ?? '')
    .filter((key) => sections.has(key.split('.')[0]));
  t.ok(named.length > 25);
  for (const key of named) t.ok(CONFIG_KEYS.has(key), key);
});

t.test('the table of the page has options of mosquitto in its first column', async (t) => {
  const rows = [...page.matchAll(/^\| (`[^|]*)\|/gm)].map(([, cell]) => cell ?? '');
  t.ok(rows.length > 20);
  for (const cell of rows)
    for (const [, option = ''] of cell.matchAll(/`([a-z_]+)(?: [a-z]+)?`/g))
      t.ok(KNOWN_OPTIONS.includes(option), option);
});
