import { isIPv4 } from 'node:net';
import { peerOfTarget } from '../contracts/archive-target.js';
import { SprawlError } from '../contracts/errors.js';
import { isLoopback, type Config } from './config.js';
import { mqttListeners } from './mqtt-listeners.js';
import { parseColumn } from './schema-archive.js';

/** Where the value of a key came from: `sprawl.yaml:12`, `flag --mqtt-port`, `default`. */
export type SourceOf = (key: string) => string;

function violated(text: string, keys: readonly string[], sourceOf: SourceOf): SprawlError {
  const sources = keys.map((key) => `${key}: ${sourceOf(key)}`).join(', ');
  return new SprawlError('CONFIG_INVALID', `${text} (${sources})`, { details: { keys } });
}

interface AtMost {
  readonly key: string;
  readonly value: number;
  readonly limitKey: string;
  readonly limit: number;
}

function checkAtMost({ key, value, limitKey, limit }: AtMost, sourceOf: SourceOf): void {
  if (value <= limit) return;
  throw violated(
    `${key}: ${value} is more than ${limitKey}: ${limit}; lower the first or raise the second`,
    [key, limitKey],
    sourceOf,
  );
}

function checkSizes(config: Config, sourceOf: SourceOf): void {
  const { mqtt, delivery, limits, mesh } = config;
  const pairs: readonly AtMost[] = [
    {
      key: 'mqtt.topicMaxBytes',
      value: mqtt.topicMaxBytes,
      limitKey: 'mqtt.packetMaxBytes',
      limit: mqtt.packetMaxBytes,
    },
    {
      key: 'mqtt.packetMaxBytes',
      value: mqtt.packetMaxBytes,
      limitKey: 'delivery.clientQueueMaxBytes',
      limit: delivery.clientQueueMaxBytes,
    },
    config.storage.durability === 'disk'
      ? {
          key: 'mqtt.packetMaxBytes',
          value: mqtt.packetMaxBytes,
          limitKey: 'limits.diskMaxBytes',
          limit: limits.diskMaxBytes,
        }
      : {
          key: 'delivery.clientQueueMaxBytes',
          value: delivery.clientQueueMaxBytes,
          limitKey: 'limits.memoryMaxBytes',
          limit: limits.memoryMaxBytes,
        },
    {
      key: 'delivery.retryInitialMs',
      value: delivery.retryInitialMs,
      limitKey: 'delivery.retryMaxMs',
      limit: delivery.retryMaxMs,
    },
    {
      key: 'mesh.peerKeepMaxBytes',
      value: mesh.peerKeepMaxBytes,
      limitKey: 'limits.diskMaxBytes',
      limit: limits.diskMaxBytes,
    },
    {
      key: 'limits.connectionsMax',
      value: limits.connectionsMax,
      limitKey: 'limits.sessionsMax',
      limit: limits.sessionsMax,
    },
  ];
  for (const pair of pairs) checkAtMost(pair, sourceOf);
}

function checkTls(config: Config, sourceOf: SourceOf): void {
  const { tls, tlsPort, wssPort } = config.listeners;
  if (tls === undefined) {
    const key = tlsPort !== false ? 'listeners.tlsPort' : 'listeners.wssPort';
    if (tlsPort === false && wssPort === false) return;
    throw violated(
      `${key} needs a certificate: set listeners.tls.certFile and listeners.tls.keyFile`,
      [key],
      sourceOf,
    );
  }
  if (tls.requireClientCertificate && tls.caFile === undefined) {
    const key = 'listeners.tls.requireClientCertificate';
    throw violated(
      `${key}: true needs listeners.tls.caFile, which says whose certificates count`,
      [key],
      sourceOf,
    );
  }
}

interface PortTaken {
  readonly key: string;
  readonly host: string;
  readonly port: number;
}

function checkPorts({ listeners, http, mesh }: Config, sourceOf: SourceOf): void {
  const taken: PortTaken[] = [];
  const check = (key: string, host: string, port: number | false): void => {
    if (port === false || port === 0) return;
    const other = taken.find((each) => each.port === port && sharesAddress(each.host, host));
    if (other !== undefined)
      throw violated(
        `${key} and ${other.key} are both ${port}: give each its own port`,
        [key, other.key],
        sourceOf,
      );
    taken.push({ key, host, port });
  };
  const opened = mqttListeners(listeners);
  if (opened.length === 0) {
    throw violated(
      'every MQTT listener is off: give listeners.mqttPort a port',
      ['listeners.mqttPort'],
      sourceOf,
    );
  }
  for (const { portKey, host, port } of opened) check(portKey, host, port);
  check('http.port', http.host, http.port);
  // Its default is nobody's wish: a gateway without a mesh does not listen there.
  const isWanted =
    mesh.enabled === true || (mesh.enabled !== false && sourceOf('mesh.tcpPort') !== 'default');
  if (isWanted) check('mesh.tcpPort', mesh.host, mesh.tcpPort);
}

function checkMesh({ mesh }: Config, sourceOf: SourceOf): void {
  if (mesh.bootstrap.length > 1 && mesh.bootstrap.includes('none')) {
    throw violated(
      'mesh.bootstrap: "none" excludes every other entry: name the nodes, or "none" alone',
      ['mesh.bootstrap'],
      sourceOf,
    );
  }
  if (mesh.advertise.length > 1 && mesh.advertise.includes('none')) {
    throw violated(
      'mesh.advertise: "none" excludes every other entry: name the addresses, or "none" alone',
      ['mesh.advertise'],
      sourceOf,
    );
  }
  const isAlone = mesh.tcpPort === false && mesh.udpPort === false && mesh.peers.length === 0;
  if (mesh.enabled === true && isAlone) {
    throw violated(
      'mesh.tcpPort and mesh.udpPort are both off, and mesh.peers is empty: no other gateway can be met; give one of them a port, or name a gateway to dial',
      ['mesh.tcpPort', 'mesh.udpPort'],
      sourceOf,
    );
  }
}

/** Finishing the archives of others. */
function checkStandby({ archive }: Config, sourceOf: SourceOf): void {
  if (archive.standbyFor.length === 0) return;
  if (archive.topics.length === 0)
    throw violated(
      'archive.standbyFor needs archive.topics: only a gateway that archives something itself finishes for others',
      ['archive.standbyFor', 'archive.topics'],
      sourceOf,
    );
  if (peerOfTarget(archive.target) === undefined) return;
  throw violated(
    `archive.standbyFor needs the archive itself, and archive.target is ${archive.target}: another gateway writes there what this one took in, and nothing else`,
    ['archive.standbyFor', 'archive.target'],
    sourceOf,
  );
}

/** Archiving through another gateway, and for others. */
function checkRelay({ archive, mesh }: Config, sourceOf: SourceOf): void {
  const isRelayed = peerOfTarget(archive.target) !== undefined;
  if (isRelayed && archive.forPeers)
    throw violated(
      `archive.forPeers is true and archive.target is ${archive.target}: a gateway that archives for others needs an archive of its own, file:///FOLDER or s3://BUCKET`,
      ['archive.forPeers', 'archive.target'],
      sourceOf,
    );
  if (mesh.enabled !== false || !(isRelayed || archive.forPeers)) return;
  const key = isRelayed ? 'archive.target' : 'archive.forPeers';
  const value = isRelayed ? archive.target : 'true';
  throw violated(
    `${key}: ${value} needs the mesh, and mesh.enabled is false: leave out one of the two`,
    [key, 'mesh.enabled'],
    sourceOf,
  );
}

function checkArchive(config: Config, sourceOf: SourceOf): void {
  const { archive, storage, limits } = config;
  checkRelay(config, sourceOf);
  checkStandby(config, sourceOf);
  if (archive.topics.length === 0) return;
  if (storage.durability === 'memory') {
    throw violated(
      'archive.topics needs storage.durability: disk: what is archived comes from the log',
      ['archive.topics', 'storage.durability'],
      sourceOf,
    );
  }
  checkAtMost(
    {
      key: 'archive.backlogMaxBytes',
      value: archive.backlogMaxBytes,
      limitKey: 'limits.diskMaxBytes',
      limit: limits.diskMaxBytes,
    },
    sourceOf,
  );
  if (archive.copyTarget === archive.target)
    throw violated(
      'archive.copyTarget is archive.target: a copy is somewhere else',
      ['archive.copyTarget', 'archive.target'],
      sourceOf,
    );
  const names = archive.columns.map((text) => parseColumn(text).name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw violated(
      `archive.columns: ${JSON.stringify(twice)} names two columns: give each its own name`,
      ['archive.columns'],
      sourceOf,
    );
}

const isWildcard = (host: string): boolean => host === '0.0.0.0' || host === '::';

/** Whether the same port on both may be one port. `localhost` may be any address of loopback, and IPv6 has several spellings of one. */
function sharesAddress(left: string, right: string): boolean {
  if (left === right || isWildcard(left) || isWildcard(right)) return true;
  return isLoopback(left) && isLoopback(right) && !(isIPv4(left) && isIPv4(right));
}

function checkAccess({ listeners, security }: Config, sourceOf: SourceOf): void {
  if (security.allowAnonymous || security.passwordFile !== undefined) return;
  const open = mqttListeners(listeners).find(({ host }) => !isLoopback(host));
  if (open === undefined) return;
  const { host, hostKey } = open;
  throw new SprawlError(
    'LISTEN_REFUSED',
    `${hostKey}: ${JSON.stringify(host)} is reachable from other machines and nothing says who may connect: ` +
      'set security.passwordFile (--password-file FILE; "sprawl-edge passwd -c FILE USER" makes one), ' +
      `or let everyone in with security.allowAnonymous: true (--allow-anonymous) (${sourceOf(hostKey)})`,
    { details: { key: hostKey, host } },
  );
}

/** Checks what one key demands of another. @throws SprawlError CONFIG_INVALID, LISTEN_REFUSED */
export function checkRelations(config: Config, sourceOf: SourceOf): void {
  checkTls(config, sourceOf);
  checkPorts(config, sourceOf);
  checkSizes(config, sourceOf);
  checkMesh(config, sourceOf);
  checkArchive(config, sourceOf);
  checkAccess(config, sourceOf);
}
