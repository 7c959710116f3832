/** Puts the checks together: what is looked at, in which order, and what becomes of a probe that fails or does not end. */
import { type Config, mqttListeners, parseBootstrap, parseHostPort } from '../../config/index.js';
import { peerOfTarget } from '../../contracts/archive-target.js';
import { failure, type Finding, skipped, warning } from './finding.js';
import { judgeArchive, judgeRelayedArchive } from './judge-archive.js';
import { judgeStandby } from './judge-standby.js';
import { type FolderFound, judgeFolder, judgeSpace, judgeSync } from './judge-folder.js';
import { judgeClock, judgeNode, judgePackages, judgePlatform, judgeTimeServer } from './judge-machine.js';
import { judgeKeyFiles, judgeMembership } from './judge-mesh.js';
import {
  judgeCertificate,
  judgePeer,
  judgePort,
  judgeReach,
  judgeReachPlan,
  type PortWanted,
  type ReachPlan,
  skippedReach,
} from './judge-network.js';
import type { Probes } from './probes.js';

/** All of it is done by then: whoever waits for it is at a terminal. */
const DEADLINE_MS = 8500;

type MeshFound = Awaited<ReturnType<Probes['mesh']>>;

interface Examined {
  readonly config: Config;
  readonly probes: Probes;
  readonly deadline: Promise<undefined>;
  readonly isInUse: boolean;
  /** undefined: it could not be looked at. */
  readonly mesh: MeshFound | undefined;
}

/** Looks at everything. Never rejects. @param after resolves so many milliseconds later */
export async function examine(
  config: Config,
  probes: Probes,
  after: (ms: number) => Promise<undefined>,
): Promise<Finding[]> {
  const deadline = after(DEADLINE_MS);
  const packages = bounded(deadline, 'native packages', async () => [judgePackages(await probes.packages())]);
  // What cannot be found out of the folder its own checks say.
  const [isInUse, mesh] = await Promise.all([
    Promise.race([probes.isInUse(config), deadline]).catch(() => undefined),
    Promise.race([probes.mesh(config), deadline]).catch(() => undefined),
  ]);
  const examined: Examined = { config, probes, deadline, isInUse: isInUse ?? false, mesh };
  const groups = await Promise.all([
    bounded(deadline, 'platform', async () => {
      const machine = probes.machine();
      return [judgeNode(machine), judgePlatform(machine)];
    }),
    packages,
    folderFindings(examined),
    clockFindings(examined),
    portFindings(examined),
    certificateFindings(examined),
    [meshFindings(examined)].flat(),
    reachFindings(examined),
    ...config.mesh.peers.map((peer) =>
      bounded(deadline, `peer ${peer}`, async () => [
        judgePeer(peer, await probes.peer(parseHostPort(peer))),
      ]),
    ),
    archiveFindings(examined),
    standbyFindings(examined),
  ]);
  return groups.flat();
}

/** A probe that throws is a failed check, one that does not end a warning. */
async function bounded(
  deadline: Promise<undefined>,
  check: string,
  look: () => Promise<Finding[]>,
): Promise<Finding[]> {
  try {
    const findings = await Promise.race([look(), deadline]);
    return findings ?? [warning(check, 'it took too long', 'run it again when the machine has less to do')];
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return [failure(check, `it could not be looked at: ${text}`, '')];
  }
}

async function folderFindings({ config, probes, deadline, isInUse }: Examined): Promise<Finding[]> {
  let folder: FolderFound | undefined;
  const first = await bounded(deadline, 'data folder', async () => {
    folder = { ...(await probes.folder(config.dataDir)), isInUse };
    return [judgeFolder(folder)];
  });
  const found = folder;
  if (found === undefined || found.fault !== undefined) return first;
  if (config.storage.durability === 'memory') {
    const why = 'storage.durability is memory: nothing is written';
    return [...first, skipped('free space', why), skipped('sync speed', why)];
  }
  const rest = await Promise.all([
    bounded(deadline, 'free space', async () => [judgeSpace(await probes.space(found), config.limits)]),
    bounded(deadline, 'sync speed', async () => [judgeSync(await probes.syncs(found.lookedAt))]),
  ]);
  return [...first, ...rest.flat()];
}

async function archiveFindings({ config, probes, deadline, isInUse, mesh }: Examined): Promise<Finding[]> {
  const { topics, target, s3, copyTarget, copyS3, forPeers, encryptionKey, encryptionKeyFile } =
    config.archive;
  if (topics.length === 0 && !forPeers)
    return [skipped('archive', 'archive.topics is empty: nothing is archived')];
  const isRelayed = peerOfTarget(target) !== undefined;
  const wanted = [
    ...(isRelayed ? [] : [{ check: 'archive', key: 'archive.target', target, s3 }]),
    ...(copyTarget === undefined
      ? []
      : [{ check: 'archive copy', key: 'archive.copyTarget', target: copyTarget, s3: copyS3 }]),
  ];
  const running = isInUse ? probes.runningArchive(config) : Promise.resolve(undefined);
  const relayed = async (): Promise<Finding[]> => [
    judgeRelayedArchive(target, mesh?.hasKey === true, await running),
  ];
  const direct = async ({ check, key, ...where }: (typeof wanted)[number]): Promise<Finding[]> => {
    const place = { ...where, encryptionKey, encryptionKeyFile };
    const [seen, all] = await Promise.all([probes.archive(place, config.dataDir), running]);
    const status = [all, all?.copy].find((one) => one?.target === where.target);
    return [judgeArchive(check, key, seen, status ?? undefined)];
  };
  const groups = await Promise.all([
    ...(isRelayed ? [bounded(deadline, 'archive', relayed)] : []),
    ...wanted.map((one) => bounded(deadline, one.check, () => direct(one))),
  ]);
  return groups.flat();
}

async function standbyFindings({ config, probes, deadline, isInUse }: Examined): Promise<Finding[]> {
  if (config.archive.standbyFor.length === 0) return [];
  if (!isInUse) return [judgeStandby(undefined)];
  return bounded(deadline, 'standby', async () => [judgeStandby(await probes.standby(config))]);
}

async function clockFindings({ probes, deadline, mesh }: Examined): Promise<Finding[]> {
  const groups = await Promise.all([
    bounded(deadline, 'clock', async () => {
      const [wallMs, builtMs, floorMs] = [probes.wall(), probes.builtMs(), mesh?.timeFloorMs ?? 0];
      return [judgeClock({ wallMs, builtMs, floorMs })];
    }),
    bounded(deadline, 'time server', async () => [judgeTimeServer(await probes.isSynchronized())]),
  ]);
  return groups.flat();
}

function takesPart({ config, mesh }: Examined): boolean {
  return config.mesh.enabled !== false && mesh?.hasKey === true;
}

/** Those that are opened; 0 is any free one. */
function portsOf(examined: Examined): PortWanted[] {
  const { listeners, http, mesh } = examined.config;
  const all: (Omit<PortWanted, 'port'> & { readonly port: number | false })[] = [
    ...mqttListeners(listeners).map(({ portKey, ...rest }) => ({
      ...rest,
      key: portKey,
      kind: 'tcp' as const,
    })),
    { name: 'http', key: 'http.port', kind: 'tcp', host: http.host, hostKey: 'http.host', port: http.port },
  ];
  if (takesPart(examined)) {
    const { host, tcpPort, udpPort } = mesh;
    all.push(
      { name: 'mesh tcp', key: 'mesh.tcpPort', kind: 'tcp', host, hostKey: 'mesh.host', port: tcpPort },
      { name: 'mesh udp', key: 'mesh.udpPort', kind: 'udp', host, hostKey: 'mesh.host', port: udpPort },
    );
  }
  return all.flatMap(({ port, ...rest }) => (port === false || port === 0 ? [] : [{ ...rest, port }]));
}

async function portFindings(examined: Examined): Promise<Finding[]> {
  const { probes, deadline, isInUse } = examined;
  const groups = await Promise.all(
    portsOf(examined).map((wanted) =>
      bounded(deadline, `port ${wanted.name}`, async () => [
        judgePort(wanted, await probes.port(wanted), isInUse),
      ]),
    ),
  );
  return groups.flat();
}

async function certificateFindings({ config, probes, deadline }: Examined): Promise<Finding[]> {
  const { tls } = config.listeners;
  if (tls === undefined) return [];
  return bounded(deadline, 'certificate', async () => [
    judgeCertificate(tls.certFile, await probes.certificate(tls), probes.wall()),
  ]);
}

function meshFindings({ config, mesh }: Examined): Finding[] {
  if (mesh === undefined) return [failure('mesh', 'it could not be looked at', 'see "native packages"')];
  return [judgeMembership(mesh, config.mesh.enabled), judgeKeyFiles(mesh)];
}

async function reachFindings(examined: Examined): Promise<Finding[]> {
  const { config, probes, deadline, isInUse } = examined;
  const { host, udpPort, bootstrap: texts } = config.mesh;
  const bootstrap = parseBootstrap(texts);
  if (udpPort === false) return [skippedReach('mesh.udpPort is false')];
  if (bootstrap?.length === 0) return [skippedReach('mesh.bootstrap is none')];
  // Nobody is told of a machine that has no mesh.
  if (bootstrap === undefined && !takesPart(examined))
    return [skippedReach('the public nodes are asked only by a member of a mesh')];
  const plan: ReachPlan = {
    host,
    bootstrap: bootstrap === undefined ? undefined : texts,
    isOtherPort: isInUse,
  };
  const senseless = judgeReachPlan(plan);
  if (senseless !== undefined) return [senseless];
  return bounded(deadline, 'hash table', async () => [
    judgeReach(plan, await probes.reach(host, isInUse ? 0 : udpPort, bootstrap)),
  ]);
}
