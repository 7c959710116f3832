/**
 * The benchmark: every row against every target, interleaved, in one run. See docs/benchmarks.md.
 */
import { writeFileSync } from 'node:fs';
import { FORMATIONS } from './formations.js';
import { describeMachine, machineLines, type Machine } from './machine.js';
import { measureCell } from './measure.js';
import { parseOptions, USAGE, type BenchOptions } from './options.js';
import { failures, judge, rowLines, skipReason, type RowSamples } from './report.js';
import type { Cell, Row, Sample } from './row.js';
import { benchRows } from './rows.js';
import { TARGETS } from './targets.js';

const SETTLE_MS = 8_000;
const SETTLE_SMALL_MS = 250;

/** One line that is written over; nothing where nobody watches. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

function versionOf({ target, formation }: Cell): string | undefined {
  return formation === undefined ? TARGETS[target].version() : FORMATIONS[formation].version();
}

async function runRow(row: Row, options: BenchOptions): Promise<RowSamples> {
  const isThere = (name: string): boolean =>
    row.cells.some((cell) => cell.name === name && versionOf(cell) !== undefined);
  const present = row.cells.filter(({ name }) => isThere(name));
  const rounds: ReadonlyMap<string, Sample>[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const samples = new Map<string, Sample>();
    for (let i = 0; i < present.length; i++) {
      // Another target begins each round: what drifts within a round hits all of them alike.
      const cell = present[(i + round) % present.length];
      if (cell === undefined) continue;
      progress(`${row.id} ${round + 1}/${options.rounds} ${cell.name}`);
      samples.set(cell.name, await measureCell(cell, options.small ? SETTLE_SMALL_MS : SETTLE_MS));
    }
    rounds.push(samples);
  }
  progress('');
  return { row, rounds, missing: row.cells.map(({ name }) => name).filter((name) => !isThere(name)) };
}

/** What makes a run worth exit code 1: always a run of ours that went wrong, in strict mode anything short of complete. */
function complaints(all: readonly RowSamples[], options: BenchOptions): string[] {
  const found: string[] = [];
  for (const samples of all) {
    for (const { cell, reason, count } of failures(samples)) {
      if (!options.strict && !cell.startsWith('ours')) continue;
      found.push(`${samples.row.id}: ${cell}: ${reason} (${count} of ${options.rounds} rounds)`);
    }
    if (!options.strict) continue;
    for (const cell of samples.missing) found.push(`${samples.row.id}: ${cell} is missing`);
    for (const { name } of samples.row.cells) {
      const reason = skipReason(samples, name);
      if (reason !== undefined) found.push(`${samples.row.id}: ${name} was left out: ${reason}`);
    }
    for (const { budget, outcome } of judge(samples)) {
      if (outcome !== 'met') found.push(`${samples.row.id}: ${budget.text}: ${outcome}`);
    }
  }
  return found;
}

function writeJson(file: string, machine: Machine, options: BenchOptions, all: readonly RowSamples[]): void {
  const rows = all.map((samples) => ({
    id: samples.row.id,
    title: samples.row.title,
    missing: samples.missing,
    rounds: samples.rounds.map((round) => Object.fromEntries(round)),
    budgets: judge(samples).map(({ budget: { text, bound, limit }, outcome, spread }) => ({
      ...{ text, bound, limit, outcome },
      ...(spread === undefined ? {} : { spread }),
    })),
  }));
  writeFileSync(file, `${JSON.stringify({ machine, options, rows }, undefined, 1)}\n`);
}

async function main(): Promise<number> {
  if (process.argv.includes('--help')) {
    process.stdout.write(USAGE);
    return 0;
  }
  let options: BenchOptions;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    return 2;
  }
  const machine = describeMachine(options.targets);
  const { rounds, seconds, warmUpSeconds, small } = options;
  const print = (lines: readonly string[]): void => void process.stdout.write(`${lines.join('\n')}\n`);
  print(machineLines(machine));
  print([
    `${rounds} rounds of ${seconds} s after ${warmUpSeconds} s of warm-up; medians, least and most in brackets;` +
      ' ratios are medians of the ratios within each round',
  ]);
  if (small || rounds < 5)
    print(['fewer than five rounds or a small run: these figures are not to be quoted']);
  const all: RowSamples[] = [];
  for (const row of benchRows(options)) {
    const samples = await runRow(row, options);
    all.push(samples);
    print(rowLines(samples));
  }
  if (options.jsonFile !== undefined) writeJson(options.jsonFile, machine, options, all);
  const found = complaints(all, options);
  if (found.length > 0) print(['', ...found.map((line) => `FAIL ${line}`)]);
  return found.length > 0 ? 1 : 0;
}

process.exitCode = await main();
