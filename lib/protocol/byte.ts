/** The byte at `index`. The caller has checked that `index` is within `bytes`: beyond it there is no promise. */
export function u8(bytes: Uint8Array, index: number): number {
  // A checked read costs a branch per byte in the loops that look at every byte of every topic.
  return bytes[index] as number;
}

/** The low two bits of `byte`: the width of a QoS, whose fourth value every field that holds one forbids. */
export function twoBits(byte: number): 0 | 1 | 2 | 3 {
  switch (byte & 3) {
    case 0:
      return 0;
    case 1:
      return 1;
    case 2:
      return 2;
    default:
      return 3;
  }
}
