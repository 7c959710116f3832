/** Markdown pages of the repository, cut into what the tests of this folder look at. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** Folders without pages of the project. */
const FOREIGN = new Set(['node_modules', 'dist', 'coverage']);

/** Every page of the repository, by its path from the root, in order. */
export function pagePaths(folder = ROOT): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => !name.startsWith('.') && !FOREIGN.has(name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return pagePaths(path);
      return entry.name.endsWith('.md') ? [relative(ROOT, path)] : [];
    })
    .sort();
}

/** README.md and the pages of docs/: what those read who use the product. */
export function userPages(): string[] {
  return pagePaths().filter((path) => path === 'README.md' || /^docs\/[^/]+\.md$/.test(path));
}

export function readPage(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

export interface Block {
  /** `docs/mesh.md:11`, of its first line of text. */
  readonly place: string;
  readonly language: string;
  readonly text: string;
  /** What the HTML comment in front of it says. */
  readonly marker: string | undefined;
}

/** The fenced blocks of a page. */
export function blocksOf(path: string, page: string): Block[] {
  const lines = page.split('\n');
  const blocks: Block[] = [];
  let marker: string | undefined;
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    const fence = /^( *)(```+)(\w*)/.exec(line);
    if (fence === null) {
      const comment = /^ *<!--\s*(.*?)\s*-->\s*$/.exec(line);
      if (comment !== null) marker = comment[1];
      else if (line.trim() !== '') marker = undefined;
      continue;
    }
    const [, indent = '', ticks = '', language = ''] = fence;
    const begin = at + 1;
    const isEnd = (text: string | undefined): boolean => text === undefined || text.trim() === ticks;
    for (at = begin; !isEnd(lines[at]);) at += 1;
    const text = lines
      .slice(begin, at)
      .map((inner) => inner.slice(Math.min(indent.length, inner.search(/\S|$/))));
    blocks.push({ place: `${path}:${begin + 1}`, language, text: text.join('\n'), marker });
    marker = undefined;
  }
  return blocks;
}

/** The page with its fenced blocks blanked, so that lines keep their numbers. */
export function proseOf(page: string): string {
  let ticks: string | undefined;
  return page
    .split('\n')
    .map((line) => {
      const fence = /^ *(```+)/.exec(line)?.[1];
      if (ticks === undefined) {
        ticks = fence;
        return fence === undefined ? line : '';
      }
      if (fence === ticks) ticks = undefined;
      return '';
    })
    .join('\n');
}
