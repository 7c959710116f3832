/** The door of this folder. */
export { createAuthorizer } from './authorizer.js';
export { updatePasswordFile } from './password-file-edit.js';
export { hashPassword } from './password-hash.js';
export { createSecurityProvider, readSecurityFiles, type SecurityProvider } from './provider.js';
