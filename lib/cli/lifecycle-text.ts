/** Rules of a bucket and what is found in it, in words. */
import {
  type BucketFinding,
  type BucketRule,
  type PendingUpload,
  timeText,
  type Versioning,
} from '../archive-tools.js';
import { duration } from './size.js';

/** So many uploads are told. */
export const UPLOADS_TOLD_MAX_COUNT = 100;

const VERSIONS: Readonly<Record<Versioning, string>> = {
  off: 'has no versions: what is removed is gone',
  on: 'has versions: what is removed stays as a version',
  suspended: 'had versions: those that there were stay',
  unknown: 'does not say whether it has versions',
};

export function versioningText(versioning: Versioning): string {
  return `the bucket ${VERSIONS[versioning]}`;
}

/** `sprawl-edge-… (below data/): removed after 30 days`. */
export function ruleText(rule: BucketRule): string {
  const { id, isEnabled, prefix, tags, sizes, expires, transitions } = rule;
  const { noncurrentExpireDays, abortUploadsDays } = rule;
  const about = [
    prefix === '' ? 'everything' : `keys that begin with ${prefix}`,
    ...tags.map((tag) => `with the tag ${tag}`),
    ...sizes,
  ].join(', ');
  const days = (afterDays: number): string => timeText({ afterDays });
  const does = [
    ...transitions.map(({ storageClass, time }) => `moved to ${storageClass} ${timeText(time)}`),
    ...(expires === undefined ? [] : [`removed ${timeText(expires)}`]),
    ...(noncurrentExpireDays === undefined
      ? []
      : [`versions that are not the newest removed ${days(noncurrentExpireDays)}`]),
    ...(abortUploadsDays === undefined ? [] : [`unfinished uploads aborted ${days(abortUploadsDays)}`]),
  ];
  const effect = does.length === 0 ? 'nothing that matters to an archive' : does.join('; ');
  return `${id === '' ? '(no id)' : id}${isEnabled ? '' : ' (switched off)'}: ${about}: ${effect}`;
}

/** @param nowMs milliseconds since 1970 */
export function uploadText({ key, begunMs }: PendingUpload, nowMs: number): string {
  return `${key}: begun ${ageText(begunMs, nowMs)} ago`;
}

export function ageText(thenMs: number, nowMs: number): string {
  return duration(Math.max(0, nowMs - thenMs) / 1000);
}

export function findingText({ verdict, text }: BucketFinding): string {
  return `${verdict}: ${text}`;
}
