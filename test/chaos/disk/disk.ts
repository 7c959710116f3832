/** Everything that a disk may do to a gateway, one after the other. */
import { Random } from '../../sim/random.js';
import type { ProofReport } from '../report.js';
import { bitFlips, deletedFiles, tornTails } from './damage.js';
import { failingSyncs, slowDisk } from './failing-disk.js';
import { fullDisk } from './full-disk.js';
import { Original } from './original.js';
import { twoProcesses } from './two-processes.js';

export interface DiskOptions {
  readonly seed: number;
  /** Changed bits. */
  readonly flips: number;
  /** Bytes between two cuts of the last record. */
  readonly cutEvery: number;
  readonly runningPages: number;
  readonly startingPages: number;
  /** Rounds with syncs that fail. */
  readonly failingSyncs: number;
  readonly slowSeconds: number;
  readonly secondProcesses: number;
}

/** @param report is given each part when it is done. */
export async function disk(
  options: DiskOptions,
  report: (part: string, found: ProofReport) => void,
): Promise<ProofReport> {
  const { seed } = options;
  const failures: string[] = [];
  const skipped: string[] = [];
  const run = async (part: string, proof: () => Promise<ProofReport>): Promise<void> => {
    const found = await proof();
    report(part, found);
    failures.push(...found.failures.map((text) => `${part}: ${text}`));
    skipped.push(...(found.skipped ?? []));
  };
  const original = await Original.create(seed);
  try {
    await run('torn tail', () => tornTails(original, options.cutEvery));
    await run('changed bits', () => bitFlips(original, options.flips, new Random(seed, 'flips')));
    await run('deleted files', () => deletedFiles(original, 1));
  } finally {
    original.close();
  }
  const { runningPages, startingPages } = options;
  await run('full disk', () => fullDisk({ runningPages, startingPages, seed }));
  await run('failing syncs', () => failingSyncs({ rounds: options.failingSyncs, seed }));
  await run('slow disk', () => slowDisk({ seconds: options.slowSeconds, seed }));
  await run('two processes', () => twoProcesses(options.secondProcesses, seed));
  return { figures: {}, failures, skipped };
}
