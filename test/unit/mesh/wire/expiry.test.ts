/** How long a message may say that it lives: no member may say more than MQTT can. */
import t from 'tap';
import { createMessage } from '../../../../lib/message/message.js';
import { decodeMessages, MessageEncoder } from '../../../../mesh/forward/message-codec.js';
import { TextCache } from '../../../../mesh/forward/text-cache.js';
import { encodeEntries, EntryReader } from '../../../../mesh/retained/entry-frames.js';
import { ByteReader, ByteWriter, MalformedFrame } from '../../../../mesh/wire/bytes.js';
import { EXPIRY_MAX_MS, expiryMsOf, readExpiryMs } from '../../../../mesh/wire/expiry.js';
import { gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';

const A = gatewayIdOf(new Uint8Array(32).fill(1));
const NOW = 1234.5;

function messageUntil(expiresAt: number) {
  const topicBytes = Uint8Array.of(0, 1, 0x74);
  const payload = Buffer.from('x');
  return createMessage({ ...{ topic: 't', topicBytes, payload, qos: 1, retain: true, expiresAt } });
}

/** The varint of `sent` in the frame becomes `ms`. */
function saying(frame: Uint8Array, sent: number, ms: number): Uint8Array {
  const was = new ByteWriter().varint(sent).finish();
  const at = Buffer.from(frame).indexOf(was);
  const is = new ByteWriter().varint(ms).finish();
  return Buffer.concat([frame.subarray(0, at), is, frame.subarray(at + was.length)]);
}

/** @returns until when the message lives that comes in a batch of a stream */
function streamed(expiresAt: number, said?: number): number | undefined {
  const writer = new ByteWriter();
  const encoder = new MessageEncoder(writer);
  encoder.begin();
  encoder.write(messageUntil(expiresAt), 1, NOW);
  const sent = writer.finish();
  const frame = said === undefined ? sent : saying(sent, expiryMsOf(expiresAt, NOW), said);
  return decodeMessages(frame, new ByteReader(frame), 0, NOW, new TextCache(4))[0]?.expiresAt;
}

/** The same of an entry of a comparison. */
function compared(expiresAt: number, said?: number): number | undefined {
  const version = { counter: 1, origin: A, epoch: { counter: 1, nonce: '0123456789abcdef' }, sequence: 1 };
  const entry = { topic: 't', version, message: messageUntil(expiresAt) };
  const [sent = new Uint8Array()] = encodeEntries([entry], () => NOW);
  const frame = said === undefined ? sent : saying(sent, expiryMsOf(expiresAt, NOW), said);
  const reader = new ByteReader(frame);
  const left = new EntryReader().read(reader.u8(), reader)[0]?.message?.expiresInMs;
  return left === undefined ? undefined : NOW + left;
}

t.test('an expiry that no version could send is malformed, wherever it stands', (t) => {
  for (const carried of [streamed, compared])
    for (const ms of [2 ** 48 + 1, Number.MAX_SAFE_INTEGER])
      t.throws(() => carried(NOW + 77_777, ms), MalformedFrame, `${carried.name} ${ms}`);
  t.end();
});

t.test('what lives as long as can be can be sent on at once, from gateway to gateway', (t) => {
  for (const carried of [streamed, compared]) {
    const most = NOW + EXPIRY_MAX_MS;
    t.equal(carried(most), most);
    t.equal(carried(NOW + 77_777, EXPIRY_MAX_MS + 1), most, 'rounded up by an earlier version');
    t.equal(carried(NOW + 77_777, 2 ** 48), most);
    t.equal(carried(NOW + 2 ** 60), most, 'what an embedder said');
  }
  t.end();
});

t.test('what is left of an expiry is whole milliseconds, of which there is one at least', (t) => {
  t.equal(expiryMsOf(10, 10), 1);
  t.equal(expiryMsOf(10.2, 9), 2);
  t.equal(expiryMsOf(0.1 + EXPIRY_MAX_MS + 0.001, 0.1), EXPIRY_MAX_MS);
  t.equal(readExpiryMs(new ByteReader(Uint8Array.of(5))), 5);
  t.end();
});
