/** Judges a history of what MQTT clients did and saw: was anything lost, made up, doubled, out of order, late, or forgotten? */
import { AcknowledgedLoss } from './checks/acknowledged-loss.js';
import { Conclusive } from './checks/conclusive.js';
import { Duplicates } from './checks/duplicates.js';
import { Order, OrderDeficit } from './checks/order.js';
import { Phantom } from './checks/phantom.js';
import { Recovery } from './checks/recovery.js';
import { Retained } from './checks/retained.js';
import { SessionContinuity } from './checks/session-continuity.js';
import { SharedGroups } from './checks/shared-groups.js';
import { Takeover } from './checks/takeover.js';
import { Wills } from './checks/wills.js';
import { Withheld } from './checks/withheld.js';
import type { HistoryEvent } from './event.js';
import { HistoryModel } from './model/history-model.js';
import { Obligations } from './model/obligations.js';
import { DEFAULT_OPTIONS, type CheckOptions } from './options.js';
import { Report, type Verdict } from './verdict.js';
import { gatherWitnesses } from './witness.js';

/**
 * @param history in the order of time. It is read once, and again where violations need a witness: an array or HistoryFiles, no generator.
 */
export function checkHistory(history: Iterable<HistoryEvent>, changes: Partial<CheckOptions> = {}): Verdict {
  const options = { ...DEFAULT_OPTIONS, ...changes };
  const report = new Report();
  const model = new HistoryModel(options, report);
  const obligations = new Obligations(model);
  const order = new Order(model, report);
  model.run(history, [
    new Phantom(model, report),
    new Duplicates(model, report),
    order,
    new Retained(model, report),
    new Takeover(model, report),
    new Wills(model, report),
    new Recovery(model, report),
    // What a lost subscription explains is not a loss of its own, and what is lost was not withheld.
    new SessionContinuity(model, report, obligations),
    new AcknowledgedLoss(model, report, obligations),
    new Withheld(model, report, obligations),
    new SharedGroups(model, report),
    new Conclusive(model, report),
  ]);
  if (order.disorderly.size > 0) {
    const again = new HistoryModel(options, new Report());
    again.run(history, [new OrderDeficit(order, again, report)]);
  }
  const witnesses = report.findings.length === 0 ? [] : gatherWitnesses(history, report.findings);
  return {
    kind: report.kind,
    violations: report.findings.map((finding, index) => ({ ...finding, witness: witnesses[index] ?? [] })),
    reasons: report.reasons,
    figures: report.figures,
  };
}
