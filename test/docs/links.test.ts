/** Links between the pages of the repository lead somewhere. */
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { pagePaths, proseOf, readPage, ROOT } from './page.js';

/** As GitHub makes them: lower case, without punctuation, blanks as hyphens, and a number where one comes again. */
export function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of proseOf(page).matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const text = heading.replaceAll(/`|\*\*|\[([^\]]*)\]\([^)]*\)/g, '$1');
    const base = text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-');
    let anchor = base;
    for (let n = 1; anchors.has(anchor); n += 1) anchor = `${base}-${n}`;
    anchors.add(anchor);
  }
  for (const [, name = ''] of page.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(name);
  return anchors;
}

interface Link {
  readonly target: string;
  readonly line: number;
}

function linksOf(page: string): Link[] {
  return proseOf(page)
    .split('\n')
    .flatMap((text, index) => {
      const bare = text.replaceAll(/`[^`]*`/g, '');
      const inline = [...bare.matchAll(/\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)/g)];
      const defined = [...bare.matchAll(/^\[[^\]]+\]: +<?(\S+?)>?$/g)];
      return [...inline, ...defined].map(([, target = '']) => ({ target, line: index + 1 }));
    });
}

t.test(
  'each relative link leads to a file or folder of the repository, and to a heading that is there',
  async (t) => {
    let count = 0;
    for (const path of pagePaths()) {
      for (const { target, line } of linksOf(readPage(path))) {
        if (/^[a-z]+:/.test(target)) continue;
        count += 1;
        const place = `${path}:${line}: ${target}`;
        const [file = '', anchor] = decodeURI(target).split('#');
        const to = file === '' ? path : join(dirname(path), file);
        if (!t.ok(existsSync(join(ROOT, to)), `${place} leads to a file or folder`)) continue;
        if (anchor === undefined || statSync(join(ROOT, to)).isDirectory()) continue;
        t.ok(anchorsOf(readPage(to)).has(anchor), `${place} leads to a heading`);
      }
    }
    t.ok(count > 40, `${count} links were found`);
  },
);

t.test('anchors are made as GitHub makes them', async (t) => {
  const page =
    '# What `links` and `peers` say\n## A, b\n```sh\n# no heading\n```\n## A, b\n## `$SYS/broker`\n';
  t.same([...anchorsOf(page)], ['what-links-and-peers-say', 'a-b', 'a-b-1', 'sysbroker']);
});
