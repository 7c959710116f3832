import t from 'tap';
import { TextMemo } from '../../../lib/message/text-memo.js';

t.test('each text is made once while it comes again, and no more are held than allowed', async (t) => {
  const made: string[] = [];
  const memo = new TextMemo(4, (text) => {
    made.push(text);
    return text.length > 1;
  });
  for (const text of ['a', 'long', 'a', 'long']) t.equal(memo.of(text), text.length > 1);
  t.same(made, ['a', 'long'], 'false is known, too');
  for (const text of ['c', 'a', 'd', 'c', 'a']) memo.of(text);
  t.same(made, ['a', 'long', 'c', 'd'], 'all four are here');
  memo.of('e');
  for (const text of ['long', 'c', 'd', 'e']) memo.of(text);
  t.same(made, ['a', 'long', 'c', 'd', 'e'], 'the first was forgotten for the fifth');
  memo.of('a');
  memo.of('long');
  t.same(made.slice(5), ['a', 'long'], 'and the next for the next');
});

t.test('what cannot be made is not held', async (t) => {
  let tries = 0;
  const memo = new TextMemo(4, () => {
    tries++;
    throw new Error('no');
  });
  for (let i = 0; i < 2; i++) t.throws(() => memo.of('a'), { message: 'no' });
  t.equal(tries, 2);
});
