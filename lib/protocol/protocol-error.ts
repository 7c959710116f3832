import type { ReasonCode } from './reason-code.js';

/**
 * Bytes from outside broke the specification. `reasonCode` is what MQTT 5 wants said in CONNACK or DISCONNECT
 * [MQTT 5, section 4.13]; before MQTT 5 the connection is closed without a word. The message is for logs: it names the field,
 * the value and the limit, never a payload or a password.
 */
export class ProtocolError extends Error {
  readonly reasonCode: ReasonCode;

  constructor(reasonCode: ReasonCode, message: string) {
    super(message);
    this.name = 'ProtocolError';
    this.reasonCode = reasonCode;
  }
}

const QUOTED_MAX_CHARACTERS = 80;

/** Text from outside as it may stand in a message: control characters escaped, long text cut. */
export function quote(text: string): string {
  const cut = text.length > QUOTED_MAX_CHARACTERS;
  return JSON.stringify(cut ? `${text.slice(0, QUOTED_MAX_CHARACTERS)}…` : text);
}

/** A byte as the specification writes it, for messages: `0x81`. */
export function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`;
}
