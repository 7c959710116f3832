import type { RuleWishes } from '../archive-tools.js';
import { usageError } from './arguments.js';
import type { Invocation } from './command.js';

export const LIFECYCLE_ACTIONS = ['show', 'check', 'set'] as const;
export type LifecycleAction = (typeof LIFECYCLE_ACTIONS)[number];

/** Which actions an option is for; others are for all. */
const ACTIONS_OF: Readonly<Record<string, readonly LifecycleAction[]>> = {
  'keep-days': ['check'],
  'abort-uploads-days': ['check', 'set'],
  transition: ['set'],
  'expire-days': ['set'],
  'expire-noncurrent-days': ['set'],
  yes: ['set'],
  'dry-run': ['set'],
  'abort-older-than': ['show', 'check'],
};
const ABORT_UPLOADS_DAYS = 7;
/** Rules of S3 take no more. */
const DAYS_MAX = 2_147_483_647;
const TRANSITION = /^([A-Za-z0-9_-]+):(\d+)$/;

/** @throws SprawlError USAGE for another word, and for an option of another action */
export function lifecycleAction(invocation: Invocation): LifecycleAction {
  const word = invocation.positionals[0] ?? 'show';
  const action = LIFECYCLE_ACTIONS.find((one) => one === word);
  if (action === undefined)
    throw usageError(
      invocation.command,
      `there is no ${JSON.stringify(word)}: it is one of ${LIFECYCLE_ACTIONS.join(', ')}`,
    );
  for (const { spec, written } of invocation.given) {
    const actions = ACTIONS_OF[spec.long];
    if (actions?.includes(action) === false)
      throw usageError(
        invocation.command,
        `${written} is for ${actions.join(' and ')}, and not for ${action}`,
      );
  }
  return action;
}

/** @throws SprawlError USAGE */
export function daysOption(invocation: Invocation, long: string, min = 1): number | undefined {
  const text = invocation.value(long);
  if (text === undefined) return undefined;
  const days = /^\d+$/.test(text) ? Number(text) : NaN;
  if (days >= min && days <= DAYS_MAX) return days;
  throw usageError(
    invocation.command,
    `--${long} must be a whole number of days, ${min} or more; not ${JSON.stringify(text)}`,
  );
}

/** Of `check`: whether nobody needs a rule for that. @throws SprawlError USAGE */
export function storeAbortsUploads(invocation: Invocation): boolean {
  const days = daysOption(invocation, 'abort-uploads-days', 0);
  if (days === undefined || days === 0) return days === 0;
  throw usageError(invocation.command, `--abort-uploads-days is 0 or not there for check; not ${days}`);
}

/** @throws SprawlError USAGE */
export function ruleWishes(invocation: Invocation): RuleWishes {
  const transition = transitionOption(invocation);
  const expireDays = daysOption(invocation, 'expire-days');
  if (expireDays !== undefined && transition !== undefined && expireDays <= transition.afterDays)
    throw usageError(
      invocation.command,
      `--expire-days ${expireDays} is not behind --transition after ${transition.afterDays} days`,
    );
  const expireNoncurrentDays = daysOption(invocation, 'expire-noncurrent-days');
  const abortUploadsDays = daysOption(invocation, 'abort-uploads-days', 0) ?? ABORT_UPLOADS_DAYS;
  if (abortUploadsDays === 0 && [transition, expireDays, expireNoncurrentDays].every(isMissing))
    throw usageError(
      invocation.command,
      '--abort-uploads-days 0 leaves no rule to be set: say --transition, --expire-days or --expire-noncurrent-days as well',
    );
  return { abortUploadsDays, transition, expireDays, expireNoncurrentDays };
}

function transitionOption(invocation: Invocation): RuleWishes['transition'] {
  const text = invocation.value('transition');
  if (text === undefined) return undefined;
  const [, storageClass, days] = TRANSITION.exec(text) ?? [];
  if (storageClass !== undefined && Number(days) <= DAYS_MAX)
    return { storageClass, afterDays: Number(days) };
  throw usageError(
    invocation.command,
    `--transition must be CLASS:DAYS as in GLACIER_IR:90; not ${JSON.stringify(text)}`,
  );
}

const isMissing = (value: unknown): boolean => value === undefined;
