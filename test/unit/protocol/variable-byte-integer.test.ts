import t from 'tap';
import {
  encodedLength,
  MALFORMED,
  NEED_MORE,
  readVariableByteInteger,
  writeVariableByteInteger,
} from '../../../lib/protocol/index.js';

const BOUNDS: readonly [value: number, hex: string][] = [
  [0, '00'],
  [127, '7f'],
  [128, '8001'],
  [16_383, 'ff7f'],
  [16_384, '808001'],
  [2_097_151, 'ffff7f'],
  [2_097_152, '80808001'],
  [268_435_455, 'ffffff7f'],
];

for (const [value, hex] of BOUNDS) {
  t.test(`${value} is ${hex}, both ways [MQTT-1.5.5-1]`, async (t) => {
    const size = hex.length / 2;
    const buffer = Buffer.alloc(size + 2, 0xee);
    t.equal(encodedLength(value), size);
    t.equal(writeVariableByteInteger(buffer, 1, value), 1 + size);
    t.equal(buffer.toString('hex'), `ee${hex}ee`);
    t.equal(readVariableByteInteger(buffer, 1, 1 + size), value);
    for (let end = 1; end < 1 + size; end++) t.equal(readVariableByteInteger(buffer, 1, end), NEED_MORE);
  });
}

for (const hex of ['8000', 'ff00', '808000', '80808000', 'ffffffff', '8080808001', '80808080']) {
  t.test(`${hex} is malformed: more bytes than needed, or more than four [MQTT-1.5.5-1]`, async (t) => {
    const buffer = Buffer.from(hex, 'hex');
    t.equal(readVariableByteInteger(buffer, 0, buffer.length), MALFORMED);
  });
}

t.test('values outside 0 to 268435455 are not written', async (t) => {
  for (const value of [-1, 268_435_456, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    const buffer = Buffer.alloc(5);
    t.throws(() => writeVariableByteInteger(buffer, 0, value), RangeError);
    t.same(buffer, Buffer.alloc(5));
  }
});
