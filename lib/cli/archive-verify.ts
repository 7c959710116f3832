import { checkArchive, type CheckedOrigin, type Finding, withArchive } from '../archive-tools.js';
import { parseConfig } from '../config/index.js';
import { originPrefixes } from './archive-selection.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';
import { nowAndThen } from './now-and-then.js';
import { size, table } from './size.js';

/** So many findings are told of each kind; of more, how many there are. */
const TOLD_MAX_COUNT = 1000;

/** `archive verify`: whether an archive is complete. Resolves to 1 where it is not. @throws SprawlError ARCHIVE_… */
export async function runArchiveVerify(invocation: Invocation, world: World): Promise<number> {
  const isDeep = invocation.has('deep');
  const isJson = invocation.has('json');
  const origins = originPrefixes(invocation);
  const config = parseConfig(configSources(invocation, world));
  const found = new Findings((finding) => {
    if (!isJson) world.stdout.write(`${findingText(finding)}\n`);
  });
  const tell = nowAndThen(world.stderr);
  const checked = await withArchive(config, (store) =>
    checkArchive(
      store,
      { isDeep, origins },
      {
        onFinding: (finding) => found.add(finding),
        onProgress: ({ objects, bytes }) =>
          tell(() => `${isDeep ? 'read' : 'looked at'} ${objects} objects, ${size(bytes)}`),
      },
    ),
  );
  world.stdout.write(
    isJson
      ? `${JSON.stringify(forPrograms(checked, found, isDeep), undefined, 2)}\n`
      : [...found.more(), ...table(originRows(checked)), verdict(found, isDeep, checked), ''].join('\n'),
  );
  return found.faultCount === 0 ? ExitCode.done : ExitCode.failed;
}

/** What was found, as much of it as anybody reads. */
class Findings {
  readonly told: Finding[] = [];
  faultCount = 0;
  readonly #counts = new Map<Finding['kind'], number>();
  readonly #onTold: (finding: Finding) => void;

  constructor(onTold: (finding: Finding) => void) {
    this.#onTold = onTold;
  }

  add(finding: Finding): void {
    if (finding.isFault) this.faultCount++;
    const count = this.count(finding.kind) + 1;
    this.#counts.set(finding.kind, count);
    if (count > TOLD_MAX_COUNT) return;
    this.told.push(finding);
    this.#onTold(finding);
  }

  count(kind: Finding['kind']): number {
    return this.#counts.get(kind) ?? 0;
  }

  /** Lines on what was not told. */
  more(): string[] {
    return [...this.#counts]
      .filter(([, count]) => count > TOLD_MAX_COUNT)
      .map(([kind, count]) => `and ${count - TOLD_MAX_COUNT} more of the kind "${kind}"`);
  }
}

function findingText({ kind, isFault, key, text }: Finding): string {
  const word = isFault ? 'damaged' : kind === 'lost' ? 'lost' : 'note';
  return `${word}: ${text.includes(key) ? text : `${key}: ${text}`}`;
}

function originRows(checked: readonly CheckedOrigin[]): string[][] {
  return [
    ['origin', 'entries', 'objects', 'rows', 'size', 'up to position', 'lost', 'faults'],
    ...checked.map(({ origin, entries, objects, rows, bytes, upTo, lostCount, faultCount }) => [
      origin,
      ...[entries, objects, rows].map(String),
      size(bytes),
      ...[upTo, lostCount, faultCount].map(String),
    ]),
  ];
}

function verdict(found: Findings, isDeep: boolean, checked: readonly CheckedOrigin[]): string {
  const litter = found.count('litter') === 0 ? '' : `; ${found.count('litter')} objects are litter`;
  if (found.faultCount > 0)
    return `${found.faultCount === 1 ? 'one fault' : `${found.faultCount} faults`}${litter}; what is named here is missing or cannot be believed, everything else is there`;
  const locked = checked.reduce((sum, { lockedCount }) => sum + lockedCount, 0);
  if (locked > 0)
    return `complete, as far as can be told without every key: all objects are what was written, and the rows of ${locked === 1 ? 'one' : locked} were not looked at${litter}`;
  return isDeep
    ? `complete: every row that the manifests name was read${litter}`
    : `complete, as far as manifests, names and lengths tell; --deep reads every row${litter}`;
}

function forPrograms(checked: readonly CheckedOrigin[], found: Findings, isDeep: boolean): unknown {
  return {
    deep: isDeep,
    complete: found.faultCount === 0,
    faults: found.faultCount,
    litter: found.count('litter'),
    origins: checked,
    findings: found.told.map(({ kind, isFault, key, origin = null, text, positions = null }) => ({
      ...{ kind, fault: isFault, key, origin, text, positions },
    })),
  };
}
