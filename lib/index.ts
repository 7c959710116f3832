/** The package's door. */
export { parseConfig, resolveConfig } from './config/index.js';
export type { Config, ConfigSources, ResolvedConfig } from './config/index.js';
export { SprawlError } from './contracts/errors.js';
export type { ErrorCode, ErrorKind } from './contracts/errors.js';
export type { LogFields, Logger, LogLevel } from './contracts/logger.js';
export { Aedes } from './embedded.js';
export type { EmbeddedOptions } from './embedded.js';
export { createGateway } from './gateway.js';
export type { Gateway, GatewayOptions, StopOptions } from './gateway.js';
