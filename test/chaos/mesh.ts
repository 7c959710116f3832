/** Gateways of one mesh that are killed, stopped, cut off, copied, put back and evicted, with clients that are never told. */
import { meshBacklog } from './mesh-backlog.js';
import { meshCards } from './mesh-cards.js';
import { MESH_FAULTS, meshFaults } from './mesh-faults.js';
import { meshLan, meshNat } from './mesh-finding.js';
import { meshRetained } from './mesh-retained.js';
import type { ProofReport } from './report.js';

export interface MeshProofOptions {
  readonly gateways: number;
  readonly rounds: number;
  readonly seed: number;
  /** Messages that wait on each side of a long partition. */
  readonly backlog: number;
  /** Topics that are retained. */
  readonly topics: number;
  /** Names of parts or of faults, with commas. Default: all. */
  readonly only?: string | undefined;
  readonly tell?: (text: string) => void;
}

const CARDS = ['clone', 'restore', 'evict'];

type Part = (options: MeshProofOptions) => Promise<ProofReport>;

const PARTS: Readonly<Record<string, Part>> = {
  faults: ({ gateways, rounds, seed, tell = () => {}, only }) => {
    const names = only?.split(',').filter((name) => name in MESH_FAULTS);
    return meshFaults({ gateways, rounds, seed, tell, only: names?.length === 0 ? undefined : names });
  },
  backlog: ({ gateways, backlog, seed }) => meshBacklog(gateways, backlog, seed),
  retained: ({ topics }) => meshRetained(topics),
  lan: ({ gateways }) => meshLan(gateways),
  nat: () => meshNat(),
  cards: ({ gateways, seed, only }) => {
    const names = only?.split(',').filter((name) => CARDS.includes(name));
    return meshCards(gateways, seed, names?.length === 0 ? undefined : names);
  },
};

export async function mesh(options: MeshProofOptions): Promise<ProofReport> {
  const { only, tell = () => {} } = options;
  const names = only?.split(',');
  const reports: [string, ProofReport][] = [];
  for (const [name, part] of Object.entries(PARTS)) {
    const isMeant =
      names === undefined ||
      names.includes(name) ||
      (name === 'faults' && names.some((one) => one in MESH_FAULTS)) ||
      (name === 'cards' && names.some((one) => CARDS.includes(one)));
    if (!isMeant) continue;
    tell(`== ${name}`);
    // One after the other: each needs the machine.
    // eslint-disable-next-line no-await-in-loop
    reports.push([name, await part(options)]);
  }
  if (reports.length === 0) throw new Error(`no such part: ${only}; there are ${Object.keys(PARTS).join()}`);
  return {
    figures: Object.fromEntries(
      reports.flatMap(([name, { figures }]) =>
        Object.entries(figures).map(([what, figure]) => [`${name}: ${what}`, figure]),
      ),
    ),
    failures: reports.flatMap(([name, { failures }]) =>
      failures.map((text) => (text.startsWith('inconclusive') ? text : `${name}: ${text}`)),
    ),
    skipped: reports.flatMap(([, { skipped = [] }]) => skipped),
  };
}
