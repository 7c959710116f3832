/** What is kept of the archives of others, as it is shown. */
import type { StandbyStatus } from '../../../lib/contracts/archive-status.js';
import type { Finishing } from './finishing.js';
import type { Keeper } from './keeper.js';

export function statusOfKeeper(keeper: Keeper, finishing: Finishing, maxBytes: number): StandbyStatus {
  const { origin, state, heldBytes } = keeper;
  return {
    ...{ gateway: origin, site: state?.offer.config.site ?? '' },
    ...stateOf(keeper, finishing),
    archivedUpTo: state?.after ?? null,
    keptUpTo: state?.upTo ?? null,
    head: state?.head ?? null,
    bytes: state?.bytes ?? 0,
    ...{ heldBytes, maxBytes },
    rows: finishing.rowsOf(origin),
  };
}

function stateOf(
  { origin, finish, lack, isLinked }: Keeper,
  finishing: Finishing,
): Pick<StandbyStatus, 'state' | 'reason'> {
  if (finish !== undefined) {
    const reason = finishing.reasonOf(origin);
    if (reason !== undefined) return { state: 'failing', reason };
    return { state: 'finishing', reason: finishing.isAtWork(origin) ? null : 'it waits for its turn' };
  }
  if (lack !== undefined) return { state: 'incomplete', reason: lack };
  if (isLinked) return { state: 'keeping', reason: null };
  return { state: 'apart', reason: 'there is no link to it: what it takes in meanwhile is not kept here' };
}

export function statusOfFinished(keeper: Keeper, finishing: Finishing, maxBytes: number): StandbyStatus {
  const status = statusOfKeeper(keeper, finishing, maxBytes);
  return {
    ...{ ...status, state: 'finished', reason: null, archivedUpTo: status.keptUpTo },
    ...{ bytes: 0, heldBytes: 0 },
  };
}

/** @param name as the configuration has it, or an id @param reason why nothing is kept */
export function statusOfMissing(name: string, reason: string, maxBytes: number): StandbyStatus {
  return {
    ...{ gateway: name, site: '', state: 'incomplete', reason },
    ...{ archivedUpTo: null, keptUpTo: null, head: null, bytes: 0, heldBytes: 0, maxBytes, rows: 0 },
  };
}
