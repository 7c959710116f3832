/**
 * Topic names and filters as text [MQTT 5, sections 4.7 and 4.8]. Limits that are a gateway's own choice (levels, bytes)
 * are checked elsewhere.
 */
import { ProtocolError, quote } from './protocol-error.js';
import { ReasonCode } from './reason-code.js';

/** A string of any packet is at most this long in UTF-8 [MQTT-4.7.3-3]. */
export const STRING_MAX_BYTES = 65_535;
const UTF8_MAX_BYTES_PER_UTF16_UNIT = 3;

const NUL = 0x00;
const HASH = 0x23;
const PLUS = 0x2b;
const SLASH = 0x2f;

const SHARE_PREFIX = '$share/';

export interface SharedFilter {
  /** The ShareName. */
  group: string;
  /** What the group subscribes to, without `$share/<group>/`. */
  filter: string;
}

/** Not empty [MQTT-4.7.3-1], no U+0000 [MQTT-4.7.3-2], at most 65535 bytes [MQTT-4.7.3-3], no wildcards [MQTT-4.7.1-1]. */
export function isValidTopicName(topic: string): boolean {
  if (!hasTopicLength(topic)) return false;
  for (let index = 0; index < topic.length; index++) {
    const unit = topic.charCodeAt(index);
    if (unit === PLUS || unit === HASH || unit === NUL) return false;
  }
  return true;
}

/**
 * As for a name, but `+` is legal as a whole level [MQTT-4.7.1-2], and `#` as a whole level that is the last
 * [MQTT-4.7.1-1]. Says nothing about what `$share/` asks for beyond that: see `parseSharedFilter`.
 */
export function isValidTopicFilter(filter: string): boolean {
  if (!hasTopicLength(filter)) return false;
  const last = filter.length - 1;
  for (let index = 0; index <= last; index++) {
    const unit = filter.charCodeAt(index);
    if (unit === NUL) return false;
    if (unit !== PLUS && unit !== HASH) continue;
    if (index > 0 && filter.charCodeAt(index - 1) !== SLASH) return false;
    if (index < last && (unit === HASH || filter.charCodeAt(index + 1) !== SLASH)) return false;
  }
  return true;
}

/**
 * The parts of `$share/<group>/<filter>`, or undefined where `filter` does not start with `$share/` and so is an ordinary one.
 * @throws ProtocolError 0x8f where the group is empty or holds a wildcard, or no valid filter follows it [MQTT-4.8.2-1, MQTT-4.8.2-2].
 */
export function parseSharedFilter(filter: string): SharedFilter | undefined {
  if (!isShared(filter)) return undefined;
  const shared = splitSharedFilter(filter);
  if (shared === undefined) {
    throw new ProtocolError(
      ReasonCode.topicFilterInvalid,
      `shared subscription ${quote(filter)} is not $share/<name without wildcards>/<topic filter>`,
    );
  }
  return shared;
}

/** Whether `filter` asks for a shared subscription, a valid one or not. */
export function isShared(filter: string): boolean {
  return filter.startsWith(SHARE_PREFIX);
}

/** Whether SUBSCRIBE and UNSUBSCRIBE may carry `filter`: a valid filter that, if it starts with `$share/`, is a valid shared one. */
export function isValidSubscription(filter: string): boolean {
  if (!isValidTopicFilter(filter)) return false;
  return !isShared(filter) || splitSharedFilter(filter) !== undefined;
}

/**
 * Whether a message on `topic` is for a subscription to `filter`, both valid, `filter` without `$share/<group>/`. Written to be
 * read: what matches faster is tested against it. Wildcards in the first level do not match topics that start with `$` [MQTT-4.7.2-1].
 */
export function topicMatchesFilter(topic: string, filter: string): boolean {
  const names = topic.split('/');
  const patterns = filter.split('/');
  if (topic.startsWith('$') && (patterns[0] === '+' || patterns[0] === '#')) return false;
  for (const [index, pattern] of patterns.entries()) {
    // `a/#` also matches `a` itself, hence before the look at the topic's level [MQTT 5, section 4.7.1.2].
    if (pattern === '#') return true;
    if (index >= names.length) return false;
    if (pattern !== '+' && pattern !== names[index]) return false;
  }
  return names.length === patterns.length;
}

/** Levels of a topic name or filter: `a/b` has two, `/` has two, both empty. */
export function topicLevels(topic: string): number {
  let levels = 1;
  for (let index = 0; index < topic.length; index++) {
    if (topic.charCodeAt(index) === SLASH) levels++;
  }
  return levels;
}

/** Levels of a valid filter before the first `+` or `#`: of `a/b/+/c` two, of `#` none, of `/#` one, which is empty. Infinity without any. */
export function levelsBeforeWildcard(filter: string): number {
  let levels = 0;
  for (let index = 0; index < filter.length; index++) {
    const unit = filter.charCodeAt(index);
    if (unit === PLUS || unit === HASH) return levels;
    if (unit === SLASH) levels++;
  }
  return Infinity;
}

function splitSharedFilter(filter: string): SharedFilter | undefined {
  const slash = filter.indexOf('/', SHARE_PREFIX.length);
  if (slash === -1) return undefined;
  const group = filter.slice(SHARE_PREFIX.length, slash);
  const rest = filter.slice(slash + 1);
  return isValidTopicName(group) && isValidTopicFilter(rest) ? { group, filter: rest } : undefined;
}

function hasTopicLength(text: string): boolean {
  if (text.length === 0) return false;
  if (text.length <= STRING_MAX_BYTES / UTF8_MAX_BYTES_PER_UTF16_UNIT) return true;
  return Buffer.byteLength(text) <= STRING_MAX_BYTES;
}
