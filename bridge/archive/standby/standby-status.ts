/** What is kept of the archives of others, as it is shown. */
import type { StandbyStatus } from '../../../lib/contracts/archive-status.js';
import type { Finisher } from './finisher.js';
import type { Keeper } from './keeper.js';

/** @param finisher that is at work for it @param rows that were brought into its archive before */
export function statusOfKeeper(
  keeper: Keeper,
  finisher: Finisher | undefined,
  rows: number,
  maxBytes: number,
): StandbyStatus {
  const { origin, state, heldBytes } = keeper;
  return {
    ...{ gateway: origin, site: state?.offer.config.site ?? '' },
    ...stateOf(keeper, finisher),
    archivedUpTo: state?.after ?? null,
    keptUpTo: state?.upTo ?? null,
    head: state?.head ?? null,
    bytes: state?.bytes ?? 0,
    ...{ heldBytes, maxBytes },
    rows: rows + (finisher?.status.rows ?? 0),
  };
}

function stateOf(
  { finish, lack, isLinked }: Keeper,
  finisher: Finisher | undefined,
): Pick<StandbyStatus, 'state' | 'reason'> {
  if (finish !== undefined) {
    const trouble = finisher?.trouble;
    if (trouble !== undefined) return { state: 'failing', reason: trouble };
    return { state: 'finishing', reason: finisher === undefined ? 'another one is finished first' : null };
  }
  if (lack !== undefined) return { state: 'incomplete', reason: lack };
  if (isLinked) return { state: 'keeping', reason: null };
  return { state: 'apart', reason: 'there is no link to it: what it takes in meanwhile is not kept here' };
}

export function statusOfFinished(keeper: Keeper, rows: number, maxBytes: number): StandbyStatus {
  const status = statusOfKeeper(keeper, undefined, rows, maxBytes);
  return {
    ...{ ...status, state: 'finished', reason: null, archivedUpTo: status.keptUpTo },
    ...{ bytes: 0, heldBytes: 0 },
  };
}

/** @param name as the configuration has it */
export function statusOfMissing(name: string, maxBytes: number): StandbyStatus {
  return {
    ...{ gateway: name, site: '', state: 'incomplete', archivedUpTo: null, keptUpTo: null, head: null },
    reason: 'no gateway that is called so was met, or it archives nothing',
    ...{ bytes: 0, heldBytes: 0, maxBytes, rows: 0 },
  };
}
