/** From samples to the printed table and the exit code. */
import type { Budget, Figure, FigureUnit, Measurement, Row, Sample } from './row.js';
import { spreadOf, type Spread } from './statistics.js';

/** Samples of one row: per round, by cell name. A cell without a sample: its server is missing. */
export interface RowSamples {
  readonly row: Row;
  readonly rounds: readonly ReadonlyMap<string, Sample>[];
  /** Cells whose server is not there. */
  readonly missing: readonly string[];
}

export interface Verdict {
  readonly budget: Budget;
  readonly outcome: 'met' | 'not met' | 'missing' | 'generator-bound';
  readonly spread: Spread | undefined;
}

const BOUND_TEXT = { atLeast: '>=', atMost: '<=', below: '<', above: '>' } as const;

function holds(budget: Budget, value: number): boolean {
  switch (budget.bound) {
    case 'atLeast':
      return value >= budget.limit;
    case 'atMost':
      return value <= budget.limit;
    case 'below':
      return value < budget.limit;
    case 'above':
      return value > budget.limit;
  }
}

function isMeasured(sample: Sample | undefined): sample is Measurement {
  return sample !== undefined && sample.kind !== 'failed' && sample.kind !== 'skipped';
}

/** Why a cell was left out, where it was in every round. */
export function skipReason(samples: RowSamples, cell: string): string | undefined {
  const reasons = samples.rounds.map((round) => {
    const sample = round.get(cell);
    return sample?.kind === 'skipped' ? sample.reason : undefined;
  });
  return reasons.every((reason) => reason !== undefined) ? reasons[0] : undefined;
}

/** The measurements of a cell, failed runs left out. */
function measurements(samples: RowSamples, cell: string): Measurement[] {
  const found: Measurement[] = [];
  for (const round of samples.rounds) {
    const sample = round.get(cell);
    if (isMeasured(sample)) found.push(sample);
  }
  return found;
}

/**
 * A rate says nothing about a server that had to do less than the generator. It only spoils a claim where the bounded
 * side is the peer: our own figure could only be higher.
 */
export function isGeneratorBound(samples: RowSamples, cell: string): boolean {
  const cpu = measurements(samples, cell).flatMap((sample) => (sample.kind === 'rate' ? [sample.cpu] : []));
  if (cpu.length === 0) return false;
  const generator = spreadOf(cpu.map(({ generatorCores }) => generatorCores)).median;
  const server = spreadOf(cpu.map(({ serverCores }) => serverCores)).median;
  return generator > server;
}

export function judge(samples: RowSamples): Verdict[] {
  return samples.row.budgets.map((budget) => {
    const values: number[] = [];
    for (const round of samples.rounds) {
      const got = new Map<string, Measurement>();
      for (const cell of budget.cells) {
        const sample = round.get(cell);
        if (isMeasured(sample)) got.set(cell, sample);
      }
      if (got.size < budget.cells.length) continue;
      values.push(
        budget.value((cell) => {
          const sample = got.get(cell);
          if (sample === undefined) throw new TypeError(`budget "${budget.text}" does not name cell ${cell}`);
          return sample;
        }),
      );
    }
    if (values.length === 0) return { budget, outcome: 'missing', spread: undefined };
    const spread = spreadOf(values);
    const peers = budget.cells.filter((cell) => !cell.startsWith('ours'));
    if (peers.some((cell) => isGeneratorBound(samples, cell)))
      return { budget, outcome: 'generator-bound', spread };
    return { budget, outcome: holds(budget, spread.median) ? 'met' : 'not met', spread };
  });
}

export interface Failure {
  readonly cell: string;
  readonly reason: string;
  /** In how many rounds. */
  readonly count: number;
}

/** Failed runs, those of one cell with one reason together. */
export function failures(samples: RowSamples): Failure[] {
  const found = new Map<string, Failure>();
  for (const round of samples.rounds) {
    for (const [cell, sample] of round) {
      if (sample.kind !== 'failed') continue;
      const { reason } = sample;
      const key = `${cell}: ${reason}`;
      found.set(key, { cell, reason, count: (found.get(key)?.count ?? 0) + 1 });
    }
  }
  return [...found.values()];
}

export function rowLines(samples: RowSamples): string[] {
  const { row } = samples;
  const lines = ['', `${row.title}  [${row.id}]`];
  for (const { name } of row.cells) lines.push(...cellLines(samples, name));
  for (const { budget, outcome, spread } of judge(samples)) {
    const wanted = `${BOUND_TEXT[budget.bound]} ${budget.limit}`;
    const got =
      spread === undefined ? '' : `${plain(spread.median)} (${plain(spread.min)} to ${plain(spread.max)})`;
    lines.push(`  ${pad(budget.text, 52)} ${pad(got, 24)} ${pad(wanted, 8)} ${outcome}`);
  }
  for (const { cell, reason, count } of failures(samples)) {
    lines.push(`  failed ${count} x: ${cell}: ${reason}`);
  }
  if (row.note !== undefined) lines.push(`  note: ${row.note}`);
  return lines;
}

function cellLines(samples: RowSamples, cell: string): string[] {
  if (samples.missing.includes(cell)) return [`  ${pad(cell, 24)} missing`];
  const skipped = skipReason(samples, cell);
  if (skipped !== undefined) return [`  ${pad(cell, 24)} skipped: ${skipped}`];
  const got = measurements(samples, cell);
  if (got.length === 0) return [`  ${pad(cell, 24)} no figures`];
  // Not every cell of a row has every figure.
  const figures = samples.row.figures
    .filter((figure) => got.every((sample) => !Number.isNaN(figure.of(sample))))
    .map((figure) => `${figure.name} ${show(figure, got)}`);
  const rates = got.flatMap((sample) =>
    sample.kind === 'rate' || sample.kind === 'latency' ? [sample.cpu] : [],
  );
  if (rates.length > 0) {
    const generator = spreadOf(rates.map(({ generatorCores }) => generatorCores)).median;
    const server = spreadOf(rates.map(({ serverCores }) => serverCores)).median;
    figures.push(`cores: generator ${generator.toFixed(2)}, server ${server.toFixed(2)}`);
  }
  if (isGeneratorBound(samples, cell)) figures.push('generator-bound');
  return [`  ${pad(cell, 24)} ${figures.join('  ')}`];
}

function show(figure: Figure, samples: readonly Measurement[]): string {
  const { median, min, max } = spreadOf(samples.map((sample) => figure.of(sample)));
  const format = FORMATS[figure.unit];
  return median === min && median === max
    ? format(median)
    : `${format(median)} (${format(min)} to ${format(max)})`;
}

const FORMATS: Readonly<Record<FigureUnit, (value: number) => string>> = {
  perSecond: (value) => `${magnitude(value)}/s`,
  ms: (value) => `${plain(value)} ms`,
  us: (value) => `${plain(value)} us`,
  kilobytes: (value) => `${plain(value)} kB`,
  megabytes: (value) => `${plain(value)} MB`,
  percent: (value) => `${plain(value)} %`,
  times: (value) => `${plain(value)} x`,
  count: (value) => magnitude(value),
};

/** Three digits that count. */
function plain(value: number): string {
  if (value === 0) return '0';
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function magnitude(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)}M`;
  if (value >= 1e4) return `${(value / 1e3).toPrecision(3)}k`;
  return value.toFixed(0);
}

function pad(text: string, width: number): string {
  return text.padEnd(width);
}
