import fc from 'fast-check';
import { test } from 'tap';
import { ByeCode, type Control, decodeControl, encodeControl } from '../../../../mesh/transport/control.js';

const port = fc.integer({ min: 0, max: 65_535 });
const control: fc.Arbitrary<Control> = fc.oneof(
  fc.record({
    kind: fc.constant('introduction' as const),
    datagramSecret: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    instance: fc.uint8Array({ minLength: 78, maxLength: 78 }),
    tcpPort: port,
    udpPort: port,
    hosts: fc.array(fc.ipV4(), { maxLength: 8 }),
  }),
  fc.constant({ kind: 'use' as const }),
  fc.record({
    kind: fc.constantFrom('ping' as const, 'pong' as const),
    number: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  }),
  fc.record({
    kind: fc.constant('bye' as const),
    code: fc.constantFrom(...Object.values(ByeCode)),
    reason: fc.stringMatching(/^[ -~]{0,200}$/),
  }),
);

test('what is written is read again', async (t) => {
  fc.assert(
    fc.property(control, (written) => {
      const read = decodeControl(encodeControl(written));
      t.same(JSON.stringify(read), JSON.stringify({ ...written }), { compareOptions: {} });
    }),
    { numRuns: 200 },
  );
});

test('noise and cut messages are malformed or unknown, and nothing throws', async (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void decodeControl(bytes)));
  fc.assert(
    fc.property(control, fc.nat(), (written, at) => {
      const whole = encodeControl(written);
      const cut = whole.subarray(0, at % whole.length);
      t.ok(decodeControl(cut) === undefined, `${written.kind} cut at ${cut.length}`);
      t.equal(decodeControl(Buffer.concat([whole, Buffer.from([0])])), undefined, 'with a byte too many');
    }),
  );
});

test('of a newer version', async (t) => {
  t.equal(decodeControl(Uint8Array.of(77, 1, 2)), 'unknown');
  t.match(decodeControl(Uint8Array.of(5, 99, 1, 65)), { kind: 'bye', code: ByeCode.fault, reason: 'A' });
  t.equal(decodeControl(new Uint8Array(5000)), undefined);
});

test('a reason comes without line ends and other signs that a terminal obeys', async (t) => {
  const bye = encodeControl({ kind: 'bye', code: 0, reason: 'a\nb\u001b[2J\u202e' });
  t.match(decodeControl(bye), { reason: 'a?b?[2J?' });
});
