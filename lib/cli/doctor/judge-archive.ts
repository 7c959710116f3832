/** What is to be said of the archive. */
import type { ArchiveStatus } from '../../contracts/archive-status.js';
import { failure, type Finding, ok, skipped, warning } from './finding.js';

export interface ArchiveSeen {
  /** Without anything secret. */
  readonly name: string;
  /** How long the answer took. */
  readonly tookMs: number;
  /** Why it cannot be read, with the way out; undefined: it can. */
  readonly fault: string | undefined;
  /** Where it is the configuration: the way out is in `fault`, and no gateway starts. */
  readonly isMisconfigured?: boolean;
}

const SLOW_MS = 2000;

/** @param key of the configuration @param running what the gateway says; undefined: it does not run, or says nothing */
export function judgeArchive(
  check: string,
  key: string,
  { name, tookMs, fault, isMisconfigured }: ArchiveSeen,
  running?: Pick<ArchiveStatus, 'state' | 'reason'>,
): Finding {
  const measured = { name, tookMs: Math.round(tookMs) };
  if (fault !== undefined)
    return failure(
      check,
      fault,
      isMisconfigured === true
        ? 'the gateway does not start with it'
        : `messages wait in the log until it is reached; ${key} says where it is`,
      measured,
    );
  // It asks for more than whether somebody answers: whether this is its archive, for one.
  if (running?.state === 'failing')
    return failure(
      check,
      running.reason ?? 'the gateway says that it fails',
      'messages wait in the log, and the gateway tries again by itself, once a minute at least',
      measured,
    );
  const value = `${name} answers after ${Math.round(tookMs)} ms`;
  return tookMs > SLOW_MS
    ? warning(
        check,
        value,
        'a backlog takes long over such a line: see archive.fileMaxBytes and archive.s3.partBytes',
        measured,
      )
    : ok(check, value, measured);
}

/**
 * Of an archive that another gateway of the mesh has.
 * @param isMember whether this one is in a mesh @param seen what the running gateway says; undefined: it does not run, or says nothing
 */
export function judgeRelayedArchive(
  target: string,
  isMember: boolean,
  seen: Pick<ArchiveStatus, 'through' | 'state' | 'reason'> | undefined,
): Finding {
  const check = 'archive';
  if (!isMember)
    return failure(
      check,
      `archive.target is ${target}, and this gateway is in no mesh`,
      '"sprawl-edge join" joins one; or give archive.target a place that this gateway reaches itself',
    );
  if (seen === undefined)
    return skipped(
      check,
      `archive.target is ${target}: through which gateway it goes shows when this one runs`,
    );
  const { through, state, reason } = seen;
  const measured = { name: target, through: through?.gateway ?? null };
  if (state === 'failing')
    return failure(
      check,
      reason ?? 'it fails',
      'messages wait in the log until a gateway takes them',
      measured,
    );
  const by = through === null ? 'through no gateway yet' : `through ${through.site}, to ${through.target}`;
  return ok(check, `${target}: ${by}`, measured);
}
