/** Starts the gateway of this project for a test: every port chosen by the system, no `$SYS` but once a second, no log. */
import type { AddressInfo } from 'node:net';
import { parseConfig, type Config } from '../../lib/config/index.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { RunningServer, ServerFiles } from './server.js';

interface Gateway {
  start(): Promise<void>;
  stop(options?: { drainTimeoutMs?: number }): Promise<void>;
  readonly addresses: { readonly [listener: string]: AddressInfo | undefined };
}
interface GatewayModule {
  createGateway(options: { config: Config; logger: Logger }): Gateway | Promise<Gateway>;
}

const GATEWAY_MODULE: string = '../../lib/gateway.js';

function parseModule(loaded: unknown): GatewayModule {
  if (typeof loaded === 'object' && loaded !== null && 'createGateway' in loaded)
    return loaded as GatewayModule;
  throw new TypeError(`${GATEWAY_MODULE} exports no createGateway`);
}

const ignore = (): void => undefined;
const quiet: Logger = {
  trace: ignore,
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  child: () => quiet,
};

const given = (values: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

function overridesOf(options: ServerFiles): Record<string, unknown> {
  const extra = options.gateway ?? {};
  return {
    dataDir: options.dataDir,
    ...extra,
    listeners: {
      host: '127.0.0.1',
      mqttPort: 0,
      wsPort: options.websocket === true ? 0 : false,
      ...extra['listeners'],
    },
    http: { port: false, ...extra['http'] },
    sys: { intervalS: 1, ...extra['sys'] },
    log: { level: 'silent', ...extra['log'] },
    security: given({
      allowAnonymous: options.anonymous ?? true,
      passwordFile: options.passwordFile,
      aclFile: options.aclFile,
      ...extra['security'],
    }),
    mqtt: given({
      packetMaxBytes: options.packetMaxBytes,
      receiveMaximum: options.receiveMaximum,
      keepAliveMaxS: options.keepAliveMaxS,
      topicAliasMaximum: options.topicAliasMaximum,
      retain: options.retain,
      ...extra['mqtt'],
    }),
  };
}

export async function startGateway(options: ServerFiles): Promise<RunningServer> {
  const { createGateway } = parseModule(await import(GATEWAY_MODULE));
  const config = parseConfig({ overrides: overridesOf(options) });
  const gateway = await createGateway({ config, logger: quiet });
  await gateway.start();
  return {
    port: gateway.addresses['mqtt']?.port ?? 0,
    wsPort: gateway.addresses['ws']?.port ?? 0,
    stop: () => gateway.stop({ drainTimeoutMs: 0 }),
  };
}
