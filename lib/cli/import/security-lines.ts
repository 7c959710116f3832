import type { Directive } from './directive.js';
import { type Listener, reachOf } from './listener.js';
import { SECURITY_RULES } from './listener-rules.js';
import { notUnderstood, taken, takenWithCare, unsupported, type Outcome } from './outcome.js';
import { booleanOf } from './rule.js';
import type { Scope } from './scope.js';

/** Who may connect and do what, over all listeners that are taken over: where they differ the strictest. */
export interface SecurityChoice {
  readonly passwordFile: string | undefined;
  readonly aclFile: string | undefined;
  readonly allowAnonymous: boolean;
  /** Names of options that are not the same for all listeners. */
  readonly differing: ReadonlySet<string>;
}

const ONE_FOR_ALL = 'one for all listeners, which differ there';

/** Where the file names no listener mosquitto lets everybody in, from this machine only. */
export function chooseSecurity(taken: readonly Listener[], scope: Scope): SecurityChoice {
  // Of several files the one that guards what most can reach: another one may give strangers more than before.
  const listeners = taken.toSorted((left, right) => reachOf(right.host) - reachOf(left.host));
  const valuesOf = (name: string): (string | undefined)[] =>
    listeners.map(({ section }) => scope.securityOf(section).get(name)?.value);
  const files = { password_file: valuesOf('password_file'), acl_file: valuesOf('acl_file') };
  const anonymous = valuesOf('allow_anonymous').map((value) =>
    value === undefined ? scope.isLocal : booleanOf(value) === true,
  );
  const differing = Object.entries({ ...files, allow_anonymous: anonymous })
    .filter(([, values]) => new Set<unknown>(values).size > 1)
    .map(([name]) => name);
  return {
    passwordFile: files.password_file.find((value) => value !== undefined),
    aclFile: files.acl_file.find((value) => value !== undefined),
    allowAnonymous: anonymous.length > 0 && anonymous.every(Boolean),
    differing: new Set(differing),
  };
}

function fileLine(value: string, chosen: string | undefined, key: string, isDiffering: boolean): Outcome {
  if (value === '') return notUnderstood('the name of the file is missing');
  if (value !== chosen)
    return unsupported(
      'there is one such file for all listeners',
      `add what it says to ${chosen ?? 'that file'}`,
    );
  return isDiffering ? takenWithCare({ [key]: value }, ONE_FOR_ALL) : taken({ [key]: value });
}

/** What becomes of a security option; undefined where the name is none. */
export function judgeSecurityLine({ name, value }: Directive, choice: SecurityChoice): Outcome | undefined {
  const isDiffering = choice.differing.has(name);
  switch (name) {
    case 'password_file':
      return fileLine(value, choice.passwordFile, 'security.passwordFile', isDiffering);
    case 'acl_file':
      return fileLine(value, choice.aclFile, 'security.aclFile', isDiffering);
    case 'allow_anonymous': {
      if (booleanOf(value) === undefined)
        return notUnderstood(`${JSON.stringify(value)} is neither true nor false`);
      const settings = { 'security.allowAnonymous': choice.allowAnonymous };
      return isDiffering ? takenWithCare(settings, ONE_FOR_ALL) : taken(settings);
    }
    default:
      return SECURITY_RULES[name]?.(value);
  }
}
