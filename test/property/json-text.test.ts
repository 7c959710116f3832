import fc from 'fast-check';
import t from 'tap';
import { isJson } from '../../bridge/archive/json-text.js';

function isParsed(bytes: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
    return true;
  } catch {
    return false;
  }
}

const spaces = fc.constantFrom('', ' ', '\n\t', '\r ');
const text = fc.tuple(fc.json(), spaces, spaces).map(([json, before, behind]) => before + json + behind);
const spread = fc
  .jsonValue()
  .map((value) => JSON.stringify(value, undefined, 2).replaceAll(':', ' :').replaceAll(',', ' ,'));

t.test('whatever is JSON is taken for it', async () => {
  fc.assert(
    fc.property(fc.oneof(text, spread), (json) => isJson(Buffer.from(json)) === isParsed(Buffer.from(json))),
    { numRuns: 2000 },
  );
});

t.test('JSON of which a byte was changed, put in or left out is what the parser says', async () => {
  const likely = fc.constantFrom(...Buffer.from('{}[]",:\\u0e.+-1tfn \n\x1f\x80\xff', 'latin1'));
  const change = fc.tuple(fc.nat(), likely, fc.constantFrom<'put' | 'drop' | 'set'>('put', 'drop', 'set'));
  fc.assert(
    fc.property(text, fc.array(change, { minLength: 1, maxLength: 3 }), (json, changes) => {
      const bytes = [...Buffer.from(json)];
      for (const [where, byte, what] of changes) {
        const at = where % (bytes.length + 1);
        bytes.splice(at, what === 'put' ? 0 : 1, ...(what === 'drop' ? [] : [byte]));
      }
      return isJson(Uint8Array.from(bytes)) === isParsed(Uint8Array.from(bytes));
    }),
    { numRuns: 10_000 },
  );
});

t.test('what the grammar says about numbers, strings and words', async (t) => {
  const yes = [
    '0',
    '-0',
    '1.5',
    '1e5',
    '1E+5',
    '-1.25e-7',
    '""',
    '"\\u00e9\\n\\/"',
    'true',
    'false',
    'null',
    '[]',
    '{}',
  ];
  const no = [
    '',
    ' ',
    '-',
    '01',
    '1.',
    '.5',
    '1e',
    '1e+',
    '+1',
    '"',
    '"\n"',
    '"\\x"',
    '"\\u12g4"',
    '"\\u12',
    'tru',
    'nul',
    'truex',
  ];
  const broken = [
    '[',
    '[1',
    '[1,',
    '[1,]',
    '[,]',
    ']',
    '{',
    '{"a"',
    '{"a":',
    '{"a":1,}',
    '{1:2}',
    '{"a" 1}',
    '[1}',
    '{"a":1]',
    '1 2',
    '\ufeff1',
  ];
  for (const one of yes) t.equal(isJson(Buffer.from(one)), true, one);
  for (const one of [...no, ...broken]) t.equal(isJson(Buffer.from(one)), false, JSON.stringify(one));
  t.equal(isJson(Buffer.from('"\xe9"', 'latin1')), false, 'no UTF-8');
});

t.test('what is very deep is judged as well', async (t) => {
  for (const depth of [63, 64, 65, 5000]) {
    const nested = '[{"a":'.repeat(depth / 2) + '1' + '}]'.repeat(depth / 2);
    t.equal(isJson(Buffer.from(nested)), true, `${depth}`);
    t.equal(isJson(Buffer.from(nested.slice(0, -1))), false, `${depth} without its end`);
    t.equal(isJson(Buffer.from(nested.replace('1', '"\xe9"'), 'latin1')), false, `${depth} and no UTF-8`);
  }
});
