/** The tools for the mesh, as the command line uses them: the only module that knows both mesh and a configuration, besides the gateway. */
import { randomBytes } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import { resolve } from 'node:path';
import { createMesh, AdminKey } from '../mesh/admission/admin-key.js';
import { Invitation, looksLikeInvitation } from '../mesh/admission/invitation.js';
import { encodeEvictions, Roster } from '../mesh/admission/roster.js';
import { SwarmKey } from '../mesh/admission/swarm-key.js';
import { readEpochs } from '../mesh/identity/epochs-file.js';
import { MembershipFiles } from '../mesh/identity/membership-files.js';
import { removeIdentity } from '../mesh/identity/mesh-folder.js';
import { readKeyFile } from '../mesh/identity/key-file.js';
import { isExposed, nodeMeshFiles } from '../mesh/identity/mesh-files.js';
import { meshLayoutOf } from '../mesh/identity/mesh-layout.js';
import { openAddressBook } from '../mesh/identity/peer-files.js';
import { readSwarmKeyFile } from '../mesh/open-member.js';
import type { ReachFound } from '../mesh/transport/reach-probe.js';
import { probeTcp, type TcpFound } from '../mesh/transport/tcp-probe.js';
import type { Config, HostPort } from './config/index.js';
import type { Lineage } from './contracts/epoch.js';
import { SprawlError } from './contracts/errors.js';
import { type GatewayId, parseGatewayId } from './contracts/gateway-id.js';
import type { Logger } from './contracts/logger.js';
import { realClock, realTimers } from './real-clock.js';
import { silentLogger, whileStopped } from './storage-tools.js';

export { readSwarmKeyFile };

const ID_PREFIX = /^[0-9a-f]{8,63}$/;

function folderOf({ dataDir }: Config): string {
  return resolve(dataDir);
}

function membershipOf(config: Config, logger: Logger): MembershipFiles {
  return new MembershipFiles(nodeMeshFiles, meshLayoutOf(folderOf(config)), logger);
}

/** @throws SprawlError USAGE where the configuration says that the key is elsewhere: it would not be used */
function expectKeyInFolder({ mesh }: Config): void {
  if (mesh.swarmKeyFile === undefined) return;
  throw new SprawlError(
    'USAGE',
    `mesh.swarmKeyFile says that the swarm key is in ${mesh.swarmKeyFile}: put it there and run "sprawl-edge up", or take that key out of the configuration`,
  );
}

/** What is shown once. */
export interface FoundedMesh {
  readonly swarmKey: string;
  readonly adminKey: string;
}

/**
 * Makes a mesh, and this data folder its first member.
 * @throws SprawlError MESH_EXISTS, STORAGE_LOCKED, MESH_FILE_FAILED
 */
export async function foundMesh(config: Config, logger: Logger): Promise<FoundedMesh> {
  expectKeyInFolder(config);
  const membership = membershipOf(config, logger);
  return whileStopped(config, async () => {
    if ((await membership.readSwarmKey()) !== undefined) {
      throw new SprawlError(
        'MESH_EXISTS',
        `${config.dataDir} belongs to a mesh already: start it with "sprawl-edge up", or take it out with "sprawl-edge leave" first`,
        { details: { dataDir: config.dataDir } },
      );
    }
    const { swarmKey, adminKey, binding } = createMesh(randomBytes);
    await membership.writeRoster(new Roster(binding));
    if (config.mesh.site !== undefined) await membership.writeSite(config.mesh.site);
    // Last: with it the folder is a member, and not before.
    await membership.writeSwarmKey(swarmKey);
    return { swarmKey: swarmKey.reveal(), adminKey: adminKey.reveal() };
  });
}

/** Who the gateway of a data folder is, and its lives; nothing is made or changed. undefined: it is in no mesh, and never archived. @throws SprawlError MESH_FILE_… */
export async function readGateway(
  config: Config,
): Promise<{ readonly id: GatewayId; readonly lineage: Lineage } | undefined> {
  const { identityKey, epochs, epochsCopy } = meshLayoutOf(folderOf(config));
  const key = await readKeyFile(nodeMeshFiles, identityKey);
  if (key === undefined) return undefined;
  const { lineage = [] } = await readEpochs(nodeMeshFiles, epochs, epochsCopy);
  return { id: key.id, lineage };
}

export interface Joining {
  /** A swarm key or an invitation; undefined: the one that is in the folder. */
  readonly keyText: string | undefined;
  readonly isNewIdentity: boolean;
}

export interface Joined {
  /** It was a member of this mesh before. */
  readonly wasMember: boolean;
}

/**
 * Makes a data folder a member of a mesh. Whether anybody answers to the key shows only when the gateway runs.
 * @throws SprawlError SWARM_KEY_INVALID, INVITATION_INVALID, INVITATION_ENDED, MESH_EXISTS, MESH_MISSING, STORAGE_LOCKED, MESH_FILE_FAILED
 */
export async function joinMesh(config: Config, joining: Joining, logger: Logger): Promise<Joined> {
  expectKeyInFolder(config);
  const { keyText, isNewIdentity } = joining;
  const given = keyText === undefined ? undefined : parseGiven(keyText);
  const membership = membershipOf(config, logger);
  // Before the lock, which makes the folder; looked at again under it.
  if (given === undefined && (await membership.readSwarmKey()) === undefined) throw noKey(config);
  return whileStopped(config, async () => {
    const known = await membership.readSwarmKey();
    if (given instanceof Invitation) given.expectValid(await membership.timeAtLeast(realClock.wall()));
    const key = given instanceof Invitation ? given.swarmKey : (given ?? known);
    if (key === undefined) throw noKey(config);
    if (known !== undefined && !known.equals(key)) {
      throw new SprawlError(
        'MESH_EXISTS',
        `${config.dataDir} belongs to another mesh: take it out with "sprawl-edge leave" first, or join with another --data-dir`,
        { details: { dataDir: config.dataDir } },
      );
    }
    if (isNewIdentity) await removeIdentity(folderOf(config));
    if (given instanceof Invitation && (await membership.readRoster(key)) === undefined)
      await membership.writeRoster(new Roster(given.admin));
    if (config.mesh.site !== undefined) await membership.writeSite(config.mesh.site);
    if (known === undefined) await membership.writeSwarmKey(key);
    return { wasMember: known !== undefined };
  });
}

function parseGiven(text: string): SwarmKey | Invitation {
  return looksLikeInvitation(text) ? Invitation.parse(text) : SwarmKey.parse(text);
}

/** `mesh.enabled` is true, and the data folder has no swarm key. */
export function meshMissing(dataDir: string): SprawlError {
  return new SprawlError(
    'MESH_MISSING',
    `mesh.enabled is true, and ${dataDir} is in no mesh: "sprawl-edge init" makes one, "sprawl-edge join" joins one`,
    { details: { dataDir } },
  );
}

/** Where `mesh.enabled` says that it has to be there. @throws SprawlError MESH_MISSING, SWARM_KEY_INVALID, MESH_FILE_FAILED */
export async function expectSwarmKey(config: Config): Promise<void> {
  const { enabled, swarmKeyFile } = config.mesh;
  if (enabled === false) return;
  if (swarmKeyFile !== undefined) await readSwarmKeyFile(swarmKeyFile);
  else if (enabled === true && (await membershipOf(config, silentLogger).readSwarmKey()) === undefined)
    throw meshMissing(config.dataDir);
}

function noKey({ dataDir }: Config): SprawlError {
  return new SprawlError(
    'MESH_MISSING',
    `${dataDir} is in no mesh: "sprawl-edge join" with a swarm key joins one, "sprawl-edge init" makes one`,
    { details: { dataDir } },
  );
}

/** Takes a stopped data folder out of its mesh. @throws SprawlError MESH_MISSING, STORAGE_LOCKED, MESH_FILE_FAILED */
export async function leaveMesh(config: Config, logger: Logger): Promise<void> {
  expectKeyInFolder(config);
  const membership = membershipOf(config, logger);
  const expectMember = async (): Promise<void> => {
    const isMember = await membership.readSwarmKey().then(
      (key) => key !== undefined,
      (error: unknown) => {
        if (error instanceof SprawlError && error.code === 'SWARM_KEY_INVALID') return true; // To be removed all the same.
        throw error;
      },
    );
    if (!isMember) throw noKey(config);
  };
  // Before the lock, which makes the folder; looked at again under it.
  await expectMember();
  await whileStopped(config, async () => {
    await expectMember();
    await membership.clear();
  });
}

export type { ReachFound } from '../mesh/transport/reach-probe.js';
export type { TcpFound } from '../mesh/transport/tcp-probe.js';

export interface SignedStatement {
  readonly gateway: GatewayId;
  /** What a running gateway takes at POST /mesh/evict. */
  readonly frame: Uint8Array;
  /** Writes it into the data folder, which no gateway may use. @throws SprawlError STORAGE_LOCKED, MESH_FILE_FAILED */
  store(): Promise<void>;
}

export interface Evicting {
  readonly adminKey: string;
  /** The id of a gateway, or at least eight digits with which one that is known begins. */
  readonly gateway: string;
  readonly reason: string;
}

/**
 * Signs an eviction with the admin key of the mesh that the data folder is in. Nothing is written yet.
 * @throws SprawlError ADMIN_KEY_INVALID, ADMIN_KEY_WRONG, MESH_MISSING, ROSTER_FULL, USAGE, MESH_FILE_FAILED
 */
export async function signEviction(
  config: Config,
  { adminKey: text, gateway, reason }: Evicting,
  logger: Logger,
): Promise<SignedStatement> {
  const membership = membershipOf(config, logger);
  const roster = await rosterOf(config, membership);
  const id = await findGateway(config, gateway, logger);
  const eviction = roster.evict(AdminKey.parse(text), id, reason);
  return {
    gateway: id,
    frame: encodeEvictions([eviction])[0] as Uint8Array, // One eviction is one frame.
    store: () => whileStopped(config, () => membership.writeRoster(roster)),
  };
}

export interface Inviting {
  readonly adminKey: string;
  /** How long it is taken, milliseconds. */
  readonly forMs: number;
}

export interface SignedInvitation {
  readonly text: string;
  /** Milliseconds since 1970. */
  readonly endsAtMs: number;
}

/**
 * An invitation to the mesh that the data folder is in. Nothing is written.
 * @throws SprawlError ADMIN_KEY_INVALID, ADMIN_KEY_WRONG, MESH_MISSING, MESH_FILE_FAILED
 */
export async function signInvitation(
  config: Config,
  { adminKey: text, forMs }: Inviting,
  logger: Logger,
): Promise<SignedInvitation> {
  const membership = membershipOf(config, logger);
  const { admin } = await rosterOf(config, membership);
  const adminKey = AdminKey.parse(text);
  adminKey.expectOf(admin);
  const now = Math.max(realClock.wall(), await membership.timeAtLeast(0));
  const endsAtMs = Math.floor(now + forMs);
  return { text: Invitation.create(adminKey, admin.salt, endsAtMs).reveal(), endsAtMs };
}

async function rosterOf(config: Config, membership: MembershipFiles): Promise<Roster> {
  const roster = await membership.readRoster(await swarmKeyOf(config, membership));
  if (roster !== undefined) return roster;
  throw new SprawlError(
    'MESH_MISSING',
    `${config.dataDir} does not know the admin of its mesh yet: let the gateway meet another one first`,
    { details: { dataDir: config.dataDir } },
  );
}

async function swarmKeyOf(config: Config, membership: MembershipFiles): Promise<SwarmKey> {
  const path = config.mesh.swarmKeyFile;
  const key = path === undefined ? await membership.readSwarmKey() : await readSwarmKeyFile(path);
  if (key === undefined) throw noKey(config);
  return key;
}

async function findGateway(config: Config, text: string, logger: Logger): Promise<GatewayId> {
  const lower = text.toLowerCase();
  const id = parseGatewayId(lower);
  if (id !== undefined) return id;
  const how = '"sprawl-edge peers --json" lists the ids';
  if (!ID_PREFIX.test(lower))
    throw new SprawlError(
      'USAGE',
      `${JSON.stringify(text)} is no gateway: it takes 64 hexadecimal digits, or at least the first 8; ${how}`,
    );
  const book = openAddressBook(nodeMeshFiles, meshLayoutOf(folderOf(config)).addresses, logger);
  const found = (await book.load()).filter((peer) => peer.id.startsWith(lower));
  const [first] = found;
  if (first !== undefined && found.length === 1) return first.id;
  const own = await readGateway(config);
  if (first === undefined && own?.id.startsWith(lower) === true)
    throw new SprawlError(
      'USAGE',
      `${lower} is this gateway itself: "sprawl-edge leave" takes it out of its mesh`,
    );
  const why =
    first === undefined ? 'none that this gateway has met begins' : `${found.length} gateways begin`;
  throw new SprawlError('USAGE', `${why} with ${lower}: give all 64 digits; ${how}`);
}

export interface BootstrapOptions {
  readonly host: string;
  /** From 1 to 65535. */
  readonly port: number;
}

/** A node at which gateways begin to look for each other. */
export interface BootstrapNode {
  readonly host: string;
  readonly port: number;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Resolves when it takes questions. @throws SprawlError LISTEN_FAILED, BOOTSTRAP_ADDRESS_INVALID */
export async function runBootstrap({ host, port }: BootstrapOptions): Promise<BootstrapNode> {
  // It tells gateways its own address, so that every interface is none.
  const own = host === '0.0.0.0' ? ownAddress() : host;
  const { createBootstrapNode } = await import('../mesh/transport/index.js');
  const node = createBootstrapNode({ host: own, port, listenHost: host, timers: realTimers });
  await node.start();
  return { host: own, port: node.address.port, close: () => node.stop() };
}

/** The first IPv4 address of this machine that others can reach; loopback where there is none. */
function ownAddress(): string {
  const found = Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.family === 'IPv4' && !one.internal);
  return found?.address ?? '127.0.0.1';
}

/** What a data folder says of its mesh. */
export interface MeshLook {
  /** Where the swarm key is, or would be. */
  readonly keyPath: string;
  readonly hasKey: boolean;
  /** undefined: it has not been started in a mesh yet. */
  readonly gateway: GatewayId | undefined;
  /** Why it was evicted; undefined: it was not, as far as is known here. */
  readonly evictedFor: string | undefined;
  /** Why it cannot take part; empty: it can. */
  readonly faults: readonly string[];
  /** Secret files that other users of the machine can read. */
  readonly exposed: readonly string[];
  /** The latest time that was ever seen, milliseconds since 1970; 0: none. */
  readonly timeFloorMs: number;
}

/** Changes nothing, and tells no secret. Never rejects. */
export async function lookAtMesh(config: Config, logger: Logger): Promise<MeshLook> {
  const layout = meshLayoutOf(folderOf(config));
  const keyPath = config.mesh.swarmKeyFile ?? layout.swarmKey;
  const faults: string[] = [];
  const attempt = async <T>(look: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await look();
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      if (!faults.includes(text)) faults.push(text);
      return undefined;
    }
  };
  const { swarmKeyFile } = config.mesh;
  const key = await attempt(async () => {
    if (swarmKeyFile !== undefined) return (await readSwarmKeyFile(swarmKeyFile)) ?? false;
    const bytes = await nodeMeshFiles.read(keyPath);
    return bytes === undefined ? false : SwarmKey.parse(Buffer.from(bytes).toString('latin1'));
  });
  const gatewayKey = await attempt(() => readKeyFile(nodeMeshFiles, layout.identityKey));
  const membership = membershipOf(config, logger);
  const roster = key instanceof SwarmKey ? await attempt(() => membership.readRoster(key)) : undefined;
  const eviction = gatewayKey === undefined ? undefined : roster?.evictionOf(gatewayKey.id);
  const evictedFor = eviction?.reason;
  const exposed: string[] = [];
  for (const path of [keyPath, layout.identityKey])
    if ((await attempt(() => isExposed(path))) === true) exposed.push(path);
  // Of a time that is not later than the floor nothing is written.
  const timeFloorMs = (await attempt(() => membership.timeAtLeast(0))) ?? 0;
  // A key that cannot be read is one.
  const hasKey = key !== false;
  return { keyPath, hasKey, gateway: gatewayKey?.id, evictedFor, faults, exposed, timeFloorMs };
}

export interface ReachAsked {
  readonly host: string;
  readonly port: number;
  /** undefined: the public ones. */
  readonly bootstrap: readonly HostPort[] | undefined;
  readonly timeoutMs: number;
}

/** What the nodes of the hash table see of this machine. @throws SprawlError LISTEN_FAILED */
export async function lookAtReach(asked: ReachAsked): Promise<ReachFound> {
  const { probeReach } = await import('../mesh/transport/reach-probe.js');
  return probeReach({ ...asked, timers: realTimers });
}

/** Whether something takes connections there. Never rejects. */
export function lookAtPeer(address: HostPort): Promise<TcpFound> {
  return probeTcp(address, realClock, realTimers);
}
