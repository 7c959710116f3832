/** How a gateway archives through another one, and how it archives for others: the mesh and the bridge put together. */
import type { RelayClient, RelayServer, StoreThread, TargetSettings } from '../bridge/index.js';
import type { Mesh } from '../mesh/index.js';
import type { Config } from './config/index.js';
import type { ServedStatus } from './contracts/archive-status.js';
import { peerOfTarget } from './contracts/archive-target.js';
import type { Clock } from './contracts/clock.js';
import { SprawlError } from './contracts/errors.js';
import type { Logger } from './contracts/logger.js';
import { realTimers } from './real-clock.js';

export interface RelayParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly mesh: Mesh | undefined;
}

/** What a gateway does in its archive for others. */
export interface ArchiveService {
  status(): ServedStatus;
  stop(): Promise<void>;
}

/** undefined: the target is a place of its own. @throws SprawlError MESH_MISSING */
export async function openRelayClient(
  { archive, dataDir }: Config,
  { logger, mesh }: RelayParts,
): Promise<RelayClient | undefined> {
  const wanted = peerOfTarget(archive.target);
  if (wanted === undefined || archive.topics.length === 0) return undefined;
  if (mesh === undefined)
    throw new SprawlError(
      'MESH_MISSING',
      `archive.target is ${archive.target}, and ${dataDir} is in no mesh: "sprawl-edge join" joins one; or give archive.target a place that this gateway reaches itself`,
      { details: { dataDir, target: archive.target } },
    );
  const { RelayClient: Client } = await import('../bridge/index.js');
  const links = mesh.node.archive;
  const client = new Client(
    {
      ...{ timers: realTimers, logger, random: Math.random, frameMaxBytes: links.frameMaxBytes },
      send: (to, frame) => links.send(to, frame),
    },
    wanted,
  );
  links.user = client;
  return client;
}

/** undefined: it archives for nobody. @param target of its own archive */
export async function openArchiveService(
  { archive }: Config,
  target: TargetSettings,
  { clock, logger, mesh }: RelayParts,
): Promise<ArchiveService | undefined> {
  if (!archive.forPeers) return undefined;
  if (mesh === undefined) {
    logger.warn('archive.forPeers is true, and this gateway is in no mesh: it archives for nobody else');
    return undefined;
  }
  const bridge = await import('../bridge/index.js');
  const thread: StoreThread = new bridge.StoreThread(target, { timers: realTimers, logger });
  const links = mesh.node.archive;
  const server: RelayServer = new bridge.RelayServer(
    {
      ...{ clock, timers: realTimers, frameMaxBytes: links.frameMaxBytes, ask: thread.ask },
      send: (to, frame) => links.send(to, frame),
    },
    { pieceMaxBytes: bridge.pieceBytesOf(target) },
  );
  links.user = server;
  return {
    status: () => ({ target: target.target, ...server.counts }),
    stop: () => thread.stop(),
  };
}
