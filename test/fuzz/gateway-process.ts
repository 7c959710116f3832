/** The gateway under attack, in a process of its own: what it logs as an error, and any bug, is told to the parent. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parseConfig } from '../../lib/config/index.js';
import type { Logger } from '../../lib/contracts/logger.js';
import { createGateway } from '../../lib/gateway.js';
import { COUNTER_NAMES, C } from '../../lib/telemetry/counters.js';
import type { FromGateway, GatewayState } from './gateway-host.js';

const BUG = 70;
const dataDir = mkdtempSync(join(tmpdir(), 'sprawl-fuzz-'));

function tell(message: FromGateway, then: () => void = () => undefined): void {
  if (process.send === undefined) then();
  else process.send(message, then);
}

function onBug(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  tell({ kind: 'fault', text: `a bug: ${text}` }, () => process.exit(BUG));
}

const ignore = (): void => undefined;
const logger: Logger = {
  trace: ignore,
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: (message, fields) => tell({ kind: 'fault', text: `logged ${message} ${JSON.stringify(fields)}` }),
  child: () => logger,
};

/** A user who logs in by SCRAM, so that the method is offered. */
function passwordFile(): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync('secret', salt, 4096, 32, 'sha256');
  const key = (text: string): Buffer => createHmac('sha256', salted).update(text).digest();
  const stored = createHash('sha256').update(key('Client Key')).digest();
  const fields = [salt, stored, key('Server Key')].map((bytes) => bytes.toString('base64'));
  const file = join(dataDir, 'passwords');
  writeFileSync(file, `fuzz:$scram-sha-256$4096$${fields.join('$')}\n`, { mode: 0o600 });
  return file;
}

/** Small limits, so that what is meant to be bounded is full soon and does not look like a leak. */
const config = parseConfig({
  overrides: {
    dataDir,
    listeners: { host: '127.0.0.1', mqttPort: 0, wsPort: false },
    http: { port: false },
    log: { level: 'silent' },
    sys: { intervalS: 1 },
    security: { allowAnonymous: true, passwordFile: passwordFile() },
    mqtt: { connectTimeoutMs: 1000, sessionExpiryMaxS: 1 },
    limits: { retainedMaxCount: 100, routeCacheMaxCount: 128, memoryMaxBytes: 512 * 1024 * 1024 },
    delivery: { clientQueueMaxCount: 100_000, clientQueueMaxBytes: 64 * 1024 * 1024 },
  },
});

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

function heapAfterCollection(): number {
  for (let times = 0; times < 2 && typeof collect === 'function'; times++) collect();
  return process.memoryUsage().heapUsed;
}

process.on('uncaughtException', onBug);
process.on('unhandledRejection', onBug);
process.on('exit', () => rmSync(dataDir, { recursive: true, force: true }));
process.on('disconnect', () => process.exit(0));

const gateway = await createGateway({ config, logger });
await gateway.start();

function state(): GatewayState {
  const { lanes } = gateway;
  const heapBytes = heapAfterCollection();
  const { rss, arrayBuffers } = process.memoryUsage();
  return {
    heapBytes,
    bufferBytes: arrayBuffers,
    rssBytes: rss,
    connections: lanes.connections.size,
    sessions: lanes.registry.count,
    subscriptions: lanes.router.subscriptionCount,
    budgetUsedBytes: lanes.budget.used,
    timers: lanes.timers.size,
    pendingWills: lanes.env.gauges.pendingWills,
    counters: Object.fromEntries(COUNTER_NAMES.map((name) => [name, lanes.counters[C[name]] ?? 0])),
  };
}

process.on('message', (question) => {
  if (question === 'state') tell({ kind: 'state', state: state() });
  if (question === 'stop') void gateway.stop({ drainTimeoutMs: 1000 }).then(() => process.exit(0));
});
tell({ kind: 'ready', port: gateway.addresses['mqtt']?.port ?? 0 });
