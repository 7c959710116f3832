/**
 * Remembers the cut that is under way, so that after a crash the same one is made again: its objects get the same names, and what was
 * stored of them already is not stored twice.
 */
import { isSameEpoch } from '../../lib/contracts/epoch.js';
import type { Cut } from './archiver.js';
import type { ManifestTip } from './manifest-entry.js';
import type { ArchivedLives } from './stretch.js';

export interface CutKeeperPorts {
  /** The cut that was saved last; undefined: none. */
  saved(): Cut | undefined;
  /** Durable once this resolved. */
  save(cut: Cut): Promise<void>;
  /** What is to be cut behind where the archive ends; undefined: nothing yet. */
  next(tip: ManifestTip, lives: ArchivedLives): Promise<Cut | undefined> | Cut | undefined;
}

export class CutKeeper {
  readonly #ports: CutKeeperPorts;

  constructor(ports: CutKeeperPorts) {
    this.#ports = ports;
  }

  async cutAfter(tip: ManifestTip, lives: ArchivedLives): Promise<Cut | undefined> {
    const saved = this.#ports.saved();
    if (saved !== undefined && isNext(saved, tip)) return saved;
    const next = await this.#ports.next(tip, lives);
    // A saved one that is archived already is forgotten with the next.
    if (next !== undefined) await this.#ports.save(next);
    return next;
  }
}

/** Whether an entry for it can stand behind what is archived: in the same life exactly there. */
function isNext(cut: Cut, { epoch, upTo }: ManifestTip): boolean {
  if (epoch === undefined || isSameEpoch(cut.epoch, epoch)) return cut.after === upTo;
  return cut.epoch.counter > epoch.counter && cut.after <= upTo;
}
