import t from 'tap';
import type { Message } from '../../../../lib/message/message.js';
import { PassingReceiver, PassingSender } from '../../../../mesh/forward/passing.js';
import { messageAt, NONCE, ORIGIN } from './fixture.js';

const SOURCE = { origin: ORIGIN, epoch: { counter: 1, nonce: NONCE } };

function bench(queued = 0): {
  sender: PassingSender;
  frames: Uint8Array[];
  messages: Message[];
  receiver: PassingReceiver;
} {
  const frames: Uint8Array[] = [];
  const messages: Message[] = [];
  const sender = new PassingSender({
    send: (frame) => frames.push(frame),
    queuedBytes: () => queued,
    now: () => 1000,
  });
  const receiver = new PassingReceiver(
    SOURCE,
    (message) => messages.push(message),
    () => 5000,
  );
  return { sender, frames, messages, receiver };
}

t.test('messages of a turn go in one frame, with QoS 0', async (t) => {
  const { sender, frames, messages, receiver } = bench();
  sender.flush();
  sender.send(messageAt(1));
  sender.send(messageAt(2, 'b', { expiresAt: 1200 }));
  sender.flush();
  t.equal(frames.length, 1);
  t.equal(receiver.onFrame(frames[0] ?? new Uint8Array()), undefined);
  t.same(
    messages.map(({ topic, qos, sequence, source }) => [topic, qos, sequence, source]),
    [
      ['a', 0, 0, SOURCE],
      ['b', 0, 0, SOURCE],
    ],
  );
  t.equal(messages[1]?.expiresAt, 5200);
});

t.test('what is too much, too old or too large is dropped and counted', async (t) => {
  const full = bench(2_000_000);
  full.sender.send(messageAt(1));
  t.equal(full.sender.counts.dropped, 1);
  const { sender, frames } = bench();
  sender.send(messageAt(1, 'a', { expiresAt: 1000 }));
  sender.send(messageAt(1, 'a', { payload: new Uint8Array(1_100_000) }));
  for (let n = 0; n < 3; n++) sender.send(messageAt(1, 'a', { payload: new Uint8Array(40_000) }));
  sender.flush();
  t.match(sender.counts, { sent: 3, dropped: 0, expired: 1, tooLarge: 1 });
  t.equal(frames.length, 3, 'a frame holds 64 KiB');
});

t.test('a frame that is cut off or carries a QoS delivers nothing', async (t) => {
  const { sender, frames, messages, receiver } = bench();
  sender.send(messageAt(1));
  sender.flush();
  const frame = frames[0] ?? new Uint8Array();
  t.type(receiver.onFrame(frame.subarray(0, frame.length - 1)), 'string');
  const withQos = frame.slice();
  withQos[1] = 1;
  t.match(receiver.onFrame(withQos), /QoS/);
  t.equal(messages.length, 0);
});
