import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { SprawlError } from '../../../../lib/contracts/errors.js';
import { gatewayIdOf, type GatewayId } from '../../../../lib/contracts/gateway-id.js';
import { FRAME_MAX_BYTES } from '../../../../mesh/link/peer-link.js';
import { createMesh } from '../../../../mesh/admission/admin-key.js';
import { reasonFault, signEviction, type SignedEviction } from '../../../../mesh/admission/eviction.js';
import {
  decodeEvictions,
  encodeEvictions,
  Roster,
  ROSTER_MAX_COUNT,
} from '../../../../mesh/admission/roster.js';
import { ByteWriter, MalformedFrame } from '../../../../mesh/wire/bytes.js';

const { adminKey, binding } = createMesh(randomBytes);
const stranger = createMesh(randomBytes).adminKey;

function idOf(number: number): GatewayId {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setUint32(0, number);
  return gatewayIdOf(bytes);
}
const signed = (gateway: number, sequence: number, reason = ''): SignedEviction =>
  signEviction(adminKey, { gateway: idOf(gateway), sequence, reason });
const decoded = (frames: readonly Uint8Array[]): SignedEviction[] => frames.flatMap(decodeEvictions);

t.test('an evicted gateway is evicted wherever the roster comes', async (t) => {
  const roster = new Roster(binding);
  const empty = roster.version;
  t.notOk(roster.isEvicted(idOf(1)));
  const eviction = roster.evict(adminKey, idOf(1), 'stolen');
  t.match(eviction, { gateway: idOf(1), sequence: 1, reason: 'stolen' });
  t.equal(roster.evict(adminKey, idOf(2), '').sequence, 2);
  t.not(roster.version, empty);
  t.match(roster.version, /^[0-9a-f]{16}$/);
  const other = new Roster(binding);
  t.same(other.merge(decoded(roster.encode())), [idOf(1), idOf(2)]);
  t.equal(other.version, roster.version);
  t.equal(other.evictionOf(idOf(1))?.reason, 'stolen');
  t.same(other.merge(decoded(roster.encode())), []);
  t.same(decoded(new Roster(binding).encode()), []);
});

t.test('nobody but the admin evicts', async (t) => {
  const roster = new Roster(binding);
  t.throws(() => roster.evict(stranger, idOf(1), ''), { code: 'ADMIN_KEY_WRONG' });
  const forged = signEviction(stranger, { gateway: idOf(1), sequence: 9, reason: '' });
  const eviction = signed(1, 3, 'a');
  const changed = [
    forged,
    { ...eviction, reason: 'b' },
    { ...eviction, sequence: 4 },
    { ...eviction, gateway: idOf(2) },
    { ...eviction, signature: eviction.signature.subarray(1) },
  ];
  t.same(roster.merge(changed), []);
  t.same(roster.evictions, []);
});

t.test('the statement with the highest number counts, in whatever order they come', async (t) => {
  const statements = [
    signed(1, 1, 'a'),
    signed(1, 5, 'b'),
    signed(2, 5, 'c'),
    signed(2, 5, 'd'),
    signed(3, 2),
  ];
  const version = (order: readonly SignedEviction[], at: number): string => {
    const roster = new Roster(binding);
    roster.merge(order.slice(0, at));
    roster.merge(order.slice(at));
    roster.merge(order.slice(0, at));
    return roster.version;
  };
  const expected = version(statements, 0);
  fc.assert(
    fc.property(
      fc.shuffledSubarray(statements, { minLength: statements.length }),
      fc.nat({ max: statements.length }),
      (order, at) => version(order, at) === expected,
    ),
  );
  const roster = new Roster(binding);
  roster.merge(statements);
  t.equal(roster.evictionOf(idOf(1))?.reason, 'b');
  t.equal(roster.evict(adminKey, idOf(1), 'again').sequence, 6);
});

t.test('reasons are bounded text', async (t) => {
  t.equal(reasonFault('ö'.repeat(100)), undefined);
  t.match(reasonFault('ö'.repeat(101)), /202 bytes, at most 200/);
  t.match(reasonFault('a\u001b[31m'), /control characters/);
  t.match(reasonFault('\ud800'), /control characters/);
  t.throws(() => new Roster(binding).evict(adminKey, idOf(1), 'x'.repeat(201)), { code: 'USAGE' });
});

t.test('a roster is bounded, and a full one travels in frames that fit', async (t) => {
  const full = Array.from({ length: ROSTER_MAX_COUNT + 2 }, (_, i) => signed(i + 1, i + 1, 'x'.repeat(200)));
  const roster = new Roster(binding);
  roster.merge(full);
  t.equal(roster.evictions.length, ROSTER_MAX_COUNT);
  t.notOk(roster.isEvicted(idOf(2)));
  t.ok(roster.isEvicted(idOf(3)));
  t.throws(() => roster.evict(adminKey, idOf(9_999_999), ''), { code: 'ROSTER_FULL', kind: 'limit' });
  t.equal(roster.evict(adminKey, idOf(3), 'again').sequence, ROSTER_MAX_COUNT + 3);
  t.same(roster.merge(full), [], 'what fell out does not come back');
  const frames = roster.encode();
  for (const frame of frames) t.ok(frame.length < FRAME_MAX_BYTES / 8);
  const other = new Roster(binding);
  for (const frame of frames.toReversed()) other.merge(decodeEvictions(frame));
  t.equal(other.version, roster.version);
});

t.test('frames that are cut, changed or noise are malformed or not signed', async (t) => {
  const [frame = new Uint8Array()] = encodeEvictions([signed(1, 300, 'reason'), signed(2, 1)]);
  for (let end = 0; end < frame.length; end++)
    t.throws(() => decodeEvictions(frame.subarray(0, end)), MalformedFrame, `cut at ${end}`);
  t.throws(() => decodeEvictions(Uint8Array.from([...frame, 0])), MalformedFrame);
  t.throws(() => decodeEvictions(Uint8Array.of(2, 0)), { message: /version 2/ });
  t.throws(
    () => decodeEvictions(new ByteWriter().u8(1).varint(5000).raw(new Uint8Array(9)).finish()),
    MalformedFrame,
  );
  t.throws(() => decodeEvictions(encodeEvictions([{ ...signed(1, 1), sequence: 0 }])[0] ?? frame), {
    message: /number 0/,
  });
  t.throws(() => decodeEvictions(encodeEvictions([{ ...signed(1, 1), reason: 'a\nb' }])[0] ?? frame), {
    message: /control characters/,
  });
  const tries = (bytes: Uint8Array): boolean => {
    try {
      const roster = new Roster(binding);
      roster.merge(decodeEvictions(bytes));
      return roster.evictions.every(({ gateway }) => gateway === idOf(1) || gateway === idOf(2));
    } catch (error) {
      return error instanceof MalformedFrame;
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), tries));
  fc.assert(
    fc.property(fc.nat({ max: frame.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, mask) =>
      tries(frame.map((byte, i) => (i === at ? byte ^ mask : byte))),
    ),
  );
});

t.test('errors are of the one class', async (t) => {
  try {
    new Roster(binding).evict(stranger, idOf(1), '');
  } catch (error) {
    t.ok(error instanceof SprawlError);
  }
});
