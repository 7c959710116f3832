import t from 'tap';
import { type EncodedText, TextSlots, withLength } from '../../../lib/message/text-slots.js';

function counted(slots: number): { slots: TextSlots<EncodedText>; decoded: () => number } {
  let count = 0;
  const decode = (bytes: Uint8Array, start: number, end: number): EncodedText => {
    count++;
    return {
      text: Buffer.from(bytes.subarray(start, end)).toString(),
      encoded: withLength(bytes, start, end),
    };
  };
  return { slots: new TextSlots(slots, decode), decoded: () => count };
}

t.test('a text that comes again is decoded once', async (t) => {
  const { slots, decoded } = counted(16);
  const bytes = Buffer.from('..plant/1/temperature..');
  const first = slots.get(bytes, 2, bytes.length - 2);
  t.equal(first.text, 'plant/1/temperature');
  t.equal(slots.get(Buffer.from('plant/1/temperature'), 0, 19), first);
  t.equal(decoded(), 1);
});

t.test('two texts in one slot stay apart', async (t) => {
  const { slots } = counted(1);
  for (const text of ['a/1', 'a/2', 'a/1', 'a/12'])
    t.equal(slots.get(Buffer.from(text), 0, text.length).text, text);
});

t.test('a long text is decoded and not kept', async (t) => {
  const { slots, decoded } = counted(16);
  const bytes = Buffer.from('x'.repeat(129));
  t.equal(slots.get(bytes, 0, 128), slots.get(bytes, 0, 128));
  t.equal(decoded(), 1);
  t.equal(slots.get(bytes, 0, 129).text.length, 129);
  slots.get(bytes, 0, 129);
  t.equal(decoded(), 3);
});

t.test('without slots nothing is kept', async (t) => {
  const { slots, decoded } = counted(0);
  slots.get(Buffer.from('a'), 0, 1);
  slots.get(Buffer.from('a'), 0, 1);
  t.equal(decoded(), 2);
});
