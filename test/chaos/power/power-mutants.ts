import { Laboratory } from '../../conformance/mutation.js';
import type { ProofReport } from '../report.js';
import { POWER_MUTANTS } from './mutants.js';
import { power } from './power.js';

const LIFE_MS = 1500;

/** Makes each break of mutants.ts; a failure is one that the proof does not see. */
export async function powerMutants(seed: number): Promise<ProofReport> {
  const laboratory = new Laboratory();
  const failures: string[] = [];
  const figures: Record<string, string> = {};
  try {
    for (const { breaks, kind, edits } of POWER_MUTANTS) {
      const { brokenKinds, report } = await laboratory.broken(edits, (project) =>
        power({ lives: 1, lifeMs: LIFE_MS, seed, project }),
      );
      const others = [...brokenKinds].filter((other) => other !== kind);
      const isCaught = brokenKinds.has(kind);
      const also = others.length === 0 ? '' : `, also ${others.join(', ')}`;
      figures[breaks] =
        `${isCaught ? 'caught by' : 'SURVIVED'} ${kind}${also}; ${report.figures['promises broken']}`;
      if (!isCaught) failures.push(`not seen: ${breaks}`);
    }
  } finally {
    laboratory.close();
  }
  figures['caught'] = `${POWER_MUTANTS.length - failures.length} of ${POWER_MUTANTS.length}`;
  return { figures, failures };
}
