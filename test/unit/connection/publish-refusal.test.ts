import t from 'tap';
import { refusePublish, type PublishRefusal } from '../../../lib/connection/publish-refusal.js';
import type { Packet } from '../../../lib/protocol/index.js';
import { type FakeLink, LaneWorld, type LinkOptions } from '../delivery/lane-world.js';

const QOS_1: PublishRefusal = { qos: 1, packetId: 7, code: 0x87, text: 'not here' };
const QOS_2: PublishRefusal = { ...QOS_1, qos: 2 };
const QOS_0: PublishRefusal = { ...QOS_1, qos: 0, packetId: 0 };

interface Case {
  readonly link?: LinkOptions;
  readonly problemInformation?: boolean;
  readonly refusal: PublishRefusal;
}

function refused({ link: options = {}, problemInformation = true, refusal }: Case): {
  link: FakeLink;
  packets: Packet[];
  counted: Record<string, number>;
} {
  const world = new LaneWorld();
  const link = world.link({ version: 5, ...options });
  Object.assign(link, { problemInformation });
  refusePublish(link, world.lanes.counters, refusal);
  return { link, packets: link.take(), counted: world.counted('sent') };
}

t.test('MQTT 5 answers QoS 1 and 2 with code and reason, and the connection stays', async (t) => {
  for (const [refusal, type, counter] of [
    [QOS_1, 'puback', 'sentPuback'],
    [QOS_2, 'pubrec', 'sentPubrec'],
  ] as const) {
    const { link, packets, counted } = refused({ refusal });
    t.same(packets, [{ type, packetId: 7, reasonCode: 0x87, properties: { reasonString: 'not here' } }]);
    t.same(link.reasons, []);
    t.same(counted, { [counter]: 1 });
  }
});

t.test('the reason is left out where nobody wants it, there is none, or it does not fit', async (t) => {
  const bare = [{ type: 'puback', packetId: 7, reasonCode: 0x87, properties: {} }];
  for (const one of [
    { problemInformation: false, refusal: QOS_1 },
    { refusal: { ...QOS_1, text: '' } },
    { link: { maximumPacketSize: 16 }, refusal: QOS_1 },
  ])
    t.same(refused(one).packets, bare);
  // Fixed header, packet id, code, Property Length, Reason String.
  const size = 2 + 2 + 1 + 1 + 3 + QOS_1.text.length;
  t.match(refused({ link: { maximumPacketSize: size }, refusal: QOS_1 }).packets, [
    { properties: { reasonString: 'not here' } },
  ]);
  t.same(refused({ link: { maximumPacketSize: size - 1 }, refusal: QOS_1 }).packets, bare);
});

t.test('where no acknowledgement can say no the connection ends [MQTT-3.3.5-2]', async (t) => {
  for (const one of [
    { link: { version: 4 }, refusal: QOS_1 },
    { link: { version: 3 }, refusal: QOS_2 },
    { link: { version: 4 }, refusal: QOS_0 },
    { refusal: QOS_0 },
  ] satisfies Case[]) {
    const { link, packets, counted } = refused(one);
    t.match(link.reasons, [{ code: 0x87, text: 'not here' }]);
    t.same(packets, []);
    t.same(counted, {});
  }
});
