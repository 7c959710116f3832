/** What the rules of a bucket do to an archive that is in it, and what they leave undone. */
import {
  type ArchiveAreas,
  type BucketRule,
  type BucketState,
  covers,
  type RuleTime,
  touches,
} from './bucket-rule.js';
import { IDENTITY_KEY } from './relay/store-identity.js';

/** `danger`: it makes an archive that is not complete, or cannot be read. `missing`: something costs money for ever. `warning`: it may be meant. */
export type BucketVerdict = 'danger' | 'missing' | 'warning';

export interface BucketFinding {
  readonly verdict: BucketVerdict;
  readonly code: keyof typeof BUCKET_FINDINGS;
  /** Undefined: it is of none. */
  readonly rule?: string | undefined;
  readonly text: string;
}

/** What somebody knows of a bucket that its rules do not say. */
export interface BucketKnowledge {
  /** How long archived data has to stay; undefined: nobody said so. */
  readonly keepDays?: number | undefined;
  /** The store aborts uploads that are never finished by itself. */
  readonly abortsUploads?: boolean;
}

/** What can be found, and how bad it is. */
export const BUCKET_FINDINGS = {
  'manifest-expires': 'danger',
  'manifest-unreadable': 'danger',
  'identity-expires': 'danger',
  'identity-unreadable': 'danger',
  'data-expires-early': 'danger',
  'data-expires': 'warning',
  'data-unreadable': 'warning',
  'uploads-stay': 'missing',
  'versions-stay': 'missing',
} as const satisfies Record<string, BucketVerdict>;

/** Objects of these have to be brought back before they can be read: hours to days. */
const UNREADABLE: ReadonlySet<string> = new Set(['GLACIER', 'DEEP_ARCHIVE']);

/**
 * The manifest is needed whole, whatever the age of its entries: that it may expire is always dangerous. So is it of the identity of the store,
 * which is told of rules that leave the manifest alone: the way out is the same.
 */
export function judgeBucket(
  { rules, versioning }: BucketState,
  areas: ArchiveAreas,
  { keepDays, abortsUploads = false }: BucketKnowledge = {},
): BucketFinding[] {
  // What has a tag was not made by an archive.
  const effective = rules.filter(({ isEnabled, tags }) => isEnabled && tags.length === 0);
  return [
    ...effective.flatMap((rule) => [
      ...(touches(rule, areas.manifest)
        ? judgeManifest(rule)
        : touches(rule, areas.identity)
          ? judgeIdentity(rule)
          : []),
      ...(touches(rule, areas.data) ? judgeData(rule, keepDays) : []),
    ]),
    ...(abortsUploads ? [] : judgeUploads(rules, areas)),
    ...judgeVersions(rules, versioning, areas),
  ];
}

function judgeManifest(rule: BucketRule): BucketFinding[] {
  const found: BucketFinding[] = [];
  if (rule.expires !== undefined)
    found.push(
      finding(
        'manifest-expires',
        rule,
        `removes manifests ${timeText(rule.expires)}; without all of its manifest nothing says what an archive has: give the rule the prefix of data/`,
      ),
    );
  for (const { storageClass, time } of rule.transitions)
    if (UNREADABLE.has(storageClass))
      found.push(
        finding(
          'manifest-unreadable',
          rule,
          `moves manifests to ${storageClass} ${timeText(time)}, where they cannot be read at once; no archive is read or checked, and no gateway goes on, without them: give the rule the prefix of data/`,
        ),
      );
  return found;
}

function judgeIdentity(rule: BucketRule): BucketFinding[] {
  const { expires, transitions } = rule;
  const why =
    'it says which store this is, and gateways that archive through another one go on only in the same: give the rule the prefix of data/';
  return [
    ...(expires === undefined
      ? []
      : [
          finding(
            'identity-expires',
            rule,
            `removes the object ${IDENTITY_KEY} ${timeText(expires)}; ${why}`,
          ),
        ]),
    ...transitions
      .filter(({ storageClass }) => UNREADABLE.has(storageClass))
      .map(({ storageClass, time }) =>
        finding(
          'identity-unreadable',
          rule,
          `moves the object ${IDENTITY_KEY} to ${storageClass} ${timeText(time)}, where it cannot be read at once; ${why}`,
        ),
      ),
  ];
}

function judgeData(rule: BucketRule, keepDays: number | undefined): BucketFinding[] {
  const found: BucketFinding[] = [];
  const { expires } = rule;
  if (expires !== undefined) {
    const when = timeText(expires);
    if (keepDays === undefined)
      found.push(
        finding(
          'data-expires',
          rule,
          `removes archived data ${when}; "archive verify" then names it as missing; --keep-days says how long it has to stay`,
        ),
      );
    else if (!('afterDays' in expires) || expires.afterDays < keepDays)
      found.push(
        finding(
          'data-expires-early',
          rule,
          `removes archived data ${when}; it has to stay for ${keepDays} days`,
        ),
      );
  }
  for (const { storageClass, time } of rule.transitions)
    if (UNREADABLE.has(storageClass))
      found.push(
        finding(
          'data-unreadable',
          rule,
          `moves archived data to ${storageClass} ${timeText(time)}; from then on "archive cat", "verify --deep" and "replay" cannot read it before somebody restores it`,
        ),
      );
  return found;
}

function judgeUploads(rules: readonly BucketRule[], areas: ArchiveAreas): BucketFinding[] {
  const isCovered = (area: string): boolean =>
    rules.some((rule) => rule.abortUploadsDays !== undefined && covers(rule, area));
  if (isCovered(areas.data) && isCovered(areas.manifest)) return [];
  return [
    finding(
      'uploads-stay',
      undefined,
      'no rule aborts uploads that were begun and never finished: their parts are paid for and never seen; "archive lifecycle set" makes one, and --abort-uploads-days 0 says that the store does it by itself',
    ),
  ];
}

function judgeVersions(
  rules: readonly BucketRule[],
  versioning: BucketState['versioning'],
  areas: ArchiveAreas,
): BucketFinding[] {
  if (versioning !== 'on' && versioning !== 'suspended') return [];
  if (rules.some((rule) => rule.noncurrentExpireDays !== undefined && covers(rule, areas.data))) return [];
  const kept = versioning === 'on' ? 'is kept' : 'and still there as a version stays';
  return [
    finding(
      'versions-stay',
      undefined,
      `the bucket has versions: whatever is removed from the archive ${kept} for ever; "archive lifecycle set --expire-noncurrent-days DAYS" makes a rule`,
    ),
  ];
}

function finding(code: BucketFinding['code'], rule: BucketRule | undefined, text: string): BucketFinding {
  const name = rule && (rule.id === '' ? 'without an id' : rule.id);
  return {
    ...{ verdict: BUCKET_FINDINGS[code], code, rule: rule?.id },
    text: name === undefined ? text : `the rule ${name} ${text}`,
  };
}

export function timeText(time: RuleTime): string {
  if ('onDay' in time) return `on ${time.onDay}`;
  return time.afterDays === 1 ? 'after 1 day' : `after ${time.afterDays} days`;
}
