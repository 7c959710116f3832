import {
  checkAgainstLog,
  checkArchive,
  type CheckedLog,
  type CheckedOrigin,
  type Finding,
  type GatewayLog,
  withArchive,
} from '../archive-tools.js';
import { type Config, parseConfig } from '../config/index.js';
import { shortId } from '../contracts/gateway-id.js';
import { originPrefixes } from './archive-selection.js';
import { usageError } from './arguments.js';
import { givenUrl } from './asked-gateway.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';
import { withGatewayLog } from './gateway-log.js';
import { nowAndThen } from './now-and-then.js';
import { size, table } from './size.js';

/** So many findings are told of each kind; of more, how many there are. */
const TOLD_MAX_COUNT = 1000;

/** `archive verify`: whether an archive is complete. Resolves to 1 where it is not. @throws SprawlError ARCHIVE_… */
export async function runArchiveVerify(invocation: Invocation, world: World): Promise<number> {
  const isDeep = invocation.has('deep');
  const isJson = invocation.has('json');
  const origins = originPrefixes(invocation);
  if (invocation.has('url') && !invocation.has('log'))
    throw usageError(invocation.command, '--url says where the log is asked for: it goes with --log');
  const config = parseConfig(configSources(invocation, world));
  const found = new Findings((finding) => {
    if (!isJson) world.stdout.write(`${findingText(finding)}\n`);
  });
  const onFinding = (finding: Finding): void => found.add(finding);
  const tell = nowAndThen(world.stderr);
  const check = (log: GatewayLog | undefined): Promise<Checked> =>
    withArchive(config, async (store) => {
      const checked = await checkArchive(
        store,
        { isDeep, origins },
        {
          onFinding,
          onProgress: ({ objects, bytes }) =>
            tell(() => `${isDeep ? 'read' : 'looked at'} ${objects} objects, ${size(bytes)}`),
        },
      );
      if (log === undefined) return { checked };
      const onProgress = (messages: number): void => tell(() => `compared ${messages} messages with the log`);
      return { checked, log: await checkAgainstLog(store, log, { onFinding, onProgress }) };
    });
  const { checked, log } = invocation.has('log')
    ? await checkWithLog(invocation, config, origins, check)
    : await check(undefined);
  world.stdout.write(
    isJson
      ? `${JSON.stringify(forPrograms(checked, found, isDeep, log), undefined, 2)}\n`
      : [
          ...found.more(),
          ...table(originRows(checked)),
          ...(log === undefined ? [] : [logVerdict(log)]),
          verdict(found, isDeep, checked),
          '',
        ].join('\n'),
  );
  return found.faultCount === 0 ? ExitCode.done : ExitCode.failed;
}

interface Checked {
  readonly checked: readonly CheckedOrigin[];
  readonly log?: CheckedLog;
}

function checkWithLog(
  invocation: Invocation,
  config: Config,
  origins: readonly string[],
  check: (log: GatewayLog) => Promise<Checked>,
): Promise<Checked> {
  return withGatewayLog(config, givenUrl(invocation), (log) => {
    const { origin } = log;
    if (origins.length > 0 && !origins.some((prefix) => origin.startsWith(prefix)))
      throw usageError(
        invocation.command,
        `--log is of ${shortId(origin)}, and --origin names others: leave one of them out`,
      );
    return check(log);
  });
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

function findingText(finding: Finding): string {
  const { kind, isFault, key, text } = finding;
  const word = isFault ? faultWord(finding) : kind === 'lost' ? 'lost' : 'note';
  return `${word}: ${text.includes(key) ? text : `${key}: ${text}`}`;
}

/** What only a log can tell has a word of its own: nothing of the archive is damaged. */
const faultWord = ({ kind, proof }: Finding): string => (proof === undefined ? 'damaged' : kind);

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

function logVerdict({ origin, first, committed, same, wrong, faultCount }: CheckedLog): string {
  const counts = Object.entries(wrong).filter(([, count]) => count > 0);
  const bad = counts.map(([kind, count]) => `${count} ${kind}`).join(', ');
  const range = committed < first ? 'is empty' : `has positions ${first} to ${committed}`;
  const rest = faultCount === 0 ? '' : `; ${bad === '' ? 'not all of it was compared' : bad}`;
  const there = same === 1 ? 'one message is' : `${same} messages are`;
  return `the log of ${shortId(origin)} ${range}: ${there} in the archive as in the log${rest}`;
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

function forPrograms(
  checked: readonly CheckedOrigin[],
  found: Findings,
  isDeep: boolean,
  log: CheckedLog | undefined,
): unknown {
  return {
    deep: isDeep,
    complete: found.faultCount === 0,
    faults: found.faultCount,
    litter: found.count('litter'),
    origins: checked,
    log: log ?? null,
    findings: found.told.map(({ kind, isFault, key, origin = null, text, positions = null, proof }) => ({
      ...{ kind, fault: isFault, key, origin, text, positions, ...proof },
    })),
  };
}
