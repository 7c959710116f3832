import type { Authorizer, Identity, SubscribeGrant } from '../contracts/security.js';
import type { Access, AclPolicy } from './acl-policy.js';
import { intersectFilters } from './filter-set.js';
import { SECURITY_LIMITS } from './limits.js';
import { RecentMap } from './recent-map.js';
import { WildcardRule } from './wildcard-rule.js';

export interface ReplaceableAuthorizer extends Authorizer {
  /** Puts `policy` (undefined: no ACL) in force and raises `version`. */
  replace(policy: AclPolicy | undefined): void;
}

/**
 * Without a policy everything is allowed but publishing to topics that begin with `$`. With one, only what it lists; a filter that
 * begins with a wildcard never lists a topic that begins with `$`. `wildcards` holds with and without a policy.
 */
export function createAuthorizer(
  policy: AclPolicy | undefined,
  wildcards = new WildcardRule(),
): ReplaceableAuthorizer {
  return new PolicyAuthorizer(policy, wildcards);
}

class PolicyAuthorizer implements ReplaceableAuthorizer {
  #policy: AclPolicy | undefined;
  #version = 1;
  readonly #wildcards: WildcardRule;
  readonly #compiled = new RecentMap<string, Access>(SECURITY_LIMITS.compiledMaxCount);

  constructor(policy: AclPolicy | undefined, wildcards: WildcardRule) {
    this.#policy = policy;
    this.#wildcards = wildcards;
  }

  get version(): number {
    return this.#version;
  }

  replace(policy: AclPolicy | undefined): void {
    this.#policy = policy;
    this.#compiled.clear();
    this.#version++;
  }

  canPublish(who: Identity, topic: string): boolean {
    if (this.#policy === undefined) return !topic.startsWith('$');
    const { published, denied } = this.#accessOf(who, this.#policy);
    return published.matches(topic) && !denied.matches(topic);
  }

  canReceive(who: Identity, topic: string): boolean {
    if (this.#policy === undefined) return true;
    const { read, denied } = this.#accessOf(who, this.#policy);
    return read.matches(topic) && !denied.matches(topic);
  }

  canSubscribe(who: Identity, filter: string): SubscribeGrant {
    if (!this.#wildcards.allows(who, filter)) return 'wide';
    if (this.#policy === undefined) return 'all';
    const { read, denied } = this.#accessOf(who, this.#policy);
    if (!read.overlaps(filter)) return 'none';
    if (!denied.overlaps(filter)) return read.contains(filter) ? 'all' : 'some';
    const reachable = read.filters.some((readable) => {
      const common = intersectFilters(readable, filter);
      return common !== undefined && !denied.contains(common);
    });
    return reachable ? 'some' : 'none';
  }

  #accessOf(who: Identity, policy: AclPolicy): Access {
    // No name holds U+0000 [MQTT-1.5.4-2], so that the parts of the key cannot run into each other.
    const user = who.username === undefined ? '' : `u${who.username}`;
    const key = policy.dependsOnClientId ? `${user}\0${who.clientId}` : user;
    const known = this.#compiled.get(key);
    if (known !== undefined) return known;
    const access = policy.compile(who);
    this.#compiled.set(key, access);
    return access;
  }
}
