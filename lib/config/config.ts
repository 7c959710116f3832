import { isIPv4, isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { SchemaOutput } from './schema.js';
import {
  connectionsMaxFor,
  diskMaxBytesFor,
  diskReserveBytesFor,
  keepMaxBytesFor,
  MEMORY_MIN_BYTES,
  memoryMaxBytesFor,
  retainedMaxBytesFor,
  type Machine,
} from './machine.js';
import { mqttListeners } from './mqtt-listeners.js';

type DeepReadonly<T> = T extends readonly unknown[]
  ? readonly DeepReadonly<T[number]>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;
type Filled<T, K extends keyof T> = Omit<T, K> & { [P in K]-?: Exclude<T[P], undefined> };

/** The whole configuration with every default filled in; frozen. */
export type Config = DeepReadonly<
  Omit<SchemaOutput, 'listeners' | 'security' | 'delivery' | 'limits' | 'storage' | 'mesh' | 'archive'> & {
    listeners: Omit<Filled<SchemaOutput['listeners'], 'tlsPort' | 'wssPort'>, 'tls'> & {
      tls?: Filled<NonNullable<SchemaOutput['listeners']['tls']>, 'host'> | undefined;
    };
    security: Filled<SchemaOutput['security'], 'allowAnonymous'>;
    delivery: Filled<SchemaOutput['delivery'], 'clientQueueMaxCount' | 'clientQueueMaxBytes'>;
    storage: Filled<SchemaOutput['storage'], 'keepMaxBytes'>;
    mesh: Filled<SchemaOutput['mesh'], 'peerKeepMaxBytes'>;
    archive: Filled<SchemaOutput['archive'], 'target' | 'backlogMaxBytes' | 'standbyMaxBytes'>;
    limits: Filled<
      SchemaOutput['limits'],
      'connectionsMax' | 'retainedMaxBytes' | 'memoryMaxBytes' | 'diskMaxBytes' | 'diskReserveBytes'
    >;
  }
>;

const TLS_PORT = 8883;
const WSS_PORT = 8084;

/** Whether only this machine can reach `host`: `localhost`, 127.0.0.0/8, ::1, or their IPv4-mapped form. */
export function isLoopback(host: string): boolean {
  const bare = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  if (bare === 'localhost') return true;
  const mapped = bare.replace(/^::ffff:/, '');
  if (isIPv4(mapped)) return mapped.startsWith('127.');
  return isIPv6(bare) && /^(0*:)+0*1$/.test(bare);
}

function listenersWithDefaults({ tls, ...listeners }: SchemaOutput['listeners']): Config['listeners'] {
  const isSecure = tls !== undefined;
  return {
    ...listeners,
    tlsPort: listeners.tlsPort ?? (isSecure ? TLS_PORT : false),
    wssPort: listeners.wssPort ?? (isSecure ? WSS_PORT : false),
    ...(isSecure ? { tls: { ...tls, host: tls.host ?? listeners.host } } : {}),
  };
}

/** Fills in the defaults that depend on the machine or on other keys. */
export function withDefaults(parsed: SchemaOutput, machine: Machine): Config {
  const { security, delivery, limits, storage, mesh, archive } = parsed;
  const listeners = listenersWithDefaults(parsed.listeners);
  const isLocal = mqttListeners(listeners).every(({ host }) => isLoopback(host));
  const memoryMaxBytes = limits.memoryMaxBytes ?? memoryMaxBytesFor(machine);
  const diskTotalBytes = machine.diskTotalBytes(parsed.dataDir);
  const diskMaxBytes = limits.diskMaxBytes ?? diskMaxBytesFor(diskTotalBytes);
  const isOnDisk = storage.durability === 'disk';
  const queueBytes = isOnDisk
    ? Math.max(parsed.mqtt.packetMaxBytes, Math.floor(diskMaxBytes / 4))
    : Math.min(Math.max(MEMORY_MIN_BYTES, parsed.mqtt.packetMaxBytes), memoryMaxBytes);
  return {
    ...parsed,
    listeners,
    security: {
      ...security,
      allowAnonymous: security.allowAnonymous ?? (isLocal && security.passwordFile === undefined),
    },
    delivery: {
      ...delivery,
      clientQueueMaxCount: delivery.clientQueueMaxCount ?? (isOnDisk ? 1_000_000 : 10_000),
      clientQueueMaxBytes: delivery.clientQueueMaxBytes ?? queueBytes,
    },
    storage: {
      ...storage,
      keepMaxBytes: storage.keepMaxBytes ?? keepMaxBytesFor(diskMaxBytes),
    },
    archive: {
      ...archive,
      target: archive.target ?? pathToFileURL(resolve(parsed.dataDir, 'archive')).href,
      backlogMaxBytes: archive.backlogMaxBytes ?? Math.floor(diskMaxBytes / 2),
      standbyMaxBytes: archive.standbyMaxBytes ?? Math.floor(diskMaxBytes / 8),
    },
    mesh: { ...mesh, peerKeepMaxBytes: mesh.peerKeepMaxBytes ?? Math.floor(diskMaxBytes / 4) },
    limits: {
      ...limits,
      connectionsMax: limits.connectionsMax ?? Math.min(connectionsMaxFor(machine), limits.sessionsMax),
      retainedMaxBytes: limits.retainedMaxBytes ?? retainedMaxBytesFor(machine),
      memoryMaxBytes,
      diskMaxBytes,
      diskReserveBytes: limits.diskReserveBytes ?? diskReserveBytesFor(diskTotalBytes),
    },
  };
}
