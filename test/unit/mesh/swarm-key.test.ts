import { createHash, randomBytes } from 'node:crypto';
import { format, inspect } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { SprawlError } from '../../../lib/contracts/errors.js';
import { SwarmKey } from '../../../mesh/admission/swarm-key.js';

const CHARACTERS = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const fixed = SwarmKey.create(() => new Uint8Array(32).fill(7));
const TEXT = fixed.reveal();
const EXPECTED_TOPIC_DIGEST = '7de80ed9e915b597';

const whyNot = (text: string): string => {
  try {
    SwarmKey.parse(text);
  } catch (error) {
    if (error instanceof SprawlError && error.code === 'SWARM_KEY_INVALID') return error.message;
    throw error;
  }
  return '';
};

t.test('a key comes back from its text, however it was pasted', async (t) => {
  t.equal(TEXT.length, 65);
  t.match(TEXT, /^sprawl1[a-z0-9]{58}$/);
  for (let i = 0; i < 50; i++) {
    const key = SwarmKey.create(randomBytes);
    const text = key.reveal();
    for (const pasted of [text, ` ${text}\n`, text.toUpperCase(), `\t${text}\r\n`]) {
      t.ok(SwarmKey.parse(pasted).equals(key));
      t.equal(SwarmKey.parse(pasted).reveal(), text);
    }
    t.notOk(key.equals(fixed));
  }
});

t.test('up to four wrong characters, and two that are swapped, are always found', async (t) => {
  const wrong = fc.uniqueArray(fc.tuple(fc.integer({ min: 7, max: 64 }), fc.integer({ min: 1, max: 31 })), {
    selector: ([at]) => at,
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), wrong, (secret, changes) => {
      const text = [...SwarmKey.create(() => secret).reveal()];
      for (const [at, by] of changes)
        text[at] = CHARACTERS[(CHARACTERS.indexOf(text[at] as string) + by) % 32] as string;
      return whyNot(text.join('')).includes('mistyped');
    }),
    { numRuns: 300 },
  );
  for (let at = 7; at < 64; at++) {
    if (TEXT[at] === TEXT[at + 1]) continue;
    const swapped = `${TEXT.slice(0, at)}${TEXT[at + 1]}${TEXT[at]}${TEXT.slice(at + 2)}`;
    t.match(whyNot(swapped), /mistyped/, `${at}`);
  }
});

t.test('what is wrong is said, and the key is not', async (t) => {
  const cases: [string, RegExp][] = [
    ['', /does not begin with "sprawl1"/],
    ['hello', /does not begin with "sprawl1"/],
    [TEXT.slice(3), /does not begin with "sprawl1"/],
    [TEXT.slice(0, -1), /has 64 characters instead of 65: it was not copied whole/],
    [`${TEXT}q`, /has 66 characters instead of 65: there is more in it than a swarm key/],
    ['sprawl1', /has 7 characters/],
    [`${TEXT.slice(0, 20)}b${TEXT.slice(21)}`, /its character 21 is "b", which no swarm key has/],
    [`${TEXT.slice(0, 20)} ${TEXT.slice(20)}`, /its character 21 is " "/],
    [`${TEXT.slice(0, 20)}😀${TEXT.slice(21)}`, /its character 21 is "😀"/],
    [`${TEXT.slice(0, 20).toUpperCase()}${TEXT.slice(20)}`, /capital and small letters/],
    [TEXT.replace(/.$/, (last) => (last === 'q' ? 'p' : 'q')), /its checksum is wrong/],
  ];
  for (const [text, why] of cases) {
    const message = whyNot(text);
    t.match(message, why);
    t.match(message, /sprawl-edge init/);
    if (text.length > 20) t.notOk(message.includes(text.slice(8, 20).toLowerCase()));
  }
});

t.test('the key is not printed by accident', async (t) => {
  const printed = [
    `${fixed}`,
    JSON.stringify({ fixed }),
    inspect({ fixed }),
    format('%s %o %j', fixed, fixed, fixed),
  ];
  for (const text of printed) {
    t.match(text, /\[swarm key\]/);
    t.notOk(text.includes(TEXT.slice(7, 20)));
  }
});

t.test('a topic tells members apart from others, and nothing of the key', async (t) => {
  t.same(SwarmKey.parse(TEXT).topic, fixed.topic);
  t.equal(fixed.topic.length, 32);
  t.notSame(fixed.topic, SwarmKey.create(randomBytes).topic);
  // Two versions of the program have to meet under the same topic: it may not change by accident.
  t.equal(createHash('sha256').update(fixed.topic).digest('hex').slice(0, 16), EXPECTED_TOPIC_DIGEST);
});

t.test('a proof holds for one side of one handshake with one identity', async (t) => {
  const handshake = randomBytes(64);
  const publicKey = randomBytes(32);
  const proof = fixed.proof('dialler', handshake, publicKey);
  const member = SwarmKey.parse(TEXT);
  t.ok(member.verify(proof, 'dialler', handshake, publicKey));
  t.notOk(member.verify(proof, 'listener', handshake, publicKey), 'sent back');
  t.notOk(member.verify(proof, 'dialler', randomBytes(64), publicKey), 'of another connection');
  t.notOk(member.verify(proof, 'dialler', handshake, randomBytes(32)), 'of another gateway');
  t.notOk(SwarmKey.create(randomBytes).verify(proof, 'dialler', handshake, publicKey), 'of another mesh');
  const joined = Buffer.concat([handshake, publicKey]);
  t.notOk(
    member.verify(proof, 'dialler', joined.subarray(0, 63), joined.subarray(63)),
    'cut at another place',
  );
  for (const bad of [proof.subarray(1), new Uint8Array(0), Buffer.concat([proof, proof])])
    t.notOk(member.verify(bad, 'dialler', handshake, publicKey));
});
