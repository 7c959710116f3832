/**
 * What two topic filters both match is again what one filter matches, or nothing:
 *
 *     site/#   +/kitchen/+     site/kitchen/+
 *     a/#      a               a                  `a/#` matches `a` too [MQTT 5, section 4.7.1.2]
 *     a/+      b/#             nothing
 *     +/x      $SYS/#          nothing            a wildcard at the first level matches no topic with `$` [MQTT-4.7.2-1]
 */
import { isValidTopicFilter } from '../../lib/protocol/topic.js';

/**
 * The filter of exactly those topics that both match; undefined where there are none.
 * @param a a valid filter without `$share/<group>/`, as `b`
 */
export function intersect(a: string, b: string): string | undefined {
  if (a === b || b === '#') return isWide(b) && a.startsWith('$') ? undefined : a;
  if (a === '#') return b.startsWith('$') ? undefined : b;
  const left = a.split('/');
  const right = b.split('/');
  if ((isWide(a) && b.startsWith('$')) || (isWide(b) && a.startsWith('$'))) return undefined;
  const levels: string[] = [];
  for (let depth = 0; ; depth++) {
    const one = left[depth];
    const other = right[depth];
    if (one === '#') return joined(levels, right, depth);
    if (other === '#') return joined(levels, left, depth);
    if (one === undefined || other === undefined) return one === other ? joined(levels, [], 0) : undefined;
    if (one !== '+' && other !== '+' && one !== other) return undefined;
    levels.push(one === '+' ? other : one);
  }
}

function isWide(filter: string): boolean {
  return filter.startsWith('+') || filter.startsWith('#');
}

/** Where it is no valid filter, only topics would match that are empty or too long: there are none. */
function joined(levels: string[], rest: readonly string[], from: number): string | undefined {
  const filter = [...levels, ...rest.slice(from)].join('/');
  return isValidTopicFilter(filter) ? filter : undefined;
}
