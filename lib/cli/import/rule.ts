import { notNeeded, notUnderstood, taken, type Outcome } from './outcome.js';

/** What becomes of a line, by its value alone. */
export type Rule = (value: string) => Outcome;
export type Rules = Readonly<Record<string, Rule>>;

/** mosquitto's booleans; undefined for what it refuses. */
export function booleanOf(value: string): boolean | undefined {
  if (value === 'true' || value === '1') return true;
  return value === 'false' || value === '0' ? false : undefined;
}

/** A whole number; undefined for what is none. */
export function wholeNumberOf(value: string): number | undefined {
  return /^-?[0-9]{1,15}$/.test(value) ? Number(value) : undefined;
}

/** A rule for true and one for false. */
export function byFlag(whenTrue: Outcome, whenFalse: Outcome): Rule {
  return (value) => {
    const flag = booleanOf(value);
    if (flag === undefined) return notUnderstood(`${shownValue(value)} is neither true nor false`);
    return flag ? whenTrue : whenFalse;
  };
}

export function always(outcome: Outcome): Rule {
  return () => outcome;
}

export interface NumberRule {
  readonly key: string;
  /** What our key allows. */
  readonly min: number;
  readonly max: number;
  /** What mosquitto's 0 means; without it 0 is a number as others. */
  readonly zero?: Outcome;
}

/** A number for a key of ours, moved into its range with a note where it is outside. */
export function byNumber({ key, min, max, zero }: NumberRule): Rule {
  return (value) => {
    const number = wholeNumberOf(value);
    if (number === undefined || number < 0)
      return notUnderstood(`${shownValue(value)} is not a whole number`);
    if (number === 0 && zero !== undefined) return zero;
    const moved = Math.min(max, Math.max(min, number));
    const note = moved === number ? undefined : `${number} is outside of ${min} to ${max}`;
    return taken({ [key]: moved }, note);
  };
}

/** A number of which only 0, mosquitto's "no limit", says nothing. */
export function limitOr(whyZero: string, outcome: Outcome): Rule {
  return (value) => (wholeNumberOf(value) === 0 ? notNeeded(whyZero) : outcome);
}

function shownValue(value: string): string {
  return value === '' ? 'nothing' : JSON.stringify(value);
}
