/** What a gateway keeps for the archives of others, by its configuration and its mesh. */
import type { Archive, ArchiveSettings, Standby, StandbySettings } from '../bridge/index.js';
import type { Mesh } from '../mesh/index.js';
import type { Config } from './config/index.js';
import { STANDBY_PREFIX } from './contracts/store.js';
import type { ArchiveParts, ReadPaces } from './gateway-archive.js';
import { minuteOfDay, realTimers } from './real-clock.js';

/** Of a copy for another gateway, beside a message. */
const BESIDE_MESSAGE_BYTES = 262_144;

interface StandbyParts extends ArchiveParts {
  readonly mesh: Mesh;
  readonly archive: Archive;
  readonly paces: ReadPaces;
}

/** Gateways of one mesh finish for each other. */
export async function createStandby(
  { archive: { standbyFor, standbyMaxBytes }, mqtt, mesh: { linkMaxBytesPerSecond } }: Config,
  settings: ArchiveSettings,
  { clock, logger, store, lanes, mesh, archive, paces }: StandbyParts,
): Promise<Standby> {
  const { Standby: Created } = await import('../bridge/index.js');
  const { node } = mesh;
  const standbySettings: StandbySettings = {
    ...settings,
    ...{ standbyFor, maxBytes: standbyMaxBytes, copyBytesPerSecond: linkMaxBytesPerSecond },
    chunkMaxBytes: mqtt.packetMaxBytes + BESIDE_MESSAGE_BYTES,
    spoolFolder: `${settings.spoolFolder}-standby`,
  };
  const standby = new Created(standbySettings, {
    ...{ self: node.self, clock, timers: realTimers, logger, minuteOfDay, store, archive: archive.offered },
    through: paces.create(),
    inTurns: () => paces.inTurns,
    whenCommitted: (done, position) => lanes.whenCommitted(done, position),
    send: (to, frame) => void node.wire.send(to, frame),
    mayLeave: (filter) => node.mayLeave(filter),
    isEvicted: (gateway) => node.admission.isEvicted(gateway),
  });
  node.wire.user = standby;
  return standby;
}

/** A gateway that is in no mesh any more keeps nothing for others. */
export function letStandbyGo({ archive }: Config, { store, logger }: ArchiveParts): void {
  for (const name of [...store.floors.keys()])
    if (name.startsWith(STANDBY_PREFIX)) store.setFloor(name, undefined);
  if (archive.standbyFor.length > 0)
    logger.warn('this gateway is in no mesh: it keeps nothing for the gateways of archive.standbyFor', {
      standbyFor: archive.standbyFor.join(' '),
    });
}
