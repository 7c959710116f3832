/** Which rows are enough to show that all of them run: the first that measures in a way in which none before it does. */
import type { Cell, Row } from './row.js';

export function oneOfEachKind(rows: readonly Row[]): readonly Row[] {
  const seen = new Set<string>();
  return rows.filter((row) => {
    const kinds = kindsOf(row).filter((kind) => !seen.has(kind));
    for (const kind of kinds) seen.add(kind);
    return kinds.length > 0;
  });
}

/** The raw disk is measured beside servers, to compare them with. */
const kindsOf = ({ cells }: Row): readonly string[] =>
  cells.map(kindOf).filter((kind) => kind !== 'probe raw');

function kindOf({ plan }: Cell): string {
  if (plan === 'start') return plan;
  if (plan.kind === 'probe') return `probe ${plan.name}`;
  return 'stopped' in plan && plan.stopped ? `${plan.kind}, one stopped` : plan.kind;
}
