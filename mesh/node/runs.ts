/** Frames of the channel `runs`: u8 whether the messages are MQTT 5, the publisher's client id, and its PUBLISH frames as they came. */
import { ByteReader, ByteWriter } from '../wire/bytes.js';

const CLIENT_ID_MAX_BYTES = 65_535;
/** A frame is cut between messages; one that is larger than this goes message by message. */
export const RUN_MAX_BYTES = 262_144;

export interface RunFrame {
  readonly v5: boolean;
  readonly publisher: string;
  /** The receiver's own. */
  readonly frames: Uint8Array;
}

export function encodeRun(v5: boolean, publisher: string, frames: Uint8Array): Uint8Array {
  return new ByteWriter(frames.length + publisher.length + 16)
    .u8(v5 ? 1 : 0)
    .text(publisher)
    .raw(frames)
    .finish();
}

/** @throws MalformedFrame */
export function decodeRun(frame: Uint8Array): RunFrame {
  const reader = new ByteReader(frame);
  const v5 = reader.u8() === 1;
  const publisher = reader.text(CLIENT_ID_MAX_BYTES);
  return { v5, publisher, frames: Uint8Array.prototype.slice.call(frame, reader.offset) };
}
