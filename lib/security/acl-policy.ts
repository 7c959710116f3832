import type { Identity } from '../contracts/security.js';
import type { AclFile } from './acl-file.js';
import { AclAccess, grantsOf, ruleApplies, type AclGrant, type AclRule } from './acl-rule.js';
import { fillAllow, fillDeny } from './acl-template.js';
import { FilterSet } from './filter-set.js';

/** What one identity may do: published or read is what its set matches and `denied` does not. */
export interface Access {
  readonly published: FilterSet;
  readonly read: FilterSet;
  readonly denied: FilterSet;
}

/** An ACL file and access rules together: what either allows is allowed, what either denies is denied. */
export class AclPolicy {
  readonly #file: AclFile | undefined;
  readonly #rules: readonly { readonly rule: AclRule; readonly grants: readonly AclGrant[] }[];
  /** Whether two clients of one user may differ. */
  readonly dependsOnClientId: boolean;

  constructor(file: AclFile | undefined, rules: readonly AclRule[]) {
    this.#file = file;
    this.#rules = rules.map((rule) => ({ rule, grants: grantsOf(rule) }));
    const namesClient = (grant: AclGrant) => grant.template && grant.filter.includes('%c');
    this.dependsOnClientId =
      (file?.everyone.some(namesClient) ?? false) ||
      this.#rules.some(({ rule, grants }) => rule.clients !== undefined || grants.some(namesClient));
  }

  compile(who: Identity): Access {
    const access: Access = { published: new FilterSet(), read: new FilterSet(), denied: new FilterSet() };
    if (this.#file !== undefined) {
      const own = who.username === undefined ? this.#file.anonymous : this.#file.users.get(who.username);
      for (const grant of own ?? []) addGrant(access, grant, who);
      for (const grant of this.#file.everyone) addGrant(access, grant, who);
    }
    for (const { rule, grants } of this.#rules) {
      if (ruleApplies(rule, who)) for (const grant of grants) addGrant(access, grant, who);
    }
    return access;
  }
}

function addGrant(access: Access, grant: AclGrant, who: Identity): void {
  if (grant.access === AclAccess.deny) {
    const filters = grant.template ? fillDeny(grant.filter, who) : [grant.filter];
    for (const filter of filters) access.denied.add(filter);
    return;
  }
  const filter = grant.template ? fillAllow(grant.filter, who) : grant.filter;
  if (filter === undefined) return;
  if (grant.access !== AclAccess.read) access.published.add(filter);
  if (grant.access !== AclAccess.write) access.read.add(filter);
}
