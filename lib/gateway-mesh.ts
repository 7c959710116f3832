/** Whether and how a gateway takes part in a mesh, by its configuration and its data folder. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import {
  type Mesh,
  type MeshMember,
  meshOf,
  type MeshSettings,
  openMeshMember,
  siteNameOf,
} from '../mesh/index.js';
import type { Lanes } from './broker/lanes.js';
import { type Config, parseBootstrap, parseHostPort } from './config/index.js';
import type { Clock } from './contracts/clock.js';
import type { Logger } from './contracts/logger.js';
import type { Store } from './contracts/store.js';
import { realTimers } from './real-clock.js';
import { version } from './version.js';

/** Topic, properties and what else is beside the payload of a message. */
const BESIDE_PAYLOAD_BYTES = 262_144;

export interface MeshParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: Store;
  readonly lanes: Lanes;
}

/** undefined: the data folder is in no mesh, or `mesh.enabled` is false. @throws SprawlError MESH_MISSING, SWARM_KEY_INVALID, MESH_FILE_FAILED and others */
export async function openMesh(config: Config, parts: MeshParts): Promise<Mesh | undefined> {
  const { mesh, dataDir } = config;
  if (mesh.enabled === false) return undefined;
  const { clock, logger, store, lanes } = parts;
  const folder = resolve(dataDir);
  const member = await openMeshMember({
    dataDir: folder,
    swarmKeyFile: mesh.swarmKeyFile,
    randomBytes,
    logger,
  });
  if (member === undefined) {
    if (mesh.enabled !== true) return undefined;
    throw (await import('./mesh-tools.js')).meshMissing(dataDir);
  }
  const settings = await settingsOf(config, member);
  const created = await meshOf({
    ...{ settings, member, clock, logger, store, host: lanes.createMeshHost(), software: version },
    ...{ timers: realTimers, random: Math.random, randomBytes, schedule: setImmediate },
  });
  lanes.useMesh(created.node);
  return created;
}

async function settingsOf(config: Config, { folder }: MeshMember): Promise<MeshSettings> {
  const { mesh, mqtt } = config;
  const { host, tcpPort, udpPort, bootstrap, peers, advertise } = mesh;
  return {
    ...mesh,
    site: mesh.site ?? (await folder.membership.readSite()) ?? siteNameOf(hostname()),
    listen: {
      host,
      tcpPort: tcpPort === false ? undefined : tcpPort,
      udpPort: udpPort === false ? 0 : udpPort,
    },
    bootstrap: udpPort === false ? [] : parseBootstrap(bootstrap),
    peers: peers.map(parseHostPort),
    advertise: advertise.length === 0 ? undefined : advertise.filter((address) => address !== 'none'),
    // On loopback nobody is behind a router.
    firewalled: host.startsWith('127.') || host === 'localhost' ? false : undefined,
    messageMaxBytes: mqtt.packetMaxBytes + BESIDE_PAYLOAD_BYTES,
  };
}
