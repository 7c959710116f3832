/** The four acknowledgements of PUBLISH, straight into an outbox: with PUBLISH they are most of what a gateway sends. */
import type { SessionLink } from '../session/environment.js';

/** First bytes. */
export const PUBACK = 0x40;
export const PUBREC = 0x50;
export const PUBREL = 0x62;
export const PUBCOMP = 0x70;

/** The reason code is written only where there is one to tell and the client is v5. */
export function writeAck(link: SessionLink, header: number, packetId: number, reasonCode: number): void {
  const { outbox } = link;
  const size = reasonCode !== 0 && link.version === 5 ? 5 : 4;
  const offset = outbox.reserve(size);
  const out = outbox.buffer;
  out[offset] = header;
  out[offset + 1] = size - 2;
  out[offset + 2] = packetId >> 8;
  out[offset + 3] = packetId & 0xff;
  if (size === 5) out[offset + 4] = reasonCode;
  outbox.commit(size);
}
