/**
 * Keeps docs/conformance.md and the conformance tests equal. The last column of its tables is made from the titles of the
 * tests: SPRAWL_UPDATE_DOCS=1 writes it anew.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import t from 'tap';

const DOC = new URL('../../../docs/conformance.md', import.meta.url);
const TESTS = new URL('../../../test/conformance/', import.meta.url);

interface ShownBy {
  file: string;
  sentence: string;
}
type Edition = '3.1.1' | '5';
const EDITIONS = ['3.1.1', '5'] as const;
/** How many statements the specifications have; see the page for what is counted. */
const COUNTS = { '3.1.1': 141, '5': 252 } as const;
const REASON = /^(Client|Not testable|Not applicable): \S/;

const sources = readdirSync(TESTS).filter((name) => name.endsWith('.test.ts'));

/** Titles of tests as they stand in the sources, by file. */
function titlesOf(file: string): string[] {
  const text = readFileSync(new URL(file, TESTS), 'utf8');
  return [...text.matchAll(/\bt\.test\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/g)].map((match) =>
    (match[1] ?? match[2] ?? '').replaceAll("\\'", "'"),
  );
}

/** `3.1.1 [MQTT-…] [MQTT-…] 5 [MQTT-…] sentence`: the statements of each edition, and the sentence. */
function parseTitle(title: string): { ids: { edition: Edition; id: string }[]; sentence: string } {
  const ids: { edition: Edition; id: string }[] = [];
  let edition: Edition | undefined;
  let rest = title;
  for (;;) {
    const [word] = /^(?:3\.1\.1|5|\[MQTT-[^\]]*\]) /.exec(rest) ?? [];
    if (word === undefined) return { ids, sentence: rest };
    rest = rest.slice(word.length);
    const token = word.trim();
    if (token === '3.1.1' || token === '5') edition = token;
    else if (edition === undefined) throw new Error(`no edition before ${token} in: ${title}`);
    else ids.push({ edition, id: token.slice(1, -1) });
  }
}

const tests = sources.flatMap((file) =>
  titlesOf(file).map((title) => ({ file, title, ...parseTitle(title) })),
);

function testsOf(edition: Edition, id: string): ShownBy[] {
  return tests.filter(({ ids }) => ids.some((one) => one.edition === edition && one.id === id));
}

const cell = ({ file, sentence }: ShownBy): string => `\`${file}\`: ${sentence.replaceAll('|', '\\|')}`;

function section(page: string, edition: Edition): string {
  const [, text] = page.split(`\n## MQTT ${edition}\n`);
  if (text === undefined) throw new Error(`no section on MQTT ${edition}`);
  return text.split('\n## ')[0] ?? '';
}

interface Row {
  id: string;
  line: string;
  /** The line up to its last cell. */
  before: string;
  shownBy: string;
}
function rowsOf(text: string): Row[] {
  return [...text.matchAll(/^(\| (MQTT-[\d.]+-\d+) +\| [^|]+ \| )(.*?) *\|$/gm)].map((match) => ({
    id: match[2] ?? '',
    line: match[0],
    before: match[1] ?? '',
    shownBy: match[3] ?? '',
  }));
}

function listed(text: string): string[] {
  const [, block = ''] = text.split('```text\n');
  return block.split('```')[0]?.match(/MQTT-[\d.]+-\d+/g) ?? [];
}

function updated(page: string): string {
  let text = page;
  for (const edition of EDITIONS) {
    for (const { id, line, before } of rowsOf(section(page, edition))) {
      const cells = testsOf(edition, id).map(cell);
      if (cells.length > 0) text = text.replace(line, () => `${before}${cells.join('<br>')} |`);
    }
  }
  return text;
}

if (process.env['SPRAWL_UPDATE_DOCS'] === '1') writeFileSync(DOC, updated(readFileSync(DOC, 'utf8')));
const page = readFileSync(DOC, 'utf8');

for (const edition of EDITIONS) {
  t.test(`the page has a row for every listed statement of ${edition}, once`, async (t) => {
    const text = section(page, edition);
    const ids = listed(text);
    t.equal(ids.length, COUNTS[edition]);
    t.equal(new Set(ids).size, ids.length);
    t.same(
      rowsOf(text).map(({ id }) => id),
      ids,
    );
  });

  t.test(
    `each statement of ${edition} names exactly the tests whose titles carry it, or a reason for none`,
    async (t) => {
      for (const { id, shownBy } of rowsOf(section(page, edition))) {
        const cells = testsOf(edition, id).map(cell);
        if (cells.length === 0) t.match(shownBy, REASON, `${id} has no test and no reason`);
        else t.same(shownBy.split('<br>'), cells, `${id}: SPRAWL_UPDATE_DOCS=1 writes the column anew`);
      }
    },
  );

  t.test(`the titles of tests carry statements of ${edition} that exist`, async (t) => {
    const known = new Set(listed(section(page, edition)));
    for (const { title, ids } of tests) {
      for (const one of ids) if (one.edition === edition) t.ok(known.has(one.id), `${one.id} in: ${title}`);
    }
  });
}

t.test('the tests that mosquitto fails are named as they are', async (t) => {
  const [, text = ''] = page.split('\n## Checked against mosquitto\n');
  const rows = [
    ...(text.split('\n## ')[0] ?? '').matchAll(/^\| `([a-z0-9-]+\.test\.ts)` +\| (.+?) +\| .+ \|$/gm),
  ];
  t.ok(rows.length > 0);
  for (const [, file = '', sentence = ''] of rows) {
    t.ok(
      tests.some((one) => one.file === file && one.sentence.replaceAll('|', '\\|') === sentence),
      `${file}: ${sentence}`,
    );
  }
});
