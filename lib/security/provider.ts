import type { Clock } from '../contracts/clock.js';
import { SprawlError } from '../contracts/errors.js';
import type { Logger } from '../contracts/logger.js';
import type { Authorizer } from '../contracts/security.js';
import { readAclFile, type AclFile } from './acl-file.js';
import { AclPolicy } from './acl-policy.js';
import type { AclRule } from './acl-rule.js';
import {
  createAuthenticator,
  type AddressedAuthenticator,
  type IsRevoked,
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
   * Reads the files again. @returns puts both in force, together, and says who may not stay
   * @throws SprawlError PASSWORD_FILE_INVALID or ACL_FILE_INVALID.
   */
  prepareReload(): Promise<() => IsRevoked>;
}

/** @throws SprawlError PASSWORD_FILE_INVALID or ACL_FILE_INVALID. */
export async function createSecurityProvider(options: SecurityOptions): Promise<SecurityProvider> {
  const files = await readSecurityFiles(options);
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
  const authorizer = createAuthorizer(
    policyOf(files.acl, options.aclRules),
    new WildcardRule(options.wildcards),
  );
  return new FileSecurityProvider(options, authenticator, authorizer);
}

class FileSecurityProvider implements SecurityProvider {
  readonly authenticator: ReplaceableAuthenticator;
  readonly authorizer: ReplaceableAuthorizer;
  readonly #options: SecurityOptions;

  constructor(
    options: SecurityOptions,
    authenticator: ReplaceableAuthenticator,
    authorizer: ReplaceableAuthorizer,
  ) {
    this.#options = options;
    this.authenticator = authenticator;
    this.authorizer = authorizer;
  }

  async prepareReload(): Promise<() => IsRevoked> {
    const { aclRules, logger } = this.#options;
    const { passwords, acl } = await readSecurityFiles(this.#options);
    const policy = policyOf(acl, aclRules);
    return () => {
      const isRevoked = this.authenticator.replace(passwords);
      this.authorizer.replace(policy);
      logger?.debug('password and ACL files were read again', { users: passwords?.size });
      return isRevoked;
    };
  }
}

type SecurityFileOptions = Pick<SecurityOptions, 'passwordFile' | 'aclFile' | 'logger'>;

/** @throws SprawlError PASSWORD_FILE_INVALID or ACL_FILE_INVALID, with the key of the configuration that names the file */
export async function readSecurityFiles({ passwordFile, aclFile, logger }: SecurityFileOptions): Promise<{
  readonly passwords: PasswordTable | undefined;
  readonly acl: AclFile | undefined;
}> {
  let passwords: PasswordTable | undefined;
  if (passwordFile !== undefined) {
    const { table, worldReadable } = await readPasswordFile(passwordFile).catch(
      named('security.passwordFile'),
    );
    if (worldReadable)
      logger?.warn('the password file can be read by every user of the machine: chmod 600 it', {
        file: passwordFile,
      });
    passwords = table;
  }
  const acl = aclFile === undefined ? undefined : await readAclFile(aclFile).catch(named('security.aclFile'));
  return { passwords, acl };
}

function policyOf(acl: AclFile | undefined, rules: readonly AclRule[] = []): AclPolicy | undefined {
  return acl === undefined && rules.length === 0 ? undefined : new AclPolicy(acl, rules);
}

function named(key: string): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof SprawlError)) throw error;
    const { code, message, details } = error;
    throw new SprawlError(code, `${key}: ${message}`, { details, cause: error });
  };
}
