/** `npm run chaos -- NAME`: one proof in its long form. Ends with 1 where it failed. */
import { archive } from './archive.js';
import { disk } from './disk/disk.js';
import { kill } from './kill.js';
import { mesh } from './mesh.js';
import { powerMutants } from './power/power-mutants.js';
import { power } from './power/power.js';
import type { ProofReport } from './report.js';
import { soak } from './soak/soak.js';
import { endCleanly } from '../support/clean-end.js';
import { ToolOptions } from '../support/tool-options.js';

interface ProofArguments {
  readonly rounds: number | undefined;
  readonly seed: number;
  /** Breaks of the gateway instead, each of which the proof has to notice. */
  readonly mutants: boolean;
  /** Of a mesh. */
  readonly gateways: number;
  /** One part. */
  readonly only: string | undefined;
  /** Of a soak. */
  readonly durationMs: number;
  readonly interpreted: boolean;
}

const PROOFS: Readonly<Record<string, (given: ProofArguments) => Promise<ProofReport>>> = {
  archive: ({ rounds = 40, seed }) => archive({ rounds, seed }),
  kill: ({ rounds = 200, seed }) => kill({ rounds, seed }),
  power: async ({ rounds = 3, seed, mutants }) =>
    mutants
      ? powerMutants(seed)
      : (await power({ lives: rounds, lifeMs: 3000, seed, sampleEvery: 200 })).report,
  disk: ({ rounds = 1000, seed }) =>
    disk(
      {
        ...{ seed, flips: rounds, cutEvery: 1, runningPages: 128, startingPages: 64 },
        ...{ failingSyncs: 60, slowSeconds: 10, secondProcesses: 5 },
      },
      (part, { figures }) => {
        console.log(`-- ${part}`);
        print({ figures, failures: [] });
      },
    ),
  mesh: ({ rounds = 3, seed, gateways, only }) =>
    mesh({
      rounds,
      seed,
      gateways,
      only,
      backlog: 100_000,
      topics: 100_000,
      tell: (text) => console.log(`-- ${text}`),
    }),
  soak: ({ durationMs, interpreted, seed }) =>
    soak({
      ...{ durationMs, isInterpreted: interpreted, seed, tell: (text) => console.log(text) },
      // Of a run that is only tried there are samples, too.
      sampleEveryMs: Math.min(60_000, durationMs / 20),
    }),
};

const USAGE = `npm run chaos -- NAME [--seed S]

  kill [--rounds N]                     killed at random, and at the n-th sync
  power [--rounds N] [--mutants]        loss of power at every acknowledgement
  disk [--rounds N]                     changed bits, torn and missing files, a full and a failing disk
  mesh [--rounds N] [--gateways N] [--only PART]
                                        a mesh that is killed, cut, copied, put back and evicted
  archive [--rounds N]                  killed at every request to a store that fails
  soak [--hours N | --minutes N] [--interpreted]
                                        memory over a long mixed load

test/chaos/README.md says what each of them shows.`;

const options = new ToolOptions(USAGE, {
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    seed: { type: 'string' },
    mutants: { type: 'boolean', default: false },
    gateways: { type: 'string' },
    only: { type: 'string' },
    hours: { type: 'string' },
    minutes: { type: 'string' },
    interpreted: { type: 'boolean', default: false },
  },
});
const { values, positionals } = options.given;
const [name = ''] = positionals;
const proof = PROOFS[name] ?? options.fail(name === '' ? 'which proof?' : `${name} is none of the proofs`);

function print({ figures, failures, skipped = [] }: ProofReport): void {
  for (const [what, figure] of Object.entries(figures)) console.log(`${what.padEnd(36)} ${figure}`);
  for (const text of skipped) console.log(`skipped: ${text}`);
  for (const text of failures) console.error(`FAILED ${text}`);
}

endCleanly();
const startedAtMs = performance.now();
const { mutants, only, interpreted } = values;
const rounds = options.number('rounds', values.rounds, undefined);
const seed = options.number('seed', values.seed, 1);
const gateways = options.number('gateways', values.gateways, 5);
const minutes = options.number('minutes', values.minutes, 60 * options.number('hours', values.hours, 3));
const durationMs = minutes * 60_000;
proof({ rounds, seed, mutants, gateways, only, durationMs, interpreted }).then(
  (report) => {
    print(report);
    console.log(`${name}, seed ${seed}: ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s`);
    process.exit(report.failures.length === 0 ? 0 : 1);
  },
  (error: unknown) => {
    console.error(error);
    process.exit(2);
  },
);
