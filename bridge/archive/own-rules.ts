/** The rules that Sprawl Edge sets in a bucket for one archive. Several archives may be in one: ids are of the prefix as well. */
import { createHash } from 'node:crypto';
import { areasOf, type BucketRule } from './bucket-rule.js';

export interface RuleWishes {
  /** 0: the store does that by itself. */
  readonly abortUploadsDays: number;
  /** Of `data/` alone. */
  readonly transition?: { readonly storageClass: string; readonly afterDays: number } | undefined;
  /** Of `data/` alone. */
  readonly expireDays?: number | undefined;
  readonly expireNoncurrentDays?: number | undefined;
}

const KINDS = ['abort-uploads', 'transition', 'expire', 'expire-noncurrent'] as const;
const HASH_LENGTH = 8;

function idOf(kind: (typeof KINDS)[number], prefix: string): string {
  const hash = createHash('sha256').update(prefix).digest('hex').slice(0, HASH_LENGTH);
  return `sprawl-edge-${kind}-${hash}`;
}

/** Ids of all rules that may ever be set for this archive: others are not touched. */
export function ownRuleIds(prefix: string): ReadonlySet<string> {
  return new Set(KINDS.map((kind) => idOf(kind, prefix)));
}

/** @param prefix of the archive, without a `/` at its end */
export function ownRules(prefix: string, wishes: RuleWishes): BucketRule[] {
  const { all, data } = areasOf(prefix);
  const { abortUploadsDays, transition, expireDays, expireNoncurrentDays } = wishes;
  const rule = (kind: (typeof KINDS)[number], below: string, does: Partial<BucketRule>): BucketRule => ({
    ...{ id: idOf(kind, prefix), isEnabled: true, prefix: below, tags: [], sizes: [], transitions: [] },
    ...does,
  });
  const rules = abortUploadsDays === 0 ? [] : [rule('abort-uploads', all, { abortUploadsDays })];
  if (transition !== undefined) {
    const { storageClass, afterDays } = transition;
    rules.push(rule('transition', data, { transitions: [{ storageClass, time: { afterDays } }] }));
  }
  if (expireDays !== undefined) rules.push(rule('expire', data, { expires: { afterDays: expireDays } }));
  if (expireNoncurrentDays !== undefined)
    rules.push(rule('expire-noncurrent', all, { noncurrentExpireDays: expireNoncurrentDays }));
  return rules;
}
