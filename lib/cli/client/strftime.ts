const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];
const ABBREVIATION_CHARS = 3;

const two = (value: number): string => String(value).padStart(2, '0');

/** `+0100`: the zone's offset from UTC. */
function offset(date: Date): string {
  const minutes = -date.getTimezoneOffset();
  const absolute = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(absolute / 60))}${two(absolute % 60)}`;
}

const day = (date: Date): string =>
  `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
const time = (date: Date): string =>
  `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;

/** `2026-01-31T09:00:00+0100`, or with microseconds before the offset; local time. */
export function isoTime(date: Date, micros: boolean): string {
  const fraction = micros ? `.${String(date.getMilliseconds()).padStart(3, '0')}000` : '';
  return `${day(date)}T${time(date)}${fraction}${offset(date)}`;
}

function dayOfYear(date: Date): number {
  const start = Date.UTC(date.getFullYear(), 0, 1);
  return Math.round((Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - start) / 86_400_000) + 1;
}

const DATE_FIELDS: ReadonlyMap<string, (date: Date) => string> = new Map<string, (date: Date) => string>([
  ['a', (date) => (DAYS[date.getDay()] ?? '').slice(0, ABBREVIATION_CHARS)],
  ['A', (date) => DAYS[date.getDay()] ?? ''],
  ['b', (date) => (MONTHS[date.getMonth()] ?? '').slice(0, ABBREVIATION_CHARS)],
  ['B', (date) => MONTHS[date.getMonth()] ?? ''],
  ['d', (date) => two(date.getDate())],
  ['D', (date) => `${two(date.getMonth() + 1)}/${two(date.getDate())}/${two(date.getFullYear() % 100)}`],
  ['e', (date) => String(date.getDate()).padStart(2)],
  ['F', day],
  ['H', (date) => two(date.getHours())],
  ['I', (date) => two(date.getHours() % 12 || 12)],
  ['j', (date) => String(dayOfYear(date)).padStart(3, '0')],
  ['m', (date) => two(date.getMonth() + 1)],
  ['M', (date) => two(date.getMinutes())],
  ['N', (date) => `${String(date.getMilliseconds()).padStart(3, '0')}000000`],
  ['p', (date) => (date.getHours() < 12 ? 'AM' : 'PM')],
  ['s', (date) => String(Math.floor(date.getTime() / 1000))],
  ['S', (date) => two(date.getSeconds())],
  ['T', time],
  ['R', (date) => `${two(date.getHours())}:${two(date.getMinutes())}`],
  ['u', (date) => String(date.getDay() || 7)],
  ['w', (date) => String(date.getDay())],
  ['y', (date) => two(date.getFullYear() % 100)],
  ['Y', (date) => String(date.getFullYear())],
  ['z', offset],
]);

/** One conversion of strftime(3) in local time, and `N`, nanoseconds (of millisecond resolution); undefined for unknown letters. */
export function dateField(letter: string, date: Date): string | undefined {
  return DATE_FIELDS.get(letter)?.(date);
}
