/** Payloads of the simulation name their message: `publisher:sequence|padding`. */

/** Who published it, and the how many-th message of this publisher it is. */
export interface MessageName {
  readonly publisher: string;
  readonly sequence: number;
}

export function createPayload(mid: string, paddingBytes: number): Uint8Array {
  return Buffer.from(`${mid}|${'x'.repeat(paddingBytes)}`);
}

/** The part before the padding. */
export function messageIdOf(payload: Uint8Array): string {
  const end = payload.indexOf(0x7c);
  return Buffer.from(payload.buffer, payload.byteOffset, end < 0 ? payload.length : end).toString('latin1');
}

export function parseMessageId(mid: string): MessageName {
  const colon = mid.lastIndexOf(':');
  return { publisher: mid.slice(0, colon), sequence: Number(mid.slice(colon + 1)) };
}
