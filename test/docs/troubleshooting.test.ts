/** Log lines that docs/troubleshooting.md quotes are ones that the product writes. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { blocksOf, readPage, ROOT } from './page.js';

const PAGE = 'docs/troubleshooting.md';
const sources = ['lib', 'mesh', 'storage', 'bridge']
  .flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(join(ROOT, folder, name), 'utf8')),
  )
  .join('\n');

/** What stands in a message before anything that differs: fields, ids, what was left out. */
function fixedPart(line: string): string {
  return line.split(/ [a-zA-Z]+=|…|\b[0-9a-f]{8}\b/)[0]?.trim() ?? '';
}

t.test('each log line of the page is in the sources', async (t) => {
  const lines = blocksOf(PAGE, readPage(PAGE)).flatMap(({ text }) => text.split('\n'));
  const messages = lines.flatMap((line) => /^(?:ERROR|WARN|INFO) +(.*)/.exec(line)?.slice(1) ?? []);
  t.ok(messages.length >= 8, `${messages.length} log lines were found`);
  for (const message of messages) {
    const fixed = fixedPart(message);
    t.ok(fixed.length >= 20, message);
    t.ok(sources.includes(fixed) || sources.includes(fixed.replaceAll("'", "\\'")), fixed);
  }
});
