import type { AddressInfo } from 'node:net';
import type { Config } from '../config/index.js';
import type { Logger } from '../contracts/logger.js';

/** What `up` needs of a gateway. */
export interface Gateway {
  /** Resolves when every listener takes connections. @throws SprawlError LISTEN_FAILED and others; nothing is left open then. */
  start(): Promise<void>;
  /** Drains and closes; idempotent. */
  stop(options?: { drainTimeoutMs?: number }): Promise<void>;
  /** Reads the password and ACL files again; keeps the old ones where the new ones are wrong. */
  reload(): Promise<void>;
  /** By the name of the listener; those that are off are absent. */
  readonly addresses: { readonly [listener: string]: AddressInfo | undefined };
}

/** What lib/gateway.ts exports for `up`. */
export interface GatewayModule {
  createGateway(options: { config: Config; logger: Logger }): Promise<Gateway>;
}

/** Loaded by name at the last moment: `--help` and `config check` need none of it. */
const GATEWAY_MODULE: string = '../gateway.js';

function parseGatewayModule(loaded: unknown): GatewayModule {
  if (typeof loaded === 'object' && loaded !== null && 'createGateway' in loaded) {
    if (typeof loaded.createGateway === 'function') return loaded as GatewayModule;
  }
  throw new TypeError(`${GATEWAY_MODULE} does not export createGateway`);
}

export async function loadGateway(): Promise<GatewayModule> {
  return parseGatewayModule(await import(GATEWAY_MODULE));
}
