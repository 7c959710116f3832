import type {
  ArchivesStatus,
  ArchiveStatus,
  ServedStatus,
  StandbyStatus,
} from '../contracts/archive-status.js';
import { SprawlError } from '../contracts/errors.js';
import { shortId } from '../contracts/gateway-id.js';
import { askedUrl } from './asked-gateway.js';
import type { Invocation, World } from './command.js';
import { ExitCode } from './exit-code.js';
import { askGateway, expectAnswer } from './gateway-http.js';
import { columns, duration, size } from './size.js';

const NOT_FOUND = 404;
const SHORT_ID_CHARACTERS = 8;

/** `archive status`: asks a running gateway how far its archive is. Resolves to 1 where it fails or has no room. @throws SprawlError HTTP_FAILED */
export async function runArchiveStatus(invocation: Invocation, world: World): Promise<number> {
  const url = askedUrl(invocation, world);
  const [own, served] = await Promise.all([
    asked<ArchivesStatus>(url, '/api/v1/archive'),
    asked<ServedStatus>(url, '/api/v1/archive/served'),
  ]);
  if (own === undefined && served === undefined) {
    throw new SprawlError(
      'HTTP_FAILED',
      `the gateway at ${url} archives nothing: archive.topics in its configuration says what to archive`,
      { details: { url } },
    );
  }
  const text = invocation.has('json')
    ? JSON.stringify({ ...own, served: served ?? null }, undefined, 2)
    : columns([...(own === undefined ? [] : archiveRows(own)), ...servedRows(served)]).join('\n');
  world.stdout.write(`${text}\n`);
  const all = own === undefined ? [] : [own, ...(own.copy === null ? [] : [own.copy])];
  const isBad =
    all.some(({ state, backlog }) => state === 'failing' || backlog.isFull) ||
    own?.standby?.some(({ state }) => state === 'failing' || state === 'incomplete') === true;
  return isBad ? ExitCode.failed : ExitCode.done;
}

/** undefined: the gateway has no such thing. */
async function asked<T>(url: string, path: string): Promise<T | undefined> {
  const answer = await askGateway(url, path);
  if (answer.status === NOT_FOUND) return undefined;
  expectAnswer(url, answer);
  return JSON.parse(answer.text) as T;
}

function servedRows(served: ServedStatus | undefined): (readonly [string, string])[] {
  if (served === undefined) return [];
  const { target, done, failed, refused, bytes } = served;
  return [
    ['for others', target],
    ['  requests', `${done} done, ${failed} failed, ${refused} refused`],
    ['  taken', size(bytes)],
  ];
}

export function archiveRows({ copy, standby, ...first }: ArchivesStatus): (readonly [string, string])[] {
  return [
    ...rowsOf('archive', first),
    ...(copy === null ? [] : rowsOf('copy', copy)),
    // One of an older version keeps nothing.
    ...(standby ?? []).flatMap(standbyRows),
  ];
}

function standbyRows(status: StandbyStatus): (readonly [string, string])[] {
  const { gateway, site, state, reason, archivedUpTo, keptUpTo, head, bytes, heldBytes, maxBytes, rows } =
    status;
  const name = site === '' ? gateway : `${site} (${gateway.slice(0, SHORT_ID_CHARACTERS)})`;
  const lines: (readonly [string, string])[] = [
    ['kept for', name],
    ['  state', reason === null ? state : `${state}: ${reason}`],
  ];
  if (archivedUpTo === null || keptUpTo === null) return lines;
  const behind = head !== null && head > keptUpTo ? `, of ${head} that are known of` : '';
  lines.push(['  archived', `up to ${archivedUpTo} of its log`]);
  lines.push([
    '  kept',
    `up to ${keptUpTo}${behind}: ${size(bytes)}, in ${size(heldBytes)} of ${size(maxBytes)} of the log here`,
  ]);
  if (rows > 0) lines.push(['  finished', `${rows} messages brought into its archive`]);
  return lines;
}

function rowsOf(name: string, status: ArchiveStatus): (readonly [string, string])[] {
  const { target, through, state, reason, backlog, tip, rows, objects, bytes, dropped, failures } = status;
  const why = reason === null ? '' : `: ${reason}`;
  const often = failures > 1 ? ` (${failures} times in a row)` : '';
  const full = backlog.isFull
    ? backlog.whenFull === 'refuse'
      ? '; messages are refused'
      : '; the oldest is given up'
    : '';
  const waits =
    backlog.positions === 0
      ? 'nothing'
      : `${backlog.positions} records (${size(backlog.bytes)} of ${size(backlog.maxBytes)}), for ${duration(backlog.ageS)}${full}`;
  const lines: (readonly [string, string])[] = [
    [name, target],
    ...throughRows(through),
    ['  state', `${state}${why}${often}`],
    ['  waits', waits],
    [
      '  manifest',
      tip === null
        ? 'not known yet, or empty'
        : `entry ${tip.number}: up to ${tip.upTo} of start ${tip.epoch}`,
    ],
    ['  since the start', `${rows} messages in ${objects} files (${size(bytes)})`],
  ];
  if (dropped > 0) lines.push(['  given up', `${dropped} records: there was no room for them`]);
  return lines;
}

function throughRows(through: ArchiveStatus['through']): (readonly [string, string])[] {
  if (through === null) return [];
  const { site, gateway, target } = through;
  return [['  through', `${site === '' ? '' : `${site} `}${shortId(gateway)}, to ${target}`]];
}
