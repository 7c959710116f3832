import t from 'tap';
import { createMessage, Message, NEVER } from '../../../lib/message/message.js';
import { str } from '../../support/protocol-bytes.js';

/** A message whose payload and properties stand in `buffer`, as the lane makes it. */
function within(buffer: Uint8Array, start: number, end: number, properties = new Uint8Array(0)): Message {
  return new Message('t', str('t'), buffer, start, end, properties, 1, false, NEVER, 'c');
}

t.test('a message says where its payload is and what it weighs', async (t) => {
  const made = within(Buffer.from('xxpayloadyy'), 2, 9, Buffer.alloc(10));
  t.equal(Buffer.from(made.payload).toString(), 'payload');
  t.equal(made.payloadLength, 7);
  t.equal(made.weight, 7 + 10 + 3 + 160);
});

t.test('a detached message keeps its content and lets go of the buffer that it came in', async (t) => {
  const read = Buffer.alloc(65_536, 1);
  read.fill(2, 1000, 1100);
  const properties = read.subarray(900, 950);
  const made = within(read, 1000, 1100, properties);
  const { weight } = made;
  made.detach();
  t.same(Buffer.from(made.payload), Buffer.alloc(100, 2));
  t.same(Buffer.from(made.properties), Buffer.alloc(50, 1));
  t.equal(made.bytes.buffer.byteLength, 100);
  t.equal(made.properties.buffer.byteLength, 50);
  t.equal(made.weight, weight);
  read.fill(9);
  t.same(Buffer.from(made.payload), Buffer.alloc(100, 2), 'nothing of it is shared any more');
});

t.test('detaching twice does nothing the second time', async (t) => {
  const made = within(Buffer.alloc(65_536), 10, 20);
  made.detach();
  const { bytes } = made;
  made.detach();
  t.equal(made.bytes, bytes);
});

t.test('an empty payload holds on to nothing', async (t) => {
  const made = within(Buffer.alloc(65_536), 10, 10);
  made.detach();
  t.equal(made.payloadLength, 0);
  t.equal(made.bytes.length, 0);
});

t.test('a payload that is nearly all of its buffer is not copied', async (t) => {
  const read = Buffer.alloc(20_000);
  const made = within(read, 500, 20_000);
  made.detach();
  t.equal(made.bytes, read);
  t.equal(made.payloadStart, 500);
});

t.test('the buffer counts in whole, also where the message sees only a part of it', async (t) => {
  // A frame of a WebSocket is a view of the read that it came in, as a run of frames is.
  const read = Buffer.alloc(65_536, 1);
  const made = within(read.subarray(1000, 1110), 5, 105);
  made.detach();
  t.equal(made.bytes.buffer.byteLength, 100);
  t.same(Buffer.from(made.payload), Buffer.alloc(100, 1));
});

t.test('properties with a buffer of their own stay where they are', async (t) => {
  const properties = new Uint8Array(20);
  const made = within(Buffer.alloc(65_536), 10, 20, properties);
  made.detach();
  t.equal(made.properties, properties);
});

t.test(
  'a message that stays lets go of the bytes of its topic, and has them when they are asked for',
  async (t) => {
    const topic = 'plant/größe/\u{1f321}';
    const made = new Message(
      topic,
      str(topic),
      Buffer.alloc(65_536),
      5,
      9,
      new Uint8Array(0),
      1,
      true,
      NEVER,
      'c',
    );
    const { topicBytes, topicLength } = made;
    t.equal(topicLength, topicBytes.length);
    made.settle();
    t.not(made.topicBytes, topicBytes);
    t.same(Buffer.from(made.topicBytes), Buffer.from(topicBytes));
    t.equal(made.topicLength, topicLength);
    t.equal(made.bytes.buffer.byteLength, 4, 'nor does it hold the buffer that it came in');
  },
);

t.test('properties that stand in a large buffer of their own are copied, too', async (t) => {
  const pool = Buffer.alloc(8192, 7);
  const made = createMessage({
    ...{ topic: 't', topicBytes: str('t'), payload: new Uint8Array(10), qos: 1, retain: true },
    properties: pool.subarray(100, 110),
  });
  made.detach();
  t.equal(made.properties.buffer.byteLength, 10);
  t.same(Buffer.from(made.properties), Buffer.alloc(10, 7));
});

t.test(
  "a message of the gateway's own has no publisher, no properties and no end unless it says so",
  async (t) => {
    const fields = {
      topic: 't',
      topicBytes: str('t'),
      payload: Buffer.from('p'),
      qos: 0,
      retain: true,
    } as const;
    const plain = createMessage(fields);
    t.match(plain, { topic: 't', qos: 0, retain: true, publisher: '', expiresAt: Infinity });
    t.equal(plain.properties.length, 0);
    t.equal(Buffer.from(plain.payload).toString(), 'p');
    const full = createMessage({ ...fields, properties: Buffer.of(1, 1), expiresAt: 5, publisher: 'c' });
    t.match(full, { publisher: 'c', expiresAt: 5 });
    t.equal(full.properties.length, 2);
  },
);
