import NoiseSecretStream from '@hyperswarm/secret-stream';
import type { RawStream, StreamOptions } from '@hyperswarm/secret-stream';
import { MESSAGE_MAX_BYTES, UNPROVEN_MESSAGE_MAX_BYTES } from './limits.js';

export type { NoiseKeys, RawStream } from '@hyperswarm/secret-stream';

/**
 * The encrypted stream, with a limit on its messages that holds before their bytes arrive: its own is 16 MiB, which it allocates
 * for whoever sends four bytes. It tells a raw stream that has `setContentSize` how much of a message is still to come, before
 * it makes room: there is the limit.
 */
export class FrameStream extends NoiseSecretStream {
  /** Not initialised here: `start` runs inside the constructor of the base class. */
  declare isProven: boolean | undefined;

  override start(raw: RawStream | null, options?: StreamOptions): void {
    if (raw !== null) limitMessages(raw, this);
    super.start(raw, options);
  }
}

function limitMessages(raw: RawStream, stream: FrameStream): void {
  const announce = raw.setContentSize?.bind(raw);
  raw.setContentSize = (size) => {
    const most = stream.isProven === true ? MESSAGE_MAX_BYTES : UNPROVEN_MESSAGE_MAX_BYTES;
    if (size > most)
      stream.destroy(new RangeError(`a message with ${size} bytes to come, ${most} are allowed`));
    else announce?.(size);
  };
}
