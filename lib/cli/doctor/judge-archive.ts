/** What is to be said of the archive. */
import { failure, type Finding, ok, warning } from './finding.js';

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

/** @param key of the configuration */
export function judgeArchive(
  check: string,
  key: string,
  { name, tookMs, fault, isMisconfigured }: ArchiveSeen,
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
