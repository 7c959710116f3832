/** Names of the product that pages have in backticks exist. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CONFIG_KEYS, configJsonSchema } from '../../lib/config/index.js';
import { ErrorCode } from '../../lib/contracts/errors.js';
import { pagePaths, proseOf, readPage, ROOT, userPages } from './page.js';

const SECTIONS = new Set(Object.keys((configJsonSchema()['properties'] ?? {}) as Record<string, unknown>));

function quotedOf(path: string): { text: string; line: number }[] {
  return proseOf(readPage(path))
    .split('\n')
    .flatMap((line, index) =>
      [...line.matchAll(/`([^`]+)`/g)].map(([, text = '']) => ({ text, line: index + 1 })),
    );
}

/** Names of files look like keys. */
const IS_FILE = /\.(?:yaml|yml|json|jsonl|key|ts|js|md|log|service|conf|parquet|ndjson)$/;

t.test('each configuration key that a page names is in the schema', async (t) => {
  const isKnown = (name: string): boolean =>
    CONFIG_KEYS.has(name) || [...CONFIG_KEYS.keys()].some((key) => key.startsWith(`${name}.`));
  let count = 0;
  for (const path of userPages()) {
    for (const { text, line } of quotedOf(path)) {
      const [, name = '', section = ''] = /^(([a-z]+)(?:\.[a-zA-Z0-9]+)+)(?:[:=]\s*\S.*)?$/.exec(text) ?? [];
      if (!SECTIONS.has(section) || IS_FILE.test(name)) continue;
      count += 1;
      t.ok(isKnown(name), `${path}:${line}: ${name} is a key`);
    }
  }
  t.ok(count > 200, `${count} keys were found`);
});

t.test('each environment variable of a key that a page names is one', async (t) => {
  const known = new Set([...CONFIG_KEYS.values()].map(({ envName }) => envName));
  for (const path of userPages())
    for (const { text, line } of quotedOf(path)) {
      const [name] = /^SPRAWL_[A-Z0-9_]+__[A-Z0-9_]+/.exec(text) ?? [];
      if (name === undefined || name === 'SPRAWL_SECTION__KEY') continue;
      t.ok(known.has(name), `${path}:${line}: ${name} sets a key`);
    }
});

t.test('each metric that a page names is one that /metrics has', async (t) => {
  const reference = readPage('docs/metrics.md');
  for (const path of userPages())
    for (const { text, line } of quotedOf(path)) {
      for (const [name] of text.matchAll(/\bsprawl_[a-z0-9_]+/g))
        t.ok(reference.includes(`\`${name}`), `${path}:${line}: ${name} is in docs/metrics.md`);
    }
});

t.test('each error code that a page names is one', async (t) => {
  const prefixes = new Set(Object.keys(ErrorCode).map((code) => code.split('_')[0]));
  for (const path of userPages())
    for (const { text, line } of quotedOf(path)) {
      if (!/^[A-Z]+(?:_[A-Z]+)+$/.test(text) || !prefixes.has(text.split('_')[0])) continue;
      t.ok(Object.hasOwn(ErrorCode, text), `${path}:${line}: ${text} is an error code`);
    }
});

/** Folders of the repository that a path in backticks begins with. */
const FOLDERS = new Set(
  readdirSync(ROOT, { withFileTypes: true })
    .filter((one) => one.isDirectory())
    .map(({ name }) => name),
);
const IS_BUILT = new Set([
  'dist',
  'node_modules',
  'coverage',
  'log',
  'data',
  'index',
  'manifest',
  'snapshots',
  'lock',
]);

t.test('each file of the repository that a page names in backticks is there', async (t) => {
  let count = 0;
  for (const path of pagePaths()) {
    for (const { text, line } of quotedOf(path)) {
      const [, file = '', folder = ''] =
        /^(?:node )?(([a-z.]+)\/[\w./-]+\.(?:ts|cjs|md|py))$/.exec(text) ?? [];
      if (!FOLDERS.has(folder) || IS_BUILT.has(folder)) continue;
      count += 1;
      t.ok(existsSync(join(ROOT, file)), `${path}:${line}: ${file} is there`);
    }
  }
  t.ok(count > 10, `${count} files were found`);
});

t.test('each script of npm that a page names is in package.json', async (t) => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  for (const path of pagePaths())
    for (const [, name = ''] of readPage(path).matchAll(/\bnpm run ([a-z][\w:-]*)/g))
      t.ok(Object.hasOwn(scripts, name), `${path}: npm run ${name}`);
});

/** Programs of `npm run NAME -- PART`, with what takes the name of a part there. */
const PARTS: Readonly<Record<string, { readonly source: string; readonly part: (name: string) => RegExp }>> =
  {
    chaos: { source: 'test/chaos/main.ts', part: (name) => new RegExp(`^ {2}${name}: `, 'm') },
    sim: { source: 'test/sim/main.ts', part: (name) => new RegExp(`^ {2}${name} {2,}`, 'm') },
    bench: { source: 'test/bench/options.ts', part: (name) => new RegExp(`SUITES = \\[.*'${name}'.*\\]`) },
  };

t.test('each part of a long form that a page names is one', async (t) => {
  let count = 0;
  for (const path of pagePaths())
    for (const [, program = '', name = ''] of readPage(path).matchAll(/\bnpm run (\w+) -- ([a-z]\w*)/g)) {
      const { source, part } = PARTS[program] ?? {};
      if (source === undefined || part === undefined) continue;
      count += 1;
      t.match(readFileSync(join(ROOT, source), 'utf8'), part(name), `${path}: npm run ${program} -- ${name}`);
    }
  t.ok(count > 10, `${count} were found`);
});

t.test('each compiled test that a page runs has a source', async (t) => {
  let count = 0;
  for (const path of pagePaths())
    for (const [, file = ''] of readPage(path).matchAll(/\bdist\/(test\/[\w./-]+)\.js\b/g)) {
      count += 1;
      t.ok(existsSync(join(ROOT, `${file}.ts`)), `${path}: ${file}.ts is there`);
    }
  t.ok(count > 3, `${count} were found`);
});
