/** Lifecycle rules, as S3 has them. */
import type { LifecycleRule, Tag, TransitionStorageClass } from '@aws-sdk/client-s3';
import type { BucketRule, RuleTime } from './bucket-rule.js';

/** Elements of the answer to GetBucketLifecycleConfiguration that the client of AWS keeps. */
const KNOWN: ReadonlySet<string> = new Set([
  ...['LifecycleConfiguration', 'Rule', 'ID', 'Prefix', 'Filter', 'And', 'Tag', 'Key', 'Value', 'Status'],
  ...['ObjectSizeGreaterThan', 'ObjectSizeLessThan', 'Expiration', 'Date', 'Days', 'StorageClass'],
  ...['ExpiredObjectDeleteMarker', 'Transition', 'NoncurrentVersionTransition', 'NoncurrentDays'],
  ...['NewerNoncurrentVersions', 'NoncurrentVersionExpiration', 'AbortIncompleteMultipartUpload'],
  'DaysAfterInitiation',
]);
const ELEMENT = /<([A-Za-z][\w.:-]*)[\s/>]/g;

/** What stores other than AWS have in rules, and the client of AWS would leave out when it writes them back. @param xml of the answer */
export function unknownElements(xml: string): string[] {
  const names = [...xml.matchAll(ELEMENT)].map(([, name = '']) => name);
  return [...new Set(names)].filter((name) => !KNOWN.has(name));
}

export function fromS3(rule: LifecycleRule): BucketRule {
  const { Filter, Expiration, Transitions = [] } = rule;
  const and = Filter?.And;
  const larger = Filter?.ObjectSizeGreaterThan ?? and?.ObjectSizeGreaterThan;
  const smaller = Filter?.ObjectSizeLessThan ?? and?.ObjectSizeLessThan;
  return {
    id: rule.ID ?? '',
    isEnabled: rule.Status === 'Enabled',
    prefix: Filter?.Prefix ?? and?.Prefix ?? rule.Prefix ?? '',
    tags: [...(Filter?.Tag === undefined ? [] : [Filter.Tag]), ...(and?.Tags ?? [])].map(tagText),
    sizes: [
      ...(larger === undefined ? [] : [`larger than ${larger} bytes`]),
      ...(smaller === undefined ? [] : [`smaller than ${smaller} bytes`]),
    ],
    expires: timeOf(Expiration),
    transitions: Transitions.map(({ StorageClass = '', ...time }) => ({
      storageClass: StorageClass,
      // AWS leaves out no days at all only where there is a date.
      time: timeOf(time) ?? { afterDays: 0 },
    })),
    noncurrentExpireDays: rule.NoncurrentVersionExpiration?.NoncurrentDays,
    abortUploadsDays: rule.AbortIncompleteMultipartUpload?.DaysAfterInitiation,
  };
}

function timeOf(
  time: { readonly Days?: number | undefined; readonly Date?: Date | undefined } | undefined,
): RuleTime | undefined {
  if (time?.Date !== undefined) return { onDay: time.Date.toISOString().slice(0, 10) };
  // Some stores answer with 0 where there is none.
  return time?.Days === undefined || time.Days === 0 ? undefined : { afterDays: time.Days };
}

function tagText({ Key = '', Value = '' }: Tag): string {
  return `${Key}=${Value}`;
}

/** @param rule one of ours: with days, and without tags and sizes @param isOld as before 2016, without a filter */
export function toS3(rule: BucketRule, isOld: boolean): LifecycleRule {
  const { id, prefix, expires, transitions, noncurrentExpireDays, abortUploadsDays } = rule;
  return {
    ID: id,
    Status: rule.isEnabled ? 'Enabled' : 'Disabled',
    ...(isOld ? { Prefix: prefix } : { Filter: { Prefix: prefix } }),
    ...(expires !== undefined && { Expiration: daysOf(expires) }),
    ...(transitions.length > 0 && {
      Transitions: transitions.map(({ storageClass, time }) => ({
        ...daysOf(time),
        StorageClass: storageClass as TransitionStorageClass,
      })),
    }),
    ...(noncurrentExpireDays !== undefined && {
      NoncurrentVersionExpiration: { NoncurrentDays: noncurrentExpireDays },
    }),
    ...(abortUploadsDays !== undefined && {
      AbortIncompleteMultipartUpload: { DaysAfterInitiation: abortUploadsDays },
    }),
  };
}

function daysOf(time: RuleTime): { Days: number } {
  if (!('afterDays' in time)) throw new RangeError('our rules have days');
  return { Days: time.afterDays };
}
