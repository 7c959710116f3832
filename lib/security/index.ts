/** The door of this folder. */
export { aclRuleSchema, parseAclRules, type AclRule } from './acl-rule.js';
export {
  createAuthenticator,
  type AuthenticatorOptions,
  type ReplaceableAuthenticator,
} from './authenticator.js';
export { createAuthorizer, type ReplaceableAuthorizer } from './authorizer.js';
export { usernameFault } from './password-file.js';
export { deleteFromPasswordFile, updatePasswordFile } from './password-file-edit.js';
export {
  DEFAULT_ITERATIONS,
  hashPassword,
  PASSWORD_FORMATS,
  type HashPasswordOptions,
  type PasswordFormat,
} from './password-hash.js';
export { createSecurityProvider, type SecurityOptions, type SecurityProvider } from './provider.js';
