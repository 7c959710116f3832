import t from 'tap';
import {
  encodePublish,
  publishSize,
  type PublishVariant,
  writePublish,
} from '../../../lib/connection/publish-writer.js';
import { BUFFER_BYTES } from '../../../lib/connection/outbox.js';
import { FrameCache } from '../../../lib/delivery/frame-cache.js';
import { decodePacket, type Properties, type PublishPacket } from '../../../lib/protocol/index.js';
import { bytes, str } from '../../support/protocol-bytes.js';
import { LaneWorld, message } from '../delivery/lane-world.js';

const PLAIN: PublishVariant = {
  header: 0x30,
  packetId: 0,
  v5: false,
  expiryS: 0,
  identifiers: undefined,
  alias: 0,
  aliasKnown: false,
};
const FORWARDED = bytes(0x26, str('k'), str('1'), 0x03, str('text'), 0x26, str('k'), str('0'));
const FORWARDED_DECODED: Properties = {
  userProperties: [
    ['k', '1'],
    ['k', '0'],
  ],
  contentType: 'text',
};

function decode(frame: Uint8Array, version: 4 | 5): PublishPacket {
  const packet = decodePacket(frame, version, 'toClient');
  if (packet.type !== 'publish') throw new Error(`a ${packet.type}`);
  return packet;
}

/** The parts of a variant, in every combination. */
function* variants(): Generator<{ variant: PublishVariant; properties: Properties; forwarded: boolean }> {
  for (const header of [0x30, 0x31, 0x32, 0x3b, 0x3c, 0x35]) {
    const packetId = (header & 6) === 0 ? 0 : 0xabcd;
    yield { variant: { ...PLAIN, header, packetId }, properties: {}, forwarded: false };
    for (const forwarded of [false, true]) {
      for (const expiryS of [0, 1, 0xfffffffe]) {
        for (const identifiers of [undefined, [1], [127, 128, 16_384, 268_435_455]]) {
          for (const [alias, aliasKnown] of [
            [0, false],
            [1, false],
            [65_535, true],
          ] as const) {
            const properties: Properties = {
              ...(forwarded ? FORWARDED_DECODED : {}),
              ...(expiryS > 0 ? { messageExpiryInterval: expiryS } : {}),
              ...(identifiers === undefined ? {} : { subscriptionIdentifiers: identifiers }),
              ...(alias > 0 ? { topicAlias: alias } : {}),
            };
            const variant = { header, packetId, v5: true, expiryS, identifiers, alias, aliasKnown };
            yield { variant, properties, forwarded };
          }
        }
      }
    }
  }
}

t.test('every variant is the packet that it says, in the size that it says', async (t) => {
  const world = new LaneWorld();
  const link = world.link();
  let count = 0;
  for (const { variant, properties, forwarded } of variants()) {
    for (const payloadLength of [0, 1, 127, 128, 300]) {
      const sent = message({
        topic: 'é/topic',
        payload: Buffer.alloc(payloadLength, 0x61),
        ...(forwarded ? { properties: FORWARDED } : {}),
      });
      const frame = encodePublish(sent, variant);
      const packet = decode(frame, variant.v5 ? 5 : 4);
      const expected: PublishPacket = {
        type: 'publish',
        topic: variant.aliasKnown ? '' : 'é/topic',
        payload: Buffer.alloc(payloadLength, 0x61),
        qos: packet.qos,
        retain: (variant.header & 1) !== 0,
        dup: (variant.header & 8) !== 0,
        properties,
      };
      if (variant.packetId !== 0) expected.packetId = variant.packetId;
      if (!t.strictSame({ ...packet, payload: Buffer.from(packet.payload) }, expected)) return;
      if (packet.qos !== ((variant.header >> 1) & 3) || publishSize(sent, variant) !== frame.length)
        t.fail('QoS, size');
      writePublish(link.outbox, sent, variant);
      if (!link.takeBytes().equals(frame)) t.fail('written into an outbox it is another');
      count++;
    }
  }
  t.equal(count, 6 * (1 + 2 * 3 * 3 * 3) * 5);
});

t.test('the size is right on both sides of each length of Remaining Length', async (t) => {
  for (const limit of [0x80, 0x4000, 0x200000]) {
    for (const remaining of [limit - 1, limit]) {
      const sent = message({ topic: 't', payload: Buffer.alloc(remaining - 3) });
      const frame = encodePublish(sent, PLAIN);
      t.equal(publishSize(sent, PLAIN), frame.length);
      t.equal(decode(frame, 4).payload.length, remaining - 3);
    }
  }
});

t.test('a packet larger than a pooled buffer is written whole and in order', async (t) => {
  const world = new LaneWorld();
  const link = world.link();
  const small = message({ payload: 'small' });
  for (const size of [BUFFER_BYTES - 4, BUFFER_BYTES, BUFFER_BYTES * 3]) {
    const large = message({ payload: Buffer.alloc(size, 7) });
    writePublish(link.outbox, small, PLAIN);
    writePublish(link.outbox, large, PLAIN);
    writePublish(link.outbox, small, PLAIN);
    const lengths = link.take().map((packet) => (packet.type === 'publish' ? packet.payload.length : -1));
    t.same(lengths, [5, size, 5]);
  }
  t.equal(world.lanes.budget.used, 0);
});

t.test('a payload in the middle of a read buffer is written alone', async (t) => {
  const whole = message({
    payload: Buffer.concat([Buffer.alloc(200, 1), Buffer.alloc(200, 2), Buffer.alloc(200, 3)]),
  });
  whole.payloadStart = 200;
  whole.payloadEnd = 400;
  t.same(Buffer.from(decode(encodePublish(whole, PLAIN), 4).payload), Buffer.alloc(200, 2));
});

t.test('a frame cache encodes once per form, and forgets when the fan-out ends', async (t) => {
  const cache = new FrameCache();
  const sent = message({ properties: FORWARDED, qos: 1 });
  t.notOk(cache.serves(sent));
  cache.begin(sent, 30);
  t.ok(cache.serves(sent));
  t.notOk(cache.serves(message()), 'only for the message that is fanned out');
  const frames = [false, true].flatMap((v5) => [false, true].map((withId) => cache.frame(sent, v5, withId)));
  t.equal(new Set(frames).size, 4);
  const again = [false, true].flatMap((v5) => [false, true].map((withId) => cache.frame(sent, v5, withId)));
  t.ok(again.every((frame, index) => frame === frames[index]));
  const [v4, , v5] = frames;
  if (v4 === undefined || v5 === undefined) throw new Error('frames are missing');
  t.same(decode(v4, 4).properties, {});
  t.same(decode(v5, 5).properties, { messageExpiryInterval: 30, ...FORWARDED_DECODED });
  cache.end();
  t.notOk(cache.serves(sent));
});

t.test('a fan-out within a fan-out does not get the frames of the other', async (t) => {
  const cache = new FrameCache();
  const outer = message({ payload: 'outer' });
  const inner = message({ payload: 'inner' });
  cache.begin(outer, 0);
  cache.frame(outer, false, false);
  // A hook of the outer fan-out publishes.
  cache.begin(inner, 0);
  t.equal(Buffer.from(decode(cache.frame(inner, false, false), 4).payload).toString(), 'inner');
  cache.end();
  t.notOk(cache.serves(outer), 'the outer one goes on without');
});
