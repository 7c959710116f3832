/**
 * Fails where a folder of the product has less than 90 % of its lines or branches covered, or a source file was never
 * loaded. Reads what `tap` left in .tap/report after `npm test`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const LEAST_PERCENT = 90;
const SOURCES = ['lib', 'mesh', 'storage', 'bridge'];

interface Metric {
  readonly total: number;
  readonly covered: number;
}
interface FileSummary {
  readonly lines: Metric;
  readonly branches: Metric;
}

function parseSummary(json: string): Map<string, FileSummary> {
  const files = JSON.parse(json) as Record<string, FileSummary>;
  return new Map(
    Object.entries(files)
      .filter(([path]) => path !== 'total')
      .map(([path, summary]) => [relative(process.cwd(), path), summary]),
  );
}

/** Files that hold types alone, or only pass on what others export, have nothing to cover. */
function hasCode(source: string): boolean {
  const compiled = readFileSync(join('dist', source.replace(/\.ts$/, '.js')), 'utf8');
  const withoutComments = compiled.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
  return withoutComments.replaceAll(/^export \{[^}]*\}( from '[^']*')?;$/gm, '').trim() !== '';
}

function sourcesBelow(folder: string): string[] {
  return (
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      // Declarations of packages that bring none have nothing to run.
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
      .map((name) => join(folder, name))
  );
}

function percent(metrics: readonly Metric[]): number {
  const total = metrics.reduce((sum, metric) => sum + metric.total, 0);
  const covered = metrics.reduce((sum, metric) => sum + metric.covered, 0);
  return total === 0 ? 100 : (covered / total) * 100;
}

const summary = parseSummary(readFileSync('.tap/report/coverage-summary.json', 'utf8'));
const sources = SOURCES.flatMap(sourcesBelow);
const faults = sources
  .filter((source) => !summary.has(source) && hasCode(source))
  .map((source) => `${source} was not loaded by any test`);
const folders = new Map<string, FileSummary[]>();
for (const source of sources) {
  const file = summary.get(source);
  if (file !== undefined) folders.set(dirname(source), [...(folders.get(dirname(source)) ?? []), file]);
}
for (const [folder, files] of folders) {
  const lines = percent(files.map((file) => file.lines));
  const branches = percent(files.map((file) => file.branches));
  console.log(
    `${folder.padEnd(20)} lines ${lines.toFixed(1).padStart(5)} %  branches ${branches.toFixed(1).padStart(5)} %`,
  );
  if (Math.min(lines, branches) < LEAST_PERCENT) faults.push(`${folder} is below ${LEAST_PERCENT} %`);
}
for (const fault of faults) console.error(`coverage: ${fault}`);
process.exitCode = faults.length === 0 ? 0 : 1;
