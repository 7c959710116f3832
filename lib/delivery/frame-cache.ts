/**
 * One message on its way to many: it is encoded once per protocol form (3.1.1 or 5, with or without packet id), and each
 * receiver gets a copy with its own first byte and packet id.
 */
import type { Message } from '../message/message.js';
import { encodePublish, type PublishVariant } from '../connection/publish-writer.js';

const variant: PublishVariant = {
  header: 0x30,
  packetId: 0,
  v5: false,
  expiryS: 0,
  identifiers: undefined,
  alias: 0,
  aliasKnown: false,
};

export class FrameCache {
  #message: Message | undefined;
  #expiryS = 0;
  readonly #frames: (Uint8Array | undefined)[] = [undefined, undefined, undefined, undefined];

  /** Begins a fan-out; `expiryS` is what is left of the message's life, 0 for no expiry. */
  begin(message: Message, expiryS: number): void {
    // Not ended where a hook of one fan-out publishes, or threw.
    if (this.#message !== undefined) this.#frames.fill(undefined);
    this.#message = message;
    this.#expiryS = expiryS;
  }

  end(): void {
    this.#message = undefined;
    this.#frames.fill(undefined);
  }

  serves(message: Message): boolean {
    return this.#message === message;
  }

  frame(message: Message, v5: boolean, withId: boolean): Uint8Array {
    const index = (v5 ? 2 : 0) + (withId ? 1 : 0);
    let frame = this.#frames[index];
    if (frame === undefined) {
      variant.v5 = v5;
      variant.packetId = withId ? 1 : 0;
      variant.expiryS = v5 ? this.#expiryS : 0;
      frame = encodePublish(message, variant);
      this.#frames[index] = frame;
    }
    return frame;
  }
}
