import { Check } from '../model/check.js';
import type { Publisher } from '../model/publisher.js';

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

/**
 * Whether the run has shown anything: checks of what was acknowledged pass where nothing was. Too few publishes that ended `ok`, too
 * few of them while what the run is about went on, or too many sessions that nobody came back for make it inconclusive. After all others.
 */
export class Conclusive extends Check {
  override settled(publisher: Publisher, seq: number, atMs: number): void {
    if (publisher.outcome(seq) !== 'ok') return;
    for (const fault of this.model.faults.overlapping(publisher.sentAt(seq), atMs)) fault.okOverlaps++;
  }

  override finish(): void {
    this.#countPublishes();
    const { publishes, obligations } = this.report.figures;
    const { okShareMin, judgedShareMin } = this.model.options;
    const all = publishes.ok + publishes.fail + publishes.info;
    if (all === 0) this.report.doubt('nothing was published at QoS 1 or 2');
    else if (publishes.ok / all < okShareMin)
      this.report.doubt(
        `${percent(publishes.ok / all)} of the publishes ended ok, not ${percent(okShareMin)}`,
      );
    const owed = obligations.judged + obligations.unjudged;
    if (owed === 0) this.report.doubt('nobody was owed anything');
    else if (obligations.judged / owed < judgedShareMin)
      this.report.doubt(
        `${percent(obligations.judged / owed)} of what was owed could be judged, not ${percent(judgedShareMin)}`,
      );
    this.#nemeses();
  }

  #nemeses(): void {
    for (const [what, least] of Object.entries(this.model.options.nemeses)) {
      const overlaps = this.model.faults.all
        .filter((fault) => fault.what === what)
        .reduce((sum, { okOverlaps }) => sum + okOverlaps, 0);
      if (overlaps < least)
        this.report.doubt(`${overlaps} publishes that ended ok overlapped ${what}, not ${least}`);
    }
  }

  #countPublishes(): void {
    const { publishes } = this.report.figures;
    for (const publisher of this.model.publishers.values()) {
      for (let seq = 0; seq < publisher.length; seq++) {
        if (!publisher.knows(seq) || publisher.will(seq)) continue;
        if (publisher.qos(seq) === 0) publishes.qos0++;
        else publishes[publisher.outcome(seq)]++;
      }
    }
  }
}
