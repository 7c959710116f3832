import fc from 'fast-check';
import t from 'tap';
import { EPOCH_COUNTER_MAX } from '../../../../lib/contracts/epoch.js';
import { LOG_POSITION_MAX } from '../../../../lib/contracts/store.js';
import { decodeHello, encodeHello, type Hello } from '../../../../mesh/node/hello.js';
import { ByteWriter, MalformedFrame } from '../../../../mesh/wire/bytes.js';

const position = fc.integer({ min: 0, max: LOG_POSITION_MAX });
const nonce = fc
  .uint8Array({ minLength: 8, maxLength: 8 })
  .map((bytes) => Buffer.from(bytes).toString('hex'));
const epoch = fc.record({ counter: fc.integer({ min: 1, max: EPOCH_COUNTER_MAX }), nonce });
const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const text = fc.string({ unit: 'grapheme', maxLength: 10 }).filter((one) => Buffer.byteLength(one) <= 128);

const lineage = fc
  .array(fc.record({ step: fc.integer({ min: 1, max: 1000 }), nonce, after: position }), {
    minLength: 1,
    maxLength: 64,
  })
  .map((starts) => {
    let counter = 0;
    return starts.map(({ step, nonce: digits, after }) => ({
      counter: (counter += step),
      nonce: digits,
      after,
    }));
  });

const greeting = fc
  .record({
    isKnown: fc.boolean(),
    levels: fc.tuple(position, position, position),
    steps: fc.array(fc.integer({ min: 1, max: 1000 }), { maxLength: 20 }),
    backfill: fc.option(fc.record({ id: position, cursor: position }), { nil: undefined }),
    creditBytes: position,
    wholeMaxBytes: position,
  })
  .map(({ isKnown, levels, steps, ...rest }) => {
    const [floor = 0, durable = 0, covered = 0] = [...levels].sort((a, b) => a - b);
    let at = 0;
    const have = steps.map((step) => (at += step));
    return isKnown
      ? { covered, durable, floor, have, ...rest }
      : { covered: undefined, durable: 0, floor: 0, have, ...rest };
  });

const hellos: fc.Arbitrary<Hello> = fc.record({
  version: fc.integer({ min: 1, max: 255 }),
  software: text,
  site: text,
  lineage,
  head: position,
  addresses: fc.array(text, { maxLength: 16 }),
  knownEpoch: fc.option(epoch, { nil: undefined }),
  interest: fc.option(fc.record({ life: fc.integer({ min: 0, max: 2 ** 47 }), version: position }), {
    nil: undefined,
  }),
  greeting,
  rosterVersion: fc.constantFrom('', '0123456789abcdef'),
  admin: fc.option(fc.record({ publicKey: key, salt: key }), { nil: undefined }),
});

const PLAIN: Hello = {
  ...{ version: 1, software: '1', site: 'a', head: 0, addresses: [], rosterVersion: '' },
  lineage: [{ counter: 1, nonce: '00'.repeat(8), after: 0 }],
  greeting: {
    ...{ covered: undefined, durable: 0, floor: 0, have: [], backfill: undefined },
    ...{ creditBytes: 1, wholeMaxBytes: 1 },
  },
  ...{ knownEpoch: undefined, interest: undefined, admin: undefined },
};

t.test('a hello is read as it was written, whatever a later version adds at its end', (t) => {
  fc.assert(
    fc.property(hellos, fc.uint8Array({ maxLength: 8 }), (hello, more) => {
      t.same(decodeHello(Buffer.concat([encodeHello(hello), more])), hello);
    }),
    { numRuns: 200 },
  );
  t.end();
});

t.test('a hello that was cut anywhere is malformed', (t) => {
  fc.assert(
    fc.property(hellos, (hello) => {
      const whole = encodeHello(hello);
      for (let length = 0; length < whole.length; length++)
        t.throws(() => decodeHello(whole.subarray(0, length)), MalformedFrame);
    }),
    { numRuns: 5 },
  );
  t.end();
});

t.test('noise, and a hello in which bytes were changed, is read or malformed, and nothing else', (t) => {
  const isReadOrMalformed = (frame: Uint8Array): boolean => {
    try {
      decodeHello(frame);
    } catch (error) {
      return error instanceof MalformedFrame;
    }
    return true;
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), isReadOrMalformed), { numRuns: 500 });
  fc.assert(
    fc.property(hellos, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 5 }), (hello, changes) => {
      const frame = Uint8Array.from(encodeHello(hello));
      for (const [at, value] of changes) frame[at % frame.length] = value;
      return isReadOrMalformed(frame);
    }),
    { numRuns: 500 },
  );
  t.end();
});

t.test('a hello with more than may be, or with lives in disorder, is malformed', (t) => {
  const starts = (count: number): Hello['lineage'] =>
    Array.from({ length: count }, (_, n) => ({ counter: n + 1, nonce: '00'.repeat(8), after: 0 }));
  const cases: readonly (readonly [Partial<Hello>, RegExp])[] = [
    [{ version: 0 }, /version 0/],
    [{ lineage: [] }, /without an epoch/],
    [{ lineage: [{ counter: 0, nonce: '00'.repeat(8), after: 0 }] }, /epoch with the counter 0/],
    [
      { knownEpoch: { counter: EPOCH_COUNTER_MAX + 1, nonce: '00'.repeat(8) } },
      /epoch with the counter 2097152/,
    ],
    [{ lineage: starts(65) }, /65 where 64 are the most/],
    [{ lineage: starts(2).toReversed() }, /do not follow each other/],
    [{ addresses: Array.from({ length: 17 }, () => 'a:1') }, /17 where 16 are the most/],
    [{ software: 'x'.repeat(129) }, /./],
    [{ site: 'x'.repeat(129) }, /./],
    [{ addresses: ['x'.repeat(129)] }, /./],
    [{ rosterVersion: 'x'.repeat(33) }, /./],
  ];
  for (const [changes, message] of cases)
    t.throws(() => decodeHello(encodeHello({ ...PLAIN, ...changes })), { name: 'MalformedFrame', message });
  t.throws(
    () => encodeHello({ ...PLAIN, lineage: [{ counter: 1, nonce: 'abc', after: 0 }] }),
    /abc is no nonce/,
  );
  t.throws(() => decodeHello(new ByteWriter(4).u8(1).finish()), MalformedFrame);
  t.end();
});
