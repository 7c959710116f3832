/** The command line of the benchmark. */
import { parseArgs } from 'node:util';
import { TARGET_NAMES, type TargetName } from './targets.js';

const SUITES = ['mqtt', 'route', 'storage', 'mesh', 'archive'] as const;
/** Those of storage and archive write gigabytes and take long, that of the mesh needs several servers at once: they are asked for. */
const DEFAULT_SUITES: readonly Suite[] = ['mqtt', 'route'];
export type Suite = (typeof SUITES)[number];

export interface BenchOptions {
  readonly suites: readonly Suite[];
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly strict: boolean;
  /** So short that the figures mean nothing: shows that every row still runs. */
  readonly small: boolean;
  /** Rows whose id begins with one of these; empty: all. */
  readonly only: readonly string[];
  readonly jsonFile: string | undefined;
  readonly targets: readonly TargetName[];
  readonly qos0CreditBytes: number;
  readonly windowCount: number;
  /** Of the endurance row of the storage suite. */
  readonly enduranceSeconds: number;
}

export const USAGE = `Usage: npm run bench -- [mqtt] [route] [storage] [mesh] [archive] [options]

  --rounds N            rounds of every row, each with every target in turn (5)
  --seconds S           measured window of one measurement (2)
  --warm-up S           traffic before it that is not counted (1)
  --target LIST         of ours, ours-disk, mosquitto, nats, reflector (all but the last); of the
                        mesh suite too, where ours are those with their disk
  --only LIST           rows whose id begins with one of these
  --strict              a missing peer, a failed run or a missed budget ends with exit code 1
  --small               one round, fractions of a second: shows that every row runs, measures nothing
  --json FILE           every sample and verdict
  --qos0-credit BYTES   how far a QoS 0 publisher may be ahead of the slowest subscriber (262144)
  --window N            unacknowledged messages per QoS 1 or 2 publisher (100)
  --endurance S         how long the endurance row of the storage suite writes (20)
`;

class UsageError extends Error {}

/** Throws an Error whose message is one line for the user. */
export function parseOptions(argv: readonly string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      'warm-up': { type: 'string' },
      target: { type: 'string', default: 'ours,ours-disk,mosquitto,nats' },
      only: { type: 'string', default: '' },
      strict: { type: 'boolean', default: false },
      small: { type: 'boolean', default: false },
      json: { type: 'string' },
      'qos0-credit': { type: 'string' },
      window: { type: 'string' },
      endurance: { type: 'string' },
    },
  });
  const small = values.small;
  return {
    suites:
      positionals.length === 0 ? DEFAULT_SUITES : positionals.map((word) => member(SUITES, word, 'suite')),
    rounds: positive('rounds', values.rounds, small ? 1 : 5),
    seconds: positive('seconds', values.seconds, small ? 0.15 : 2),
    warmUpSeconds: positive('warm-up', values['warm-up'], small ? 0.05 : 1),
    strict: values.strict,
    small,
    only: list(values.only),
    jsonFile: values.json,
    targets: list(values.target).map((word) => member(TARGET_NAMES, word, 'target')),
    qos0CreditBytes: positive('qos0-credit', values['qos0-credit'], small ? 32 * 1024 : 256 * 1024),
    windowCount: positive('window', values.window, 100),
    enduranceSeconds: positive('endurance', values.endurance, small ? 1 : 20),
  };
}

function list(text: string): string[] {
  return text.split(',').filter((word) => word !== '');
}

function member<T extends string>(words: readonly T[], word: string, what: string): T {
  const found = words.find((candidate) => candidate === word);
  if (found === undefined) throw new UsageError(`${what} ${word}: one of ${words.join(', ')}`);
  return found;
}

function positive(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!(value > 0)) throw new UsageError(`--${name} ${text}: a number above 0`);
  return value;
}
