/** A gateway of this process for tests with real clients: loopback, ports chosen by the system, no log. */
import { type ListenerName, parseConfig } from '../../lib/config/index.js';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '../../lib/contracts/logger.js';
import { createGateway, type Gateway } from '../../lib/gateway.js';
import type { Owner } from '../support/raw-client.js';

type Section = Readonly<Record<string, unknown>>;
export type Overrides = Readonly<Record<string, Section>>;

export interface TestGateway {
  readonly gateway: Gateway;
  /** @throws where the listener is off. */
  port(listener: ListenerName): number;
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

/** Started, and stopped when `owner` ends. @param overrides keys of the configuration by section. */
export async function startTestGateway(owner: Owner, overrides: Overrides = {}): Promise<TestGateway> {
  const { listeners, ...others } = overrides;
  const dataDir = mkdtempSync(join(tmpdir(), 'sprawl-edge-'));
  owner.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const config = parseConfig({
    overrides: {
      dataDir,
      http: { port: false },
      log: { level: 'silent' },
      ...others,
      listeners: { host: '127.0.0.1', mqttPort: 0, wsPort: 0, ...listeners },
    },
  });
  const gateway = await createGateway({ config, logger: quiet });
  owner.teardown(() => gateway.stop({ drainTimeoutMs: 0 }));
  await gateway.start();
  return {
    gateway,
    port: (listener) => {
      const address = gateway.addresses[listener];
      if (address === undefined) throw new Error(`the listener ${listener} is off`);
      return address.port;
    },
  };
}
