/** What a gateway would have after a restart on a data folder: the store opened with lanes that nobody connects to. */
import { randomBytes } from 'node:crypto';
import { parseConfig } from '../../lib/config/index.js';
import { Lanes } from '../../lib/broker/lanes.js';
import type { SessionImage } from '../../lib/contracts/store.js';
import { GatewayClock, realClock, realTimers } from '../../lib/real-clock.js';
import { createSecurityProvider, type SecurityProvider } from '../../lib/security/index.js';
import { DiskStore } from '../../storage/disk/disk-store.js';
import { nodeFileSystem } from '../../storage/files/node-file-system.js';
import type { Loss } from '../../storage/log/recovery.js';
import { readMessageRecord } from '../../storage/records/message-record.js';
import { RecordType } from '../../storage/records/record-type.js';
import { LevelStore } from '../../storage/state/level-store.js';
import { nullLogger } from '../support/null-logger.js';

const MIB = 1_048_576;

/** A message as the log has it. */
export interface LoggedMessage {
  readonly topic: string;
  /** One character for each byte. */
  readonly payload: string;
  readonly packetId: number;
  readonly publisher: string;
}

export interface Restored {
  /** By position. */
  readonly messages: ReadonlyMap<number, LoggedMessage>;
  /** What was reported when it was opened. */
  readonly losses: readonly Loss[];
  /** Segments that cannot be read at all: of what is in the last one nothing more is known. */
  readonly setAside: readonly string[];
  /** Positions, first and last, that could not be read after that. */
  readonly unreadable: readonly (readonly [first: number, last: number])[];
  /** First position that the log has. */
  readonly first: number;
  session(clientId: string): SessionImage | undefined;
  queuedCount(clientId: string): number;
}

/** @param look at it before it is closed. @throws what opening throws. */
export async function withRestored(dataDir: string, look: (restored: Restored) => void): Promise<void> {
  const clock = new GatewayClock(realClock);
  const config = parseConfig({ overrides: { dataDir, log: { level: 'silent' } } });
  const { limits, mqtt, delivery } = config;
  const store = createStore(dataDir, clock);
  const security = await anybody(clock);
  const lanes = new Lanes({
    ...{ clock, store, logger: nullLogger, schedule: setImmediate, random: Math.random },
    authenticator: security.authenticator,
    authorizer: security.authorizer,
    limits: {
      ...mqtt,
      ...delivery,
      ...limits,
      takeovers: { count: limits.takeoversMaxCount, windowMs: 10_000 },
    },
    assignClientId: () => 'auto',
    isAssignedClientId: () => false,
  });
  const sessions = lanes.createRestoration();
  await store.open(sessions);
  try {
    const messages = new Map<number, LoggedMessage>();
    const unreadable: [number, number][] = [];
    const { reader } = store.log;
    for (let at = reader.first; at <= store.committed;) {
      const { next, damage } = await reader.read(at, store.committed, (position, type, bytes, start, end) => {
        if (type !== RecordType.message) return;
        const { message, packetId } = readMessageRecord(bytes, start, end);
        const { topic, publisher } = message;
        messages.set(position, {
          ...{ topic, publisher, packetId },
          payload: Buffer.from(message.payload).toString('latin1'),
        });
      });
      for (const { first, last } of damage) unreadable.push([first, last]);
      at = next;
    }
    look({
      messages,
      unreadable,
      setAside: store.log.report.setAside,
      losses: store.losses,
      first: reader.first,
      session: (clientId) => sessions.imageOf(clientId),
      queuedCount: (clientId) => lanes.registry.get(clientId)?.outbound.queuedCount ?? 0,
    });
  } finally {
    await store.close();
  }
}

function createStore(folder: string, clock: GatewayClock): DiskStore {
  return new DiskStore({
    ...{ files: nodeFileSystem, folder, clock, timers: realTimers, logger: nullLogger, randomBytes },
    schedule: setImmediate,
    openDatabase: (path) => new LevelStore(path),
    continueClock: (ms) => clock.continueFrom(ms),
    isOnDisk: () => true,
    keyProvider: { masterKeys: async () => [] },
    keepMaxBytes: 0,
    keepMaxAgeMs: 0,
    floorsMaxBytes: 0,
    commitDelayMs: 0,
    segmentMaxBytes: 65_536,
    diskMaxBytes: 64 * MIB,
    diskReserveBytes: 0,
    pendingMaxBytes: 64 * MIB,
    // Nothing is written but what opening itself has to.
    checkpointEveryBytes: 64 * MIB,
    snapshotEveryBytes: 64 * MIB,
    ballastBytes: 0,
  });
}

let provider: SecurityProvider | undefined;

async function anybody(clock: GatewayClock): Promise<SecurityProvider> {
  provider ??= await createSecurityProvider({
    ...{ allowAnonymous: true, passwordFile: undefined, aclFile: undefined, aclRules: [], clock },
    wildcards: { levelsMin: 0, exemptUsers: [] },
    logger: nullLogger,
  });
  return provider;
}
