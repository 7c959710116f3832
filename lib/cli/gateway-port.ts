import type { AddressInfo } from 'node:net';
import type { Config } from '../config/index.js';
import type { Logger } from '../contracts/logger.js';

/** What `up` needs of a gateway. */
export interface Gateway {
  /** Resolves when every listener takes connections. @throws SprawlError LISTEN_FAILED and others; nothing is left open then. */
  start(): Promise<void>;
  /** Drains and closes; idempotent. */
  stop(options?: { drainTimeoutMs?: number }): Promise<void>;
  /** Reads the password and ACL files and the keys again; keeps all the old ones where one of the new ones is wrong. */
  reload(): Promise<void>;
  /** By the name of the listener; those that are off are absent. */
  readonly addresses: { readonly [listener: string]: AddressInfo | undefined };
}

/** What lib/gateway.ts exports for `up`. */
export interface GatewayModule {
  createGateway(options: { config: Config; logger: Logger }): Promise<Gateway>;
}

/** Loads the gateway at the last moment: `--help` and `config check` need none of it. */
export function loadGateway(): Promise<GatewayModule> {
  return import('../gateway.js');
}
