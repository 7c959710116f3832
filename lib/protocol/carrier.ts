/**
 * Where a property or a reason code may stand: the right-hand columns of [MQTT 5, tables 2-4 and 2-6], as bits of one word.
 */
import { PacketType, type Direction, type PacketTypeName } from './packet.js';

/** A packet, or the properties of the will inside CONNECT, which have their own column in table 2-4. */
export type Place = PacketTypeName | 'will';

/** A place, narrowed to one direction where the other way is not allowed. */
export type Carrier = Place | `${Place} ${Direction}`;

/** Of each of sixteen places two bits, one per direction. */
export function carrierBit(place: Place, direction: Direction): number {
  const column = place === 'will' ? 0 : PacketType[place];
  return 1 << (column * 2 + (direction === 'toServer' ? 0 : 1));
}

/** Both directions of a place. */
export function carrierBits(place: Place): number {
  return carrierBit(place, 'toServer') | carrierBit(place, 'toClient');
}

export function carrierMask(carriers: readonly Carrier[]): number {
  let mask = 0;
  for (const place of PLACES) {
    if (carriers.includes(place)) mask |= carrierBits(place);
    if (carriers.includes(`${place} toServer`)) mask |= carrierBit(place, 'toServer');
    if (carriers.includes(`${place} toClient`)) mask |= carrierBit(place, 'toClient');
  }
  return mask;
}

const PLACES: readonly Place[] = ['will', ...(Object.keys(PacketType) as PacketTypeName[])];
