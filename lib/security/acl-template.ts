/**
 * Filters with %c (client id) and %u (user name). Both names are chosen outside, so that neither may turn a filter into one
 * that allows more than its text says, or denies less.
 */
import type { Identity } from '../contracts/security.js';

const PLACEHOLDER = /%[cu]/g;

/** A name that fills a part of one level and nothing else. */
function isPlain(name: string): boolean {
  return name !== '' && !/[+#/]/.test(name);
}

function nameFor(placeholder: string, who: Identity): string | undefined {
  return placeholder === '%c' ? who.clientId : who.username;
}

/** Undefined where `who` has no user name and the filter asks for one. */
function fill(filter: string, who: Identity): { text: string; plain: boolean } | undefined {
  let missing = false;
  let plain = true;
  const text = filter.replace(PLACEHOLDER, (placeholder) => {
    const name = nameFor(placeholder, who);
    missing ||= name === undefined;
    plain &&= name !== undefined && isPlain(name);
    return name ?? '';
  });
  return missing ? undefined : { text, plain };
}

/**
 * What an allowing template means for `who`: undefined (nothing) where a name holds `+`, `#` or `/` or is empty, where a user name is
 * asked for and there is none, and where only the name would make the filter begin with `$`.
 */
export function fillAllow(filter: string, who: Identity): string | undefined {
  const filled = fill(filter, who);
  if (filled === undefined || !filled.plain) return undefined;
  return filled.text.startsWith('$') && !filter.startsWith('$') ? undefined : filled.text;
}

/**
 * What a denying template means for `who`. A name that is not plain may not slip out of a denial: everything from its level on is denied.
 */
export function fillDeny(filter: string, who: Identity): readonly string[] {
  const filled = fill(filter, who);
  if (filled === undefined) return [];
  if (filled.plain) return [filled.text];
  const kept: string[] = [];
  for (const level of filter.split('/')) {
    const part = fill(level, who);
    if (part === undefined || !part.plain) break;
    kept.push(part.text);
  }
  const denied = [[...kept, '#'].join('/')];
  // `#` alone leaves out the topics that begin with $.
  if (kept.length === 0 && filled.text.startsWith('$')) denied.push(`${filled.text.split('/')[0] ?? ''}/#`);
  return denied;
}
