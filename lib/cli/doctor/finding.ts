/** What was found out about one thing. */

/** `skip`: it was not looked at, and the value says why. */
export const VERDICTS = ['skip', 'ok', 'warn', 'fail'] as const;
export type Verdict = (typeof VERDICTS)[number];

export interface Finding {
  readonly check: string;
  readonly verdict: Verdict;
  /** What was measured, for people. */
  readonly value: string;
  /** What to do; empty: nothing. */
  readonly advice: string;
  /** The same as `value`, for programs. */
  readonly measured?: Readonly<Record<string, unknown>>;
}

export function ok(check: string, value: string, measured?: Finding['measured']): Finding {
  return found(check, 'ok', value, '', measured);
}

export function skipped(check: string, value: string): Finding {
  return found(check, 'skip', value, '');
}

export function warning(
  check: string,
  value: string,
  advice: string,
  measured?: Finding['measured'],
): Finding {
  return found(check, 'warn', value, advice, measured);
}

export function failure(
  check: string,
  value: string,
  advice: string,
  measured?: Finding['measured'],
): Finding {
  return found(check, 'fail', value, advice, measured);
}

/** Of all the gravest; one that was skipped weighs nothing. */
export function gravest(findings: readonly Finding[]): Verdict {
  return VERDICTS.toReversed().find((verdict) => findings.some((one) => one.verdict === verdict)) ?? 'ok';
}

function found(
  check: string,
  verdict: Verdict,
  value: string,
  advice: string,
  measured?: Finding['measured'],
): Finding {
  return { check, verdict, value, advice, ...(measured === undefined ? {} : { measured }) };
}
