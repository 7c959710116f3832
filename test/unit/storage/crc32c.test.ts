import fc from 'fast-check';
import t from 'tap';
import { crc32c, crc32cOfNumber } from '../../../storage/log/crc32c.js';

/** One bit at a time, as RFC 3720 defines it. */
function slowly(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

t.test('the check values of RFC 3720, B.4', async (t) => {
  t.equal(crc32c(Buffer.from('123456789'), 0, 9), 0xe3069283);
  t.equal(crc32c(Buffer.alloc(32), 0, 32), 0x8a9136aa);
  t.equal(crc32c(Buffer.alloc(32, 0xff), 0, 32), 0x62a8ab43);
  t.equal(
    crc32c(
      Uint8Array.from({ length: 32 }, (_, i) => i),
      0,
      32,
    ),
    0x46dd794e,
  );
});

t.test('any range equals the bit by bit definition, in one piece or in two', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (bytes, cut) => {
      const middle = Math.min(cut, bytes.length);
      const expected = slowly(bytes);
      const inTwo = crc32c(bytes, middle, bytes.length, crc32c(bytes, 0, middle));
      return crc32c(bytes, 0, bytes.length) === expected && inTwo === expected;
    }),
  );
  t.pass();
});

t.test('of a number as of its four bytes', async (t) => {
  const bytes = Buffer.alloc(4);
  for (const value of [0, 1, 0x12345678, 0xffffffff]) {
    bytes.writeUInt32LE(value);
    t.equal(crc32cOfNumber(value, 7), crc32c(bytes, 0, 4, 7));
  }
});
