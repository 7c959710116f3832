import t from 'tap';
import { encodeForwardedProperties } from '../../../lib/ingest/forwarded-properties.js';
import { decodeProperties } from '../../../lib/protocol/index.js';

t.test('what concerns the message is forwarded, what concerns one hop or one receiver is not', async (t) => {
  const bytes = encodeForwardedProperties({
    payloadFormatIndicator: 1,
    contentType: 'text/plain',
    responseTopic: 'answer',
    correlationData: Buffer.from([1, 2, 3]),
    userProperties: [
      ['b', '1'],
      ['a', '2'],
      ['b', '3'],
    ],
    topicAlias: 7,
    messageExpiryInterval: 60,
    subscriptionIdentifiers: [4],
    willDelayInterval: 5,
  });
  const properties = decodeProperties(bytes, 0, bytes.length, 'publish', 'toServer');
  t.strictSame(Object.keys(properties).sort(), [
    'contentType',
    'correlationData',
    'payloadFormatIndicator',
    'responseTopic',
    'userProperties',
  ]);
  t.same(
    properties.userProperties,
    [
      ['b', '1'],
      ['a', '2'],
      ['b', '3'],
    ],
    'in their order, repeated names too',
  );
  t.same([...(properties.correlationData ?? [])], [1, 2, 3]);
});

t.test('no properties are no bytes', async (t) => {
  t.equal(encodeForwardedProperties({}).length, 0);
  t.equal(encodeForwardedProperties({ topicAlias: 1 }).length, 0);
});

t.test('a value that no packet can carry is not forwarded half', async (t) => {
  t.throws(() => encodeForwardedProperties({ contentType: 'x'.repeat(65_536) }), RangeError);
});
