import { z } from 'zod';
import { SprawlError } from '../contracts/errors.js';
import type { Identity } from '../contracts/security.js';
import { isValidTopicFilter, topicLevels } from '../protocol/topic.js';
import { SECURITY_LIMITS } from './limits.js';

/** What a line of an ACL says about the topics of its filter. */
export const AclAccess = { read: 'read', write: 'write', readwrite: 'readwrite', deny: 'deny' } as const;
export type AclAccess = (typeof AclAccess)[keyof typeof AclAccess];

/** One filter of an ACL; a template may hold %c and %u, which stand for the client id and the user name. */
export interface AclGrant {
  readonly access: AclAccess;
  readonly filter: string;
  readonly template: boolean;
}

/** What is wrong with a filter of an ACL; undefined: nothing. */
export function filterFault(filter: string): string | undefined {
  if (!isValidTopicFilter(filter)) return 'is not a valid topic filter';
  if (topicLevels(filter) <= SECURITY_LIMITS.filterLevelsMaxCount) return undefined;
  return `has ${topicLevels(filter)} levels, more than ${SECURITY_LIMITS.filterLevelsMaxCount}`;
}

const filterSchema = z.string().superRefine((filter, context) => {
  const fault = filterFault(filter);
  if (fault !== undefined) context.addIssue({ code: 'custom', message: fault });
});
const readFilterSchema = filterSchema.refine((filter) => !filter.startsWith('$share/'), {
  error: 'must name the topics themselves, without $share/<group>/',
});
const namesSchema = z.array(z.string()).min(1);

/** One rule of the configuration's list of access rules. */
export const aclRuleSchema = z
  .strictObject({
    users: namesSchema
      .optional()
      .describe('User names the rule is for, compared exactly. Without it: every user.'),
    clients: namesSchema
      .optional()
      .describe(
        'Client ids the rule is for, compared exactly. A client chooses its own id: use it beside users.',
      ),
    anonymous: z
      .boolean()
      .optional()
      .describe(
        'true: also (without users: only) clients without a user name. false: never those. Default: those too, unless users is given.',
      ),
    publish: z
      .array(filterSchema)
      .optional()
      .describe('Topic filters that may be published to; %c and %u are replaced.'),
    subscribe: z
      .array(readFilterSchema)
      .optional()
      .describe('Topic filters that may be subscribed to and received; %c and %u are replaced.'),
    deny: z
      .array(filterSchema)
      .optional()
      .describe('Topic filters that may neither be published to nor received, whatever other rules allow.'),
  })
  .refine(
    (rule) =>
      [rule.publish, rule.subscribe, rule.deny].some(
        (filters) => filters !== undefined && filters.length > 0,
      ),
    {
      error: 'needs at least one filter in publish, subscribe or deny',
    },
  );
type Mutable = z.infer<typeof aclRuleSchema>;

/** One rule, as it is passed on: frozen with the rest of the configuration. */
export type AclRule = {
  readonly [K in keyof Mutable]: Mutable[K] extends (infer T)[] | undefined
    ? readonly T[] | undefined
    : Mutable[K];
};

/** @throws SprawlError CONFIG_INVALID that names the first rule and field at fault. */
export function parseAclRules(value: unknown, name = 'acl'): readonly AclRule[] {
  const result = z.array(aclRuleSchema).safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = (issue?.path ?? [])
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('');
  throw new SprawlError(
    'CONFIG_INVALID',
    `${name}${path} ${issue?.message ?? 'is not a list of access rules'}`,
    {
      details: { path: `${name}${path}` },
    },
  );
}

/** Whether a rule speaks about `who`: (a listed user, or anonymous where asked) and a listed client. */
export function ruleApplies(rule: AclRule, who: Identity): boolean {
  if (rule.clients !== undefined && !rule.clients.includes(who.clientId)) return false;
  if (who.username === undefined) return rule.anonymous ?? rule.users === undefined;
  if (rule.users !== undefined) return rule.users.includes(who.username);
  return rule.anonymous !== true;
}

export function grantsOf(rule: AclRule): AclGrant[] {
  const grants = (filters: readonly string[] | undefined, access: AclAccess): AclGrant[] =>
    (filters ?? []).map((filter) => ({ access, filter, template: /%[cu]/.test(filter) }));
  return [
    ...grants(rule.publish, AclAccess.write),
    ...grants(rule.subscribe, AclAccess.read),
    ...grants(rule.deny, AclAccess.deny),
  ];
}
