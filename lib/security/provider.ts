import type { Clock } from '../contracts/clock.js';
import type { Logger } from '../contracts/logger.js';
import type { Authorizer } from '../contracts/security.js';
import { readAclFile, type AclFile } from './acl-file.js';
import { AclPolicy } from './acl-policy.js';
import type { AclRule } from './acl-rule.js';
import {
  createAuthenticator,
  type AddressedAuthenticator,
  type ReplaceableAuthenticator,
} from './authenticator.js';
import { createAuthorizer, type ReplaceableAuthorizer } from './authorizer.js';
import { readPasswordFile, type PasswordTable } from './password-file.js';
import { WildcardRule, type WildcardRuleOptions } from './wildcard-rule.js';

export interface SecurityOptions {
  /** Whether clients without a user name may connect, and, without a password file, clients with any. */
  readonly allowAnonymous: boolean;
  readonly passwordFile?: string | undefined;
  readonly aclFile?: string | undefined;
  /** Rules of the configuration; an empty list is none. */
  readonly aclRules?: readonly AclRule[] | undefined;
  /** Default: wildcards may stand anywhere. */
  readonly wildcards?: WildcardRuleOptions | undefined;
  readonly clock: Clock;
  readonly logger?: Logger | undefined;
  /** Default: the operating system's. */
  readonly randomBytes?: ((size: number) => Uint8Array) | undefined;
}

/** The answers of this folder, kept current with its files. Both objects stay the same through reloads. */
export interface SecurityProvider {
  readonly authenticator: AddressedAuthenticator;
  readonly authorizer: Authorizer;
  /**
   * Reads the files again. Both are in force together, or, where one is at fault, neither.
   * @throws SprawlError PASSWORD_FILE_INVALID or ACL_FILE_INVALID; what was in force stays.
   */
  reload(): Promise<void>;
}

/** @throws SprawlError PASSWORD_FILE_INVALID or ACL_FILE_INVALID. */
export async function createSecurityProvider(options: SecurityOptions): Promise<SecurityProvider> {
  const files = await readFiles(options);
  if (!options.allowAnonymous && options.passwordFile === undefined) {
    options.logger?.warn('nobody can log in: anonymous clients are refused and there is no password file');
  }
  const { allowAnonymous, clock, logger, randomBytes } = options;
  const authenticator = createAuthenticator({
    allowAnonymous,
    passwords: files.passwords,
    clock,
    logger,
    randomBytes,
  });
  const authorizer = createAuthorizer(files.policy, new WildcardRule(options.wildcards));
  return new FileSecurityProvider(options, authenticator, authorizer);
}

class FileSecurityProvider implements SecurityProvider {
  readonly authenticator: ReplaceableAuthenticator;
  readonly authorizer: ReplaceableAuthorizer;
  readonly #options: SecurityOptions;
  #reloading: Promise<void> = Promise.resolve();

  constructor(
    options: SecurityOptions,
    authenticator: ReplaceableAuthenticator,
    authorizer: ReplaceableAuthorizer,
  ) {
    this.#options = options;
    this.authenticator = authenticator;
    this.authorizer = authorizer;
  }

  reload(): Promise<void> {
    // One after the other, so that the files as they were read last are what stays in force.
    const turn = this.#reloading.then(() => this.#reload());
    this.#reloading = turn.catch(() => undefined);
    return turn;
  }

  async #reload(): Promise<void> {
    const files = await readFiles(this.#options);
    this.authenticator.replace(files.passwords);
    this.authorizer.replace(files.policy);
    this.#options.logger?.info('password and ACL files were read again', { users: files.passwords?.size });
  }
}

async function readFiles(
  options: SecurityOptions,
): Promise<{ passwords: PasswordTable | undefined; policy: AclPolicy | undefined }> {
  const { passwordFile, aclFile, aclRules = [], logger } = options;
  let passwords: PasswordTable | undefined;
  if (passwordFile !== undefined) {
    const { table, worldReadable } = await readPasswordFile(passwordFile);
    if (worldReadable)
      logger?.warn('the password file can be read by every user of the machine: chmod 600 it', {
        file: passwordFile,
      });
    passwords = table;
  }
  const acl: AclFile | undefined = aclFile === undefined ? undefined : await readAclFile(aclFile);
  return {
    passwords,
    policy: acl === undefined && aclRules.length === 0 ? undefined : new AclPolicy(acl, aclRules),
  };
}
