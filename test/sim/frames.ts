import { readVariableByteInteger } from '../../lib/protocol/index.js';

/** Cuts a byte stream into whole frames. */
export class FrameSplitter {
  #rest: Uint8Array = new Uint8Array(0);

  push(bytes: Uint8Array): Uint8Array[] {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const frames: Uint8Array[] = [];
    let at = 0;
    while (all.length - at >= 2) {
      const remaining = readVariableByteInteger(all, at + 1, all.length);
      if (remaining < 0) break;
      const lengthBytes = remaining < 0x80 ? 1 : remaining < 0x4000 ? 2 : remaining < 0x200000 ? 3 : 4;
      const end = at + 1 + lengthBytes + remaining;
      if (end > all.length) break;
      frames.push(all.subarray(at, end));
      at = end;
    }
    this.#rest = all.slice(at);
    return frames;
  }
}
