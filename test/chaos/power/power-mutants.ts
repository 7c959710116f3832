import { Laboratory } from '../../conformance/mutation.js';
import type { ProofReport } from '../report.js';
import { POWER_MUTANTS } from './mutants.js';
import { power, type PowerOutcome } from './power.js';
import type { PromiseKind } from './promises.js';

const LIFE_MS = 1500;

/** Some packets are rare: a break of theirs may need more lives to show, of which the proof itself has three. */
const LIVES_MAX = 4;

/** Makes each break of mutants.ts; a failure is one that the proof does not see. */
export async function powerMutants(seed: number): Promise<ProofReport> {
  const laboratory = new Laboratory();
  const failures: string[] = [];
  const figures: Record<string, string> = {};
  try {
    for (const { breaks, kind, edits } of POWER_MUTANTS) {
      const { brokenKinds, report, lives } = await laboratory.broken(edits, (project) =>
        livesUntilCaught(kind, seed, project),
      );
      const others = [...brokenKinds].filter((other) => other !== kind);
      const isCaught = brokenKinds.has(kind);
      const also = others.length === 0 ? '' : `, also ${others.join(', ')}`;
      figures[breaks] =
        `${isCaught ? 'caught by' : 'SURVIVED'} ${kind}${also}; ${report.figures['promises broken']} in life ${lives}`;
      if (!isCaught) failures.push(`not seen: ${breaks}`);
    }
  } finally {
    laboratory.close();
  }
  figures['caught'] = `${POWER_MUTANTS.length - failures.length} of ${POWER_MUTANTS.length}`;
  return { figures, failures };
}

async function livesUntilCaught(
  kind: PromiseKind,
  seed: number,
  project: string,
): Promise<PowerOutcome & { readonly lives: number }> {
  for (let lives = 1; ; lives++) {
    const result = await power({ lives: 1, lifeMs: LIFE_MS, seed: seed + lives - 1, project });
    if (result.brokenKinds.has(kind) || lives === LIVES_MAX) return { ...result, lives };
  }
}
