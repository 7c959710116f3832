/** Times as people write them where they ask for a part of what is stored. */

const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const DURATION = /^(\d+(?:\.\d+)?)([smhdw])$/;
const RELATIVE = /^-(\d+(?:\.\d+)?)([smhdw])$/;
/** A day, or a time of it; without a zone it is UTC, as the names of folders are. */
const ABSOLUTE = /^(\d{4}-\d{2}-\d{2})(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?$/;

export const TIME_FORMS =
  'a time of ISO 8601 such as 2026-11-29 or 2026-11-29T07:30:00Z (UTC where it names no zone), how long ago such as -90s, -15m, -2h, -3d, -1w, or now';

/** @returns milliseconds since 1970; undefined: it is no time @param nowMs milliseconds since 1970 */
export function parseTimeText(text: string, nowMs: number): number | undefined {
  if (text === 'now') return nowMs;
  const [, count, unit = ''] = RELATIVE.exec(text) ?? [];
  if (count !== undefined) return nowMs - Number(count) * (UNITS_MS[unit] ?? NaN);
  const [whole, day = '', zone] = ABSOLUTE.exec(text) ?? [];
  if (whole === undefined || !isDay(day)) return undefined;
  // oxlint-disable-next-line eslint/no-restricted-globals -- it only reads what is written down
  const timeMs = Date.parse(zone === undefined && whole.includes('T') ? `${whole}Z` : whole);
  return Number.isNaN(timeMs) ? undefined : timeMs;
}

/** Date.parse takes February 30 for March 2. */
function isDay(day: string): boolean {
  // oxlint-disable-next-line eslint/no-restricted-globals -- it only reads what is written down
  const timeMs = Date.parse(day);
  // oxlint-disable-next-line eslint/no-restricted-globals -- it only writes down what was read
  return !Number.isNaN(timeMs) && new Date(timeMs).toISOString().startsWith(day);
}

export const DURATION_FORMS = 'how long, such as 90s, 15m, 24h, 3d, 1w';

/** @returns milliseconds; undefined: it says no duration */
export function parseDurationText(text: string): number | undefined {
  const [, count, unit = ''] = DURATION.exec(text) ?? [];
  return count === undefined ? undefined : Number(count) * (UNITS_MS[unit] ?? NaN);
}
