/** Rows whose only cell is a probe. */
import {
  type Budget,
  expectKind,
  type Figure,
  type FigureUnit,
  type Measurement,
  type ProbePlan,
  type Row,
} from './row.js';

/** The name of the cell. */
export const PROBE = 'ours-disk';

export function figure(key: string, name: string, unit: FigureUnit): Figure {
  return { name, unit, of: (sample) => (sample.kind === 'figures' ? (sample.figures[key] ?? NaN) : NaN) };
}

export function figureOf(sample: Measurement, key: string): number {
  return expectKind(sample, 'figures').figures[key] ?? NaN;
}

export function budget(text: string, bound: Budget['bound'], limit: number, key: string): Budget {
  return {
    text,
    bound,
    limit,
    cells: [PROBE],
    value: (sampleOf) => expectKind(sampleOf(PROBE), 'figures').figures[key] ?? NaN,
  };
}

export function probeRow(
  id: string,
  title: string,
  plan: Omit<ProbePlan, 'kind'>,
  figures: readonly Figure[],
  budgets: readonly Budget[],
  note?: string,
): Row {
  return {
    id,
    title,
    cells: [{ name: PROBE, target: 'ours-disk', plan: { kind: 'probe', ...plan } }],
    figures,
    budgets,
    ...(note === undefined ? {} : { note }),
  };
}

export function probe(name: string, numbers: readonly number[], timeoutMs: number): ProbePlan {
  return { kind: 'probe', name, numbers, timeoutMs };
}
