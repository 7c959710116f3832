/** What the pages tell others to run is run, or is said not to be; README.md of this folder has the markers. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { faultOf } from './command-line.js';
import { parseMarker } from './marker.js';
import { blocksOf, proseOf, readPage, userPages, type Block } from './page.js';
import { PageRun } from './page-run.js';
import { simpleCommands, sprawlCalls, statements } from './shell-text.js';

/** Made from the table of commands: its examples are looked at, not run. */
const GENERATED = 'docs/cli.md';
const OWN_PROGRAMS = new Set(['', 'sprawl-edge', 'npx', 'npm']);
const WAYS =
  'put <!-- run --> in front of the block, or <!-- not run: REASON --> where it cannot run on one machine (test/docs/README.md)';

const pages = userPages().map((path) => ({ path, blocks: blocksOf(path, readPage(path)) }));
const isShell = ({ language }: Block): boolean =>
  language === 'sh' || language === 'bash' || language === 'shell';

/** Programs of others that a page uses and this machine does not have. */
function missingPrograms(text: string): string[] {
  const names = new Set(
    simpleCommands(text).map(({ words }) => words.find((word) => !/^\w+=/.test(word)) ?? ''),
  );
  return [...names].filter(
    (name) => !OWN_PROGRAMS.has(name) && spawnSync('bash', ['-c', 'type "$1"', 'bash', name]).status !== 0,
  );
}

t.test('each command line of a block is one that the program takes', async (t) => {
  let count = 0;
  for (const block of pages.flatMap(({ blocks }) => blocks.filter(isShell))) {
    const marker = parseMarker(block.marker);
    if (marker?.kind === 'run' && marker.exitCode !== 0) continue; // It shows a mistake, and is run.
    for (const args of sprawlCalls(block.text)) {
      // The generated page has the form of each command as well: [OPTIONS], {-m TEXT | …}.
      if (block.place.startsWith(GENERATED) && args.some((arg) => /^[[{]/.test(arg))) continue;
      count += 1;
      t.equal(faultOf(args), undefined, `${block.place}: sprawl-edge ${args.join(' ')}`);
    }
  }
  t.ok(count > 50, `${count} command lines were found`);
});

t.test(
  'each command line of an indented block, and each that prose names, is one that the program takes',
  async (t) => {
    let count = 0;
    for (const { path } of pages) {
      for (const [index, line] of proseOf(readPage(path)).split('\n').entries()) {
        const indented = /^ {4}sprawl-edge (?=[a-z-])/.test(line)
          ? [line.trim().split(/ {3,}/)[0] ?? '']
          : [];
        const named = [...line.matchAll(/`(sprawl-edge [^`]+)`/g)].map(([, text = '']) => text);
        for (const args of [...indented, ...named].flatMap(sprawlCalls)) {
          count += 1;
          t.equal(
            faultOf(args, { mayBeShort: true }),
            undefined,
            `${path}:${index + 1}: sprawl-edge ${args.join(' ')}`,
          );
        }
      }
    }
    t.ok(count > 100, `${count} command lines were found`);
  },
);

t.test('no page starts the program with npx, which in a checkout installs that first', async (t) => {
  for (const { path } of pages) t.notMatch(readPage(path), /npx sprawl-edge/, path);
});

t.test('each block of commands is run, or says why not', async (t) => {
  for (const { path, blocks } of pages) {
    if (path === GENERATED) continue;
    for (const block of blocks.filter(isShell)) {
      const kind = parseMarker(block.marker)?.kind;
      const first = statements(block.text)[0] ?? block.text;
      t.ok(
        kind === 'run' || kind === 'not run',
        `${block.place} ("${first}") says whether it is run: ${WAYS}`,
      );
    }
  }
});

for (const { path, blocks } of pages) {
  const steps = blocks.flatMap((block, index) => {
    const marker = parseMarker(block.marker);
    return marker?.kind === 'run' || marker?.kind === 'file'
      ? [{ block, marker, next: blocks[index + 1] }]
      : [];
  });
  const runs = steps.filter(({ marker }) => marker.kind === 'run');
  if (runs.length === 0) continue;
  const missing = missingPrograms(runs.map(({ block }) => block.text).join('\n'));
  const skip = missing.length === 0 ? false : `not installed here: ${missing.join(', ')}`;
  t.test(`what ${path} shows works, in the order of the page`, { skip }, async (t) => {
    const run = new PageRun(t.testdir());
    t.teardown(() => run.kill());
    for (const { block, marker, next } of steps) {
      if (marker.kind === 'file') {
        await run.write(marker.machine, marker.name, block.text);
        continue;
      }
      const output = parseMarker(next?.marker)?.kind === 'output' ? next?.text : undefined;
      const fault = await run.run(block.text, marker, output).then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      );
      t.equal(fault, undefined, block.place);
      if (fault !== undefined) return;
    }
    await run.end();
  });
}
