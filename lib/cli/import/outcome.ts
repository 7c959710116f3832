import type { Directive } from './directive.js';

export type SettingValue = string | number | boolean;

/** Values for keys of our configuration, by `section.key`. */
export type Settings = Readonly<Record<string, SettingValue>>;

/** What became of one line of a mosquitto.conf. */
export type Outcome =
  | {
      readonly kind: 'taken';
      readonly settings: Settings;
      /** What is different with the same value. */
      readonly note?: string;
      /** The difference needs somebody to look at it. */
      readonly needsAttention?: boolean;
    }
  | { readonly kind: 'not-needed'; readonly why: string }
  | { readonly kind: 'unsupported'; readonly why: string; readonly instead: string }
  /** Of a bridge or a listener that is not taken over as a whole. */
  | { readonly kind: 'part'; readonly of: Directive; readonly what: string }
  | { readonly kind: 'not-understood'; readonly why: string };

export interface JudgedLine {
  readonly directive: Directive;
  readonly outcome: Outcome;
}

export function taken(settings: Settings, note?: string): Outcome {
  return { kind: 'taken', settings, ...(note === undefined ? {} : { note }) };
}

/** Taken over, with a difference that somebody has to look at. */
export function takenWithCare(settings: Settings, note: string): Outcome {
  return { kind: 'taken', settings, note, needsAttention: true };
}

export function notNeeded(why: string): Outcome {
  return { kind: 'not-needed', why };
}

export function unsupported(why: string, instead: string): Outcome {
  return { kind: 'unsupported', why, instead };
}

export function notUnderstood(why: string): Outcome {
  return { kind: 'not-understood', why };
}

/** Whether somebody has to decide or do something about it. */
export function needsAttention(outcome: Outcome): boolean {
  switch (outcome.kind) {
    case 'taken':
      return outcome.needsAttention === true;
    case 'not-needed':
      return false;
    case 'unsupported':
    case 'part':
    case 'not-understood':
      return true;
  }
}

/** The outcome in words. */
export function outcomeText(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'taken': {
      const keys = Object.keys(outcome.settings).join(', ');
      const parts = [keys, outcome.note].filter((part) => part !== undefined && part !== '');
      return parts.join(': ');
    }
    case 'not-needed':
    case 'not-understood':
      return outcome.why;
    case 'unsupported':
      return `${outcome.why}; ${outcome.instead}`;
    case 'part':
      return `belongs to ${outcome.what}, line ${outcome.of.line}`;
  }
}
