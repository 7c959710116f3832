/** What is to be said of the copies that are kept for other gateways. Pure. */
import type { StandbyStatus } from '../../contracts/archive-status.js';
import { type Finding, ok, skipped, warning } from './finding.js';

const SHORT_ID_CHARACTERS = 8;

/** @param kept as the running gateway shows it; undefined: none runs */
export function judgeStandby(kept: readonly StandbyStatus[] | undefined): Finding {
  const check = 'standby';
  if (kept === undefined) return skipped(check, 'only a running gateway knows what it keeps for others');
  const lacking = kept.filter(({ state }) => state === 'incomplete' || state === 'failing');
  const measured = { kept: kept.length, lacking: lacking.map(({ gateway }) => gateway) };
  if (lacking.length > 0) {
    const told = lacking.map((one) => `${nameOf(one)}: ${one.reason ?? one.state}`);
    return warning(
      check,
      told.join('; '),
      'were such a gateway lost now, its archive would miss what it has not archived itself',
      measured,
    );
  }
  if (kept.length === 0) return ok(check, 'no other gateway that archives was met yet', measured);
  const apart = kept.filter(({ state }) => state === 'apart');
  const without = apart.length === 0 ? '' : `; without a link: ${apart.map(nameOf).join(', ')}`;
  return ok(check, `keeps for ${kept.map(nameOf).join(', ')}${without}`, measured);
}

const nameOf = ({ gateway, site }: StandbyStatus): string =>
  site === '' ? gateway.slice(0, SHORT_ID_CHARACTERS) : site;
