/** What forwarding costs by itself: `node dist/test/bench/probes/forward-probe.js [messages] [payload bytes]`. */
import { gatewayIdOf } from '../../../lib/contracts/gateway-id.js';
import { createMessage, type Message } from '../../../lib/message/message.js';
import { decodeStreamFrame, FrameKind, wireEpochOf, writeCoverHeader } from '../../../mesh/forward/frames.js';
import { MessageEncoder } from '../../../mesh/forward/message-codec.js';
import { StreamReceiver } from '../../../mesh/forward/stream-receiver.js';
import { StreamSender } from '../../../mesh/forward/stream-sender.js';
import { TextCache } from '../../../mesh/forward/text-cache.js';
import { ByteWriter } from '../../../mesh/wire/bytes.js';

const PER_BATCH = 2000;
const PER_TURN = 64;
const NONCE = '00112233445566ff';
const TOPICS = 100;

function messagesOf(count: number, payloadBytes: number): Message[] {
  const payload = new Uint8Array(payloadBytes).fill(7);
  return Array.from({ length: count }, (_, index) => {
    const topic = `site/1/device/${index % TOPICS}/state`;
    const text = Buffer.from(topic, 'utf8');
    const topicBytes = Uint8Array.of(text.length >> 8, text.length & 0xff, ...text);
    const message = createMessage({
      topic,
      topicBytes,
      payload,
      qos: 1,
      retain: false,
      publisher: `device-${index % TOPICS}`,
    });
    message.position = index + 1;
    return message;
  });
}

/** Of this process, in microseconds: other work on the machine does not count. */
function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Millions a second of CPU. */
function rateOf(count: number, startUs: number): number {
  return Math.round((count / (cpuUs() - startUs)) * 100) / 100;
}

function codec(messages: readonly Message[], rounds: number): Record<string, number> {
  const writer = new ByteWriter(300_000);
  const encoder = new MessageEncoder(writer);
  const epoch = wireEpochOf({ counter: 1, nonce: NONCE });
  const kind = FrameKind.main;
  const to = messages.length;
  let frame = new Uint8Array(0);
  const encodeUs = cpuUs();
  for (let round = 0; round < rounds; round++) {
    writeCoverHeader(writer, { kind, epoch, version: 1, from: 0, to, lostFrom: 0, lostTo: 0, done: false });
    encoder.begin();
    for (const message of messages) encoder.write(message, 1, 0);
    frame = new Uint8Array(writer.finish());
  }
  const encode = rateOf(rounds * messages.length, encodeUs);
  const texts = new TextCache(4096);
  const decodeUs = cpuUs();
  for (let round = 0; round < rounds; round++) decodeStreamFrame(frame.slice(), 0, texts);
  return {
    encode,
    decode: rateOf(rounds * messages.length, decodeUs),
    bytesEach: frame.length / messages.length,
  };
}

/** A live sender and its receiver, committed after each turn. */
function endToEnd(messages: readonly Message[], rounds: number): Record<string, number> {
  const origin = gatewayIdOf(new Uint8Array(32));
  let position = 0;
  let taken = 0;
  const receiver = new StreamReceiver(origin, {
    send: (frame) => sender.onFrame(frame),
    now: () => 0,
    hasRoom: () => true,
    append: () => {
      taken++;
      return ++position;
    },
    record: () => ++position,
    reportHole: () => undefined,
  });
  const sender: StreamSender = new StreamSender(
    {
      send: (frame) => receiver.onFrame(frame) === undefined,
      now: () => 0,
      readOwn: () => undefined,
      setFloor: () => undefined,
      pass: () => undefined,
      stalled: () => undefined,
    },
    { head: 0, lineage: [{ counter: 1, nonce: NONCE, after: 0 }] },
  );
  sender.linkUp(receiver.greet(), { version: 1, matcher: () => 1 });
  const startUs = cpuUs();
  let head = 0;
  for (let round = 0; round < rounds; round++)
    for (const message of messages) {
      message.position = ++head;
      sender.committed(message, 1);
      if (head % PER_TURN !== 0) continue;
      sender.headMoved(head);
      sender.flush();
      receiver.committed(position);
    }
  sender.flush();
  receiver.committed(position);
  if (taken !== head || sender.status.acked !== head) throw new Error(`${taken} of ${head} arrived`);
  return { bothSides: rateOf(head, startUs) };
}

const [count = 2_000_000, payloadBytes = 64] = process.argv.slice(2).map(Number);
const messages = messagesOf(PER_BATCH, payloadBytes);
const rounds = Math.max(1, Math.ceil(count / PER_BATCH));
codec(messages, Math.min(rounds, 50));
endToEnd(messages, Math.min(rounds, 50));
const figures = { ...codec(messages, rounds), ...endToEnd(messages, rounds) };
process.stdout.write(`${JSON.stringify({ kind: 'figures', unit: 'millions a second of CPU', figures })}\n`);
