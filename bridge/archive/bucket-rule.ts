/** A lifecycle rule of a bucket, as much of it as matters to an archive, and which of its keys it is about. */
import { IDENTITY_KEY } from './relay/store-identity.js';

/** When a rule does something: so many days after, or on a day, and then at once with whatever comes later. */
export type RuleTime = { readonly afterDays: number } | { readonly onDay: string };

export interface BucketRule {
  /** Empty: it has none. */
  readonly id: string;
  readonly isEnabled: boolean;
  /** It is about keys of the bucket that begin with this; empty: about all. */
  readonly prefix: string;
  /** It is only about objects with this tag. The archive gives none. */
  readonly tags: readonly string[];
  /** It is only about objects of some size. */
  readonly sizes: readonly string[];
  readonly expires?: RuleTime | undefined;
  readonly transitions: readonly { readonly storageClass: string; readonly time: RuleTime }[];
  readonly noncurrentExpireDays?: number | undefined;
  readonly abortUploadsDays?: number | undefined;
}

export type Versioning = 'off' | 'on' | 'suspended' | 'unknown';

/** What is known of a bucket. */
export interface BucketState {
  readonly rules: readonly BucketRule[];
  readonly versioning: Versioning;
}

/** Where an archive has what in its bucket: prefixes of keys of the bucket. */
export interface ArchiveAreas {
  readonly all: string;
  readonly manifest: string;
  readonly data: string;
  /** One object: which store it is, for gateways that archive through others. */
  readonly identity: string;
}

/** @param prefix of the archive, without a `/` at its end; empty: none */
export function areasOf(prefix: string): ArchiveAreas {
  const all = prefix === '' ? '' : `${prefix}/`;
  return { all, manifest: `${all}manifest/`, data: `${all}data/`, identity: `${all}${IDENTITY_KEY}` };
}

/** Whether the rule may be about some of what is below `area`. */
export function touches({ prefix }: Pick<BucketRule, 'prefix'>, area: string): boolean {
  return prefix.startsWith(area) || area.startsWith(prefix);
}

/** Whether the rule is about everything below `area`. */
export function covers({ isEnabled, prefix, tags, sizes }: BucketRule, area: string): boolean {
  return isEnabled && tags.length === 0 && sizes.length === 0 && area.startsWith(prefix);
}
