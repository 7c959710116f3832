/** Topic filters, written anew: a mistake of the broker's matcher must not be repeated by the one that judges it. */

export interface ParsedFilter {
  /** ShareName of `$share/<group>/<filter>`. */
  readonly group: string | undefined;
  readonly levels: readonly string[];
}

export function parseFilter(text: string): ParsedFilter {
  const levels = text.split('/');
  return levels[0] === '$share' && levels.length >= 3
    ? { group: levels[1], levels: levels.slice(2) }
    : { group: undefined, levels };
}

/** [MQTT 5, section 4.7] */
export function matches({ levels }: ParsedFilter, topic: string): boolean {
  const names = topic.split('/');
  const [first] = levels;
  if (topic.startsWith('$') && (first === '#' || first === '+')) return false;
  const open = levels.at(-1) === '#';
  const fixed = open ? levels.length - 1 : levels.length;
  if (open ? names.length < fixed : names.length !== fixed) return false;
  for (let index = 0; index < fixed; index++) {
    if (levels[index] !== '+' && levels[index] !== names[index]) return false;
  }
  return true;
}
