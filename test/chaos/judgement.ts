/** A history of clients around a gateway that is broken now and then, and what the checker says of it in the end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkHistory } from '../history/checker.js';
import { HistoryFiles } from '../history/history-reader.js';
import { HistoryWriter } from '../history/history-writer.js';
import { DEFAULT_OPTIONS, type CheckOptions } from '../history/options.js';
import type { Verdict } from '../history/verdict.js';

/** How long the gateway may take to serve again after a fault has ended. */
export const RECOVERY_MAX_MS = 5000;
const SETTLE_MS = 500;
const QUIET_MS = 1250;
const DRAIN_MAX_MS = 60_000;
/** Beyond it a gateway waits for processors, not for anything of its own. */
const LOAD_PER_PROCESSOR_MAX = 2;
const NODE = 'n1';

const OPTIONS: CheckOptions = {
  ...DEFAULT_OPTIONS,
  settleMs: SETTLE_MS,
  quiescenceMs: 400,
  retainedMs: 1000,
  // Publishers do not wait for subscribers, of whom one takes little at a time: how long a backlog lasts is not what is asked here.
  withheldMs: 3_600_000,
};

/** @returns a failure where it took longer than it may, on a machine that has time for it. */
export function recoveryFault(what: string, tookMs: number): string[] {
  const load = (loadavg()[0] ?? 0) / availableParallelism();
  return tookMs > RECOVERY_MAX_MS && load < LOAD_PER_PROCESSOR_MAX
    ? [`${what} after ${Math.round(tookMs)} ms`]
    : [];
}

/** Clients whose work can be ended. */
export interface JudgedClients {
  /** What the gateway did against the protocol. */
  readonly faults: readonly string[];
  drain(): Promise<void>;
  whenQuiet(forMs: number, maxMs: number): Promise<void>;
  leave(): void;
}

export class Recording {
  readonly folder: string;
  readonly history: HistoryWriter;
  readonly #path: string;

  constructor(run: string) {
    this.folder = mkdtempSync(join(tmpdir(), 'sprawl-chaos-'));
    this.#path = join(this.folder, 'clients.jsonl');
    this.history = new HistoryWriter(this.#path, run);
  }

  /** The data folder of the gateway. */
  get dataDir(): string {
    return join(this.folder, 'data');
  }

  fault(what: string, nodes: readonly string[] = [NODE]): void {
    this.history.write('harness', { e: 'fault', what, nodes });
  }

  heal(what: string, nodes: readonly string[] = [NODE]): void {
    this.history.write('harness', { e: 'heal', what, nodes });
  }

  /**
   * Ends the work of the clients and judges all of it. The gateway is there and well.
   *
   * @param nemeses as in CheckOptions. @param quietMs nothing came for so long: then nothing waits any more.
   */
  async judge(
    fleet: JudgedClients,
    nemeses: Readonly<Record<string, number>>,
    quietMs = QUIET_MS,
    changes: Partial<CheckOptions> = {},
  ): Promise<Judgement> {
    await fleet.drain();
    this.history.write('harness', { e: 'drain!' });
    await fleet.whenQuiet(quietMs, DRAIN_MAX_MS);
    this.history.write('harness', { e: 'drain.' });
    const faults = fleet.faults;
    fleet.leave();
    this.history.close();
    const verdict = checkHistory(new HistoryFiles([this.#path]), {
      ...{ ...OPTIONS, nemeses },
      ...changes,
    });
    return judgementOf(verdict, faults);
  }

  /** What a proof that failed leaves is kept. */
  close({ keep }: { keep: boolean }): void {
    this.history.close();
    if (!keep) rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface Judgement {
  readonly figures: Readonly<Record<string, number | string>>;
  readonly failures: readonly string[];
}

function judgementOf({ kind, violations, reasons, figures }: Verdict, faults: readonly string[]): Judgement {
  const { publishes, deliveries, obligations } = figures;
  const failures = violations.map(({ check, rule, text }) => `${check} (${rule}): ${text}`);
  failures.push(...faults.map((fault) => `against the protocol: ${fault}`));
  if (kind === 'inconclusive') failures.push(`inconclusive: ${reasons.join('; ')}`);
  return {
    figures: {
      'publishes acknowledged': publishes.ok,
      'publishes without an answer': publishes.info,
      'publishes refused': publishes.fail,
      deliveries: deliveries.live + deliveries.stored,
      'obligations judged': obligations.judged,
      'acknowledged losses': figures.violations.C1,
      'QoS 2 duplicates': figures.violations.C3,
      'forgotten sessions': figures.violations.C8,
    },
    failures,
  };
}
