/** Versions are in a total order; two gateways with anything at all come to retain the same; noise is malformed. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { EPOCH_COUNTER_MAX } from '../../lib/contracts/epoch.js';
import { gatewayIdOf } from '../../lib/contracts/gateway-id.js';
import { LOG_POSITION_MAX } from '../../lib/contracts/store.js';
import { compareVersions, RETAINED_COUNTER_MAX, type RetainedVersion } from '../../lib/contracts/streams.js';
import { encodeEntries, EntryReader } from '../../mesh/retained/entry-frames.js';
import { decodeControl, encodeState } from '../../mesh/retained/retained-frames.js';
import { createMessage } from '../../lib/message/message.js';
import { ByteReader, MalformedFrame } from '../../mesh/wire/bytes.js';

const ONE = gatewayIdOf(new Uint8Array(32).fill(1));
const TWO = gatewayIdOf(new Uint8Array(32).fill(2));

const version: fc.Arbitrary<RetainedVersion> = fc
  .tuple(
    fc.constantFrom(1, 2, RETAINED_COUNTER_MAX),
    fc.integer({ min: 1, max: 2 }),
    fc.constantFrom(1, EPOCH_COUNTER_MAX),
    fc.nat(1),
    fc.constantFrom(0, LOG_POSITION_MAX),
  )
  .map(([counter, origin, epoch, nonce, sequence]) => ({
    counter,
    origin: gatewayIdOf(new Uint8Array(32).fill(origin)),
    epoch: { counter: epoch, nonce: String(nonce).repeat(16) },
    sequence,
  }));

t.test(
  'of two versions that differ exactly one is the newer, and the newest is the same from wherever one begins',
  async () => {
    fc.assert(
      fc.property(fc.array(version, { minLength: 2, maxLength: 12 }), (versions) => {
        for (const a of versions)
          for (const b of versions) {
            const isSame = JSON.stringify(a) === JSON.stringify(b);
            assert.equal(compareVersions(a, b) === 0, isSame);
            assert.equal(Math.sign(compareVersions(a, b)), 0 - Math.sign(compareVersions(b, a)));
          }
        const newest = (order: readonly RetainedVersion[]): RetainedVersion =>
          order.reduce((best, one) => (compareVersions(one, best) > 0 ? one : best));
        assert.deepEqual(newest(versions), newest(versions.toReversed()));
      }),
    );
  },
);

const entry = fc.record(
  {
    topic: fc.constantFrom('a', 'a/b', 'ü', 'x/'),
    version,
    message: fc.option(
      fc
        .tuple(
          fc.uint8Array({ minLength: 1, maxLength: 40 }),
          fc.uint8Array({ maxLength: 9 }),
          fc.constantFrom(0, 1, 2),
        )
        .map(([payload, properties, qos]) =>
          createMessage({
            topic: '',
            topicBytes: new Uint8Array(0),
            payload,
            properties,
            qos: qos === 2 ? 2 : qos === 1 ? 1 : 0,
            retain: true,
            publisher: 'p',
          }),
        ),
      { nil: undefined },
    ),
  },
  { noNullPrototype: true },
);

t.test('entries come out as they went in', async () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 10 }), (entries) => {
      const reader = new EntryReader();
      const read = [...encodeEntries(entries, () => 0)].flatMap((frame) => {
        const bytes = new ByteReader(frame);
        return [...reader.read(bytes.u8(), bytes)];
      });
      assert.equal(read.length, entries.length);
      for (const [n, { topic, version: is, message }] of entries.entries()) {
        assert.equal(read[n]?.topic, topic);
        assert.deepEqual(read[n].version, is);
        assert.equal(read[n].message?.qos, message?.qos);
        assert.deepEqual(Buffer.from(read[n].message?.payload ?? []), Buffer.from(message?.payload ?? []));
      }
    }),
  );
});

/** Of the first epoch and of the last one. */
const tick = fc
  .tuple(fc.constantFrom(1, EPOCH_COUNTER_MAX), fc.constantFrom(0, 1, 2 ** 32 - 1))
  .map(([counter, n]) => counter * 2 ** 32 + n);
const ticks = fc.array(fc.tuple(fc.constantFrom(ONE, TWO), tick), { maxLength: 2 });
const state = fc.record(
  {
    floor: fc.constantFrom(0, RETAINED_COUNTER_MAX),
    head: fc.constantFrom(0, LOG_POSITION_MAX),
    rosterVersion: fc.nat(),
    known: ticks,
    dropped: ticks,
  },
  { noNullPrototype: true },
);

t.test(
  'what gateways say of themselves comes out as it went in, up to the last tick of the last epoch',
  async () => {
    fc.assert(
      fc.property(state, fc.maxSafeNat(), (said, round) => {
        const reader = new ByteReader(encodeState('equal', round, said));
        assert.deepEqual(decodeControl(reader.u8(), reader), { kind: 'equal', round, state: said });
      }),
    );
  },
);

t.test('noise and cut frames are malformed, and nothing worse', async () => {
  const noise = fc.uint8Array({ maxLength: 90 });
  const kinds = fc
    .tuple(fc.integer({ min: 0, max: 16 }), noise)
    .map(([kind, rest]) => Uint8Array.of(kind, ...rest));
  const cut = fc.tuple(fc.array(entry, { minLength: 1, maxLength: 3 }), fc.nat()).map(([entries, at]) => {
    const [frame = new Uint8Array()] = encodeEntries(entries, () => 0);
    return frame.slice(0, at % frame.length);
  });
  fc.assert(
    fc.property(fc.array(fc.oneof(noise, kinds, cut), { maxLength: 4 }), (frames) => {
      const entries = new EntryReader();
      for (const frame of frames) {
        try {
          const reader = new ByteReader(frame);
          const kind = reader.u8();
          if (kind >= 13 && kind <= 15) entries.read(kind, reader);
          else decodeControl(kind, reader);
        } catch (error) {
          if (!(error instanceof MalformedFrame)) throw error;
        }
      }
    }),
    { numRuns: 3000 },
  );
});
