import t from 'tap';
import { ByteReader, ByteWriter, MalformedFrame } from '../../../../mesh/wire/bytes.js';

t.test('what is written is read again', async (t) => {
  const writer = new ByteWriter(1);
  const long = 'x'.repeat(300);
  writer.u8(255).u16(65_535).u32(4_294_967_295).u48(281_474_976_710_655);
  writer.varint(0).varint(127).varint(128).varint(4_294_967_296).varint(Number.MAX_SAFE_INTEGER);
  writer.bytes(Uint8Array.of(1, 2, 3)).bytes(new Uint8Array(100).fill(7));
  writer
    .text('')
    .text('a/b')
    .text('größe 🌡')
    .text(long)
    .raw(Uint8Array.of(9, 8, 7), 1, 2);
  const reader = new ByteReader(writer.finish());
  t.equal(reader.u8(), 255);
  t.equal(reader.u16(), 65_535);
  t.equal(reader.u32(), 4_294_967_295);
  t.equal(reader.u48(), 281_474_976_710_655);
  for (const value of [0, 127, 128, 4_294_967_296, Number.MAX_SAFE_INTEGER]) t.equal(reader.varint(), value);
  t.same([...reader.bytes(3)], [1, 2, 3]);
  t.equal(reader.bytes(100).length, 100);
  for (const text of ['', 'a/b', 'größe 🌡', long]) t.equal(reader.text(1000), text);
  t.equal(reader.remaining, 1);
  t.notOk(reader.done);
  t.equal(reader.raw(1)[0], 8);
  t.ok(reader.done);
  reader.end();
});

t.test('a writer begins anew after finish, and forgets what it is told to', async (t) => {
  const writer = new ByteWriter();
  writer.u8(1).u8(2);
  const first = writer.finish();
  writer.u8(3);
  t.same([...first], [1, 2], 'what was given away stays as it was');
  t.same([...writer.finish()], [3]);
  writer.u8(4).u8(5).u8(6);
  t.equal(writer.length, 3);
  writer.cut(1);
  writer.cut(7);
  t.same([...writer.finish()], [4]);
  writer.u8(1);
  writer.clear();
  t.equal(writer.finish().length, 0);
});

t.test('a number that is no varint is not written', async (t) => {
  for (const value of [-1, 0.5, NaN, 2 ** 53]) t.throws(() => new ByteWriter().varint(value), RangeError);
});

t.test('what is cut off, too long or too large is refused', async (t) => {
  const refused = (bytes: readonly number[], read: (reader: ByteReader) => unknown, why: string): void => {
    t.throws(() => read(new ByteReader(Uint8Array.from(bytes))), MalformedFrame, why);
  };
  refused([], (reader) => reader.u8(), 'no byte');
  refused([1], (reader) => reader.u16(), 'half a u16');
  refused([1, 2, 3], (reader) => reader.u32(), 'less than a u32');
  refused([1, 2, 3, 4, 5], (reader) => reader.u48(), 'less than a u48');
  refused([0x80], (reader) => reader.varint(), 'a varint without its end');
  refused([0x80, 0], (reader) => reader.varint(), 'a varint of more bytes than it needs');
  refused([255, 255, 255, 255, 255, 255, 255, 255, 1], (reader) => reader.varint(), 'beyond 2^56');
  refused([255, 255, 255, 255, 255, 255, 255, 31], (reader) => reader.varint(), 'beyond 2^53');
  refused([3, 1, 2], (reader) => reader.bytes(10), 'fewer bytes than its length says');
  refused([3, 1, 2, 3], (reader) => reader.bytes(2), 'more bytes than are allowed');
  refused([255, 255, 255, 255, 15], (reader) => reader.bytes(2 ** 40), 'a length that would take 4 GiB');
  refused([2, 0xc3, 0x28], (reader) => reader.text(10), 'no UTF-8');
  refused([3, 0xed, 0xa0, 0x80], (reader) => reader.text(10), 'half a surrogate pair');
  refused([1], (reader) => reader.raw(2), 'raw bytes beyond the end');
  refused([1], (reader) => reader.end(), 'bytes behind the end');
});

t.test('a text with a byte order mark keeps it', async (t) => {
  t.equal(new ByteReader(new ByteWriter().text('\ufeffx').finish()).text(10), '\ufeffx');
});

t.test('a reader knows where it stands, and passes over what it is told to', async (t) => {
  const reader = new ByteReader(Uint8Array.of(1, 2, 3));
  t.equal(reader.skip(2), 0);
  t.equal(reader.offset, 2);
  t.throws(() => reader.skip(2), MalformedFrame);
});
