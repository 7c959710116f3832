import { Check } from '../model/check.js';
import type { Connection } from '../model/connection.js';

const SESSION_TAKEN_OVER = 0x8e;

interface Pair {
  readonly older: Connection;
  readonly newer: Connection;
}

/** C9: of two connections with one client id the older ends soon, and a v5 client is told why. */
export class Takeover extends Check {
  /** By the newer one. */
  readonly #older = new Map<Connection, Set<Connection>>();

  /** Those that are there when it asks: one of them may be gone before it is accepted. */
  override connecting(newer: Connection): void {
    this.#meets(newer);
  }

  /** Those that were accepted while it waited. */
  override accepted(newer: Connection): void {
    this.#meets(newer);
  }

  override finish(): void {
    for (const [newer, all] of this.#older) {
      if (!newer.accepted) continue;
      for (const older of all) {
        this.#ended({ older, newer });
        this.#told({ older, newer });
      }
    }
  }

  #meets(newer: Connection): void {
    for (const older of this.model.openConnections(newer.cid)) {
      if (older === newer || !older.accepted) continue;
      const all = this.#older.get(newer) ?? new Set();
      this.#older.set(newer, all.add(older));
    }
  }

  #ended({ older, newer }: Pair): void {
    const { takeoverMs } = this.model.options;
    const fromMs = newer.acceptedAtMs;
    const untilMs = Math.min(older.endedAtMs, newer.endedAtMs, this.model.nowMs);
    if (untilMs - fromMs <= takeoverMs || this.model.faults.overlaps(fromMs, fromMs + takeoverMs)) return;
    this.#violation('overlap', `for ${(untilMs - fromMs).toFixed(1)} ms`, { older, newer });
  }

  #told({ older, newer }: Pair): void {
    const { end, version, endedAtMs } = older;
    if (version < 5 || end?.by !== 'broker' || end.rc === SESSION_TAKEN_OVER) return;
    // It ended for another reason before the newer one was there, or something was broken.
    if (endedAtMs > newer.acceptedAtMs + this.model.options.takeoverMs) return;
    if (this.model.faults.overlaps(newer.invokedAtMs, endedAtMs)) return;
    this.#violation('not told', `and the older was told ${end.rc ?? 'nothing'}`, { older, newer });
  }

  #violation(rule: string, what: string, { older, newer }: Pair): void {
    this.report.violation({
      check: 'C9',
      rule,
      text: `${older.cid} had two connections, ${older.actor} at ${older.node} and from ${newer.acceptedAtMs.toFixed(1)} ms ${newer.actor} at ${newer.node}, ${what}`,
      atMs: newer.acceptedAtMs,
      cids: [older.cid],
      mids: [],
      count: 1,
    });
  }
}
