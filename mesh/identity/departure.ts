/**
 * What a gateway says of itself when it leaves for good, signed: whoever hears it passes it on, and nobody has to be believed. It is of the life in which the
 * gateway left; one that is back is in another.
 */
import type { Epoch } from '../../lib/contracts/epoch.js';
import {
  gatewayIdOf,
  type GatewayId,
  PUBLIC_KEY_BYTES,
  publicKeyOf,
} from '../../lib/contracts/gateway-id.js';
import { ByteReader, ByteWriter, MalformedFrame } from '../wire/bytes.js';
import { readEpochCounter } from '../wire/log-numbers.js';
import { isSignedBy, SIGNATURE_BYTES } from './ed25519.js';
import type { GatewayKey } from './gateway-key.js';
import { isEpoch } from './lineage.js';

export interface Departure {
  readonly gateway: GatewayId;
  readonly epoch: Epoch;
  /** Of SIGNATURE_BYTES, by the key of the gateway. */
  readonly signature: Uint8Array;
}

/** More than have left a mesh and are still remembered; some 110 KB. */
export const DEPARTURES_MAX_COUNT = 1024;
/** What is signed begins with it, so that a signature is good for nothing else. */
const PURPOSE = 'sprawl-edge departure 1\0';
const FRAME_VERSION = 1;
const NONCE_BYTES = 8;

function signedBytes({ counter, nonce }: Epoch): Uint8Array {
  const writer = new ByteWriter(64);
  return writer.raw(Buffer.from(PURPOSE, 'latin1')).varint(counter).raw(Buffer.from(nonce, 'hex')).finish();
}

export function signDeparture(key: GatewayKey, { counter, nonce }: Epoch): Departure {
  const epoch = { counter, nonce };
  return { gateway: key.id, epoch, signature: key.sign(signedBytes(epoch)) };
}

export function isSignedDeparture({ gateway, epoch, signature }: Departure): boolean {
  return isSignedBy(publicKeyOf(gateway), signedBytes(epoch), signature);
}

export function encodeDepartures(departures: readonly Departure[]): Uint8Array {
  const writer = new ByteWriter(256).u8(FRAME_VERSION).varint(departures.length);
  for (const { gateway, epoch, signature } of departures)
    writer
      .raw(publicKeyOf(gateway))
      .varint(epoch.counter)
      .raw(Buffer.from(epoch.nonce, 'hex'))
      .raw(signature);
  return writer.finish();
}

/** @throws MalformedFrame. Nothing of it is verified. */
export function decodeDepartures(frame: Uint8Array): Departure[] {
  const reader = new ByteReader(frame);
  const version = reader.u8();
  if (version !== FRAME_VERSION) throw new MalformedFrame(`departures of version ${version}`);
  const count = reader.varint();
  if (count > DEPARTURES_MAX_COUNT) throw new MalformedFrame(`${count} departures`);
  const departures = Array.from({ length: count }, () => readDeparture(reader));
  reader.end();
  return departures;
}

function readDeparture(reader: ByteReader): Departure {
  const gateway = gatewayIdOf(reader.raw(PUBLIC_KEY_BYTES));
  const counter = readEpochCounter(reader);
  const epoch = { counter, nonce: Buffer.from(reader.raw(NONCE_BYTES)).toString('hex') };
  if (!isEpoch(epoch)) throw new MalformedFrame('a departure in no life');
  return { gateway, epoch, signature: Uint8Array.from(reader.raw(SIGNATURE_BYTES)) };
}
