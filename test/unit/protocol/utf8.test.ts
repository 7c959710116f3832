import t from 'tap';
import { decodeUtf8, isValidUtf8String } from '../../../lib/protocol/index.js';

const VALID: readonly [what: string, hex: string][] = [
  ['nothing', ''],
  ['ASCII', '612f62'],
  ['control characters, which are only discouraged', '01091f7f'],
  ['U+0080, the first of two bytes', 'c280'],
  ['U+07FF, the last of two bytes', 'dfbf'],
  ['U+0800, the first of three bytes', 'e0a080'],
  ['U+D7FF, the last before the surrogates', 'ed9fbf'],
  ['U+E000, the first behind the surrogates', 'ee8080'],
  ['U+FFFF, a non-character', 'efbfbf'],
  ['U+10000, the first of four bytes', 'f0908080'],
  ['U+10FFFF, the last of all', 'f48fbfbf'],
  ['all lengths in one', '41c3a9e282acf09f98804200'.slice(0, -2)],
];
for (const [what, hex] of VALID) {
  t.test(`${what} is legal [MQTT-1.5.4-1]`, async (t) => {
    const buffer = Buffer.from(hex, 'hex');
    t.ok(isValidUtf8String(buffer, 0, buffer.length));
    t.equal(decodeUtf8(buffer, 0, buffer.length), buffer.toString('utf8'));
  });
}

const INVALID: readonly [what: string, hex: string][] = [
  ['U+0000 [MQTT-1.5.4-2]', '610062'],
  ['U+0000 behind a longer character [MQTT-1.5.4-2]', 'c3a900'],
  ['U+0000 in two bytes, as Java and MQTT 3.1 write it', 'c080'],
  ['an overlong form of two bytes', 'c1bf'],
  ['an overlong form of three bytes', 'e09fbf'],
  ['an overlong form of four bytes', 'f08fbfbf'],
  ['the first surrogate', 'eda080'],
  ['the last surrogate', 'edbfbf'],
  ['U+110000', 'f4908080'],
  ['a lead byte beyond four bytes', 'f880808080'],
  ['a lead byte F5', 'f5808080'],
  ['a continuation byte without a lead', '80'],
  ['a lead byte without a continuation', 'c241'],
  ['a second byte below the continuations', 'e27f80'],
  ['a third byte that is no continuation', 'e28241'],
  ['a fourth byte that is no continuation', 'f09f9841'],
  ['a character cut off by the end', 'e282'],
];
for (const [what, hex] of INVALID) {
  t.test(`${what} is refused [MQTT-1.5.4-1]`, async (t) => {
    const buffer = Buffer.from(hex, 'hex');
    t.notOk(isValidUtf8String(buffer, 0, buffer.length));
  });
}

t.test('only the bytes from start to end count', async (t) => {
  const buffer = Buffer.from('00c3a900', 'hex');
  t.ok(isValidUtf8String(buffer, 1, 3));
  t.notOk(isValidUtf8String(buffer, 1, 2), 'the rest of the character is behind the end');
  t.equal(decodeUtf8(buffer, 1, 3), 'é');
});

t.test('U+FEFF at the start stays a character of the string [MQTT-1.5.4-3]', async (t) => {
  const buffer = Buffer.from('efbbbf61', 'hex');
  t.ok(isValidUtf8String(buffer, 0, buffer.length));
  t.equal(decodeUtf8(buffer, 0, buffer.length), '\ufeffa');
});

t.test('a plain Uint8Array is decoded like a Buffer, at any offset of its memory', async (t) => {
  const memory = new Uint8Array(Buffer.from('xxa/éyy'));
  const view = memory.subarray(2, 6);
  t.equal(decodeUtf8(view, 0, view.length), 'a/é');
});
