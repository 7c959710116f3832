/** Which objects of a merge have to be read at the same time to have their rows in order: as few as can be. */
import { parseObjectKey } from '../object-key.js';
import type { CatalogObject } from './catalog.js';

interface Ranged {
  readonly one: CatalogObject;
  readonly first: number;
  readonly last: number;
}

/** Objects whose positions overlap, together; in order of their positions. */
export function overlapping(objects: readonly CatalogObject[]): readonly (readonly CatalogObject[])[] {
  const groups: CatalogObject[][] = [];
  let end = -Infinity;
  for (const { one, first, last } of inOrder(objects)) {
    const group = groups.at(-1);
    if (group === undefined || first > end) groups.push([one]);
    else group.push(one);
    end = Math.max(end, last);
  }
  return groups;
}

/** Rows that go from the end of an object into the next one without a step back: as few such chains as there can be. */
export function chained(objects: readonly CatalogObject[]): readonly (readonly CatalogObject[])[] {
  const chains: { readonly links: CatalogObject[]; end: number }[] = [];
  for (const { one, first, last } of inOrder(objects)) {
    const chain = chains.find(({ end }) => end < first);
    if (chain === undefined) chains.push({ links: [one], end: last });
    else {
      chain.links.push(one);
      chain.end = last;
    }
  }
  return chains.map(({ links }) => links);
}

function inOrder(objects: readonly CatalogObject[]): readonly Ranged[] {
  return objects
    .map((one) => {
      // One whose name says nothing may have any position of its entries.
      const { first = one.after + 1, last = one.upTo } = parseObjectKey(one.object.key) ?? {};
      return { one, first, last };
    })
    .sort((a, b) => a.first - b.first);
}
