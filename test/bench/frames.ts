/**
 * The few MQTT packets that the load generator sends, written by hand: it must not share an encoder with what it
 * measures, nor pay for one.
 */
import type { BenchVersion } from './load-job.js';

/** First bytes of every payload that the generator publishes; a delivery without it fails the run. */
export const PAYLOAD_MAGIC = 0x5eedbeef;
/** In its place in a greeting, which only asks whether the way is open: see greeter.ts. */
export const GREETING_MAGIC = 0x6ee71b65;
/** Offsets in the payload: magic (u32), sequence (u32), time stamp (f64, microseconds of the monotonic clock). */
export const SEQUENCE_AT = 4;
export const STAMP_AT = 8;
export const PAYLOAD_MIN_BYTES = 16;

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

function packet(first: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const length: number[] = [];
  let rest = body.length;
  do {
    length.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return Buffer.concat([Buffer.from([first, ...length]), body]);
}

const noProperties = (version: BenchVersion): Buffer => Buffer.from(version === 5 ? [0] : []);

/** Keep alive 0: the generator sends nothing that is not load. Clean session but for one that is to stay (MQTT 3.1.1). */
export function connectFrame(version: BenchVersion, clientId: string, stays = false): Buffer {
  return packet(
    0x10,
    text('MQTT'),
    Buffer.from([version, stays ? 0 : 0x02, 0, 0]),
    noProperties(version),
    text(clientId),
  );
}

export function subscribeFrame(version: BenchVersion, filter: string, qos: number): Buffer {
  return packet(0x82, Buffer.from([0, 1]), noProperties(version), text(filter), Buffer.from([qos]));
}

/** A PUBLISH whose sequence, stamp and packet id are overwritten for each message. */
export interface PublishTemplate {
  readonly bytes: Buffer;
  /** Offset of the packet identifier; -1 for QoS 0. */
  readonly packetIdAt: number;
  readonly payloadAt: number;
}

/** `payloadBytes` from 16; what follows the stamp is a pattern that `payloadPattern` gives for any offset. */
export function publishTemplate(
  version: BenchVersion,
  topic: string,
  qos: 0 | 1 | 2,
  payloadBytes: number,
): PublishTemplate {
  if (payloadBytes < PAYLOAD_MIN_BYTES) throw new RangeError(`payload: ${payloadBytes} bytes, at least 16`);
  const payload = Buffer.alloc(payloadBytes);
  for (let i = 0; i < payloadBytes; i++) payload[i] = payloadPattern(i);
  payload.writeUInt32BE(PAYLOAD_MAGIC, 0);
  const id = Buffer.from(qos === 0 ? [] : [0, 1]);
  const bytes = packet(0x30 | (qos << 1), text(topic), id, noProperties(version), payload);
  const payloadAt = bytes.length - payloadBytes;
  return { bytes, packetIdAt: qos === 0 ? -1 : payloadAt - noProperties(version).length - 2, payloadAt };
}

export function payloadPattern(offset: number): number {
  return (offset * 37 + 11) & 0xff;
}
