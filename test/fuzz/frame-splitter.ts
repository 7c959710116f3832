import { readVariableByteInteger, encodedLength, MALFORMED, NEED_MORE } from '../../lib/protocol/index.js';

/** Cuts what arrives into whole frames. */
export class FrameSplitter {
  #rest: Buffer = Buffer.alloc(0);

  /** Bytes of a frame that has only begun. */
  get pending(): number {
    return this.#rest.length;
  }

  /** @throws RangeError where no frame can begin like that. */
  split(bytes: Buffer): Buffer[] {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const frames: Buffer[] = [];
    let at = 0;
    while (at + 2 <= all.length) {
      const length = readVariableByteInteger(all, at + 1, all.length);
      if (length === NEED_MORE) break;
      if (length === MALFORMED)
        throw new RangeError(`no Remaining Length: ${all.subarray(at, at + 5).toString('hex')}`);
      const end = at + 1 + encodedLength(length) + length;
      if (end > all.length) break;
      frames.push(all.subarray(at, end));
      at = end;
    }
    this.#rest = all.subarray(at);
    return frames;
  }
}
