import t from 'tap';
import { ClockSteps, TRUSTED_FROM_MS } from '../../../bridge/archive/clock-steps.js';
import { LogRows } from '../../../bridge/archive/log-rows.js';
import { packRows, transferOf, unpackRows } from '../../../bridge/archive/row-columns.js';
import type { OwnMessages } from '../../../lib/contracts/streams.js';
import { createMessage, type Message } from '../../../lib/message/message.js';
import { encodeProperties, type Properties, type QoS } from '../../../lib/protocol/index.js';

const TIME_MS = TRUSTED_FROM_MS + 5;
const CUT = { epoch: { counter: 1, nonce: '0' }, after: 0, upTo: 9, config: '', atMs: TIME_MS + 1000 };

function messageAt(
  position: number,
  topic: string,
  payload: string,
  { qos = 1, retain = false, properties = {} }: { qos?: QoS; retain?: boolean; properties?: Properties } = {},
): Message {
  const message = createMessage({
    ...{ topic, topicBytes: Buffer.from(topic), payload: Buffer.from(payload), qos, retain },
    properties: encodeProperties(properties, 'publish'),
  });
  message.position = position;
  return message;
}

t.test('rows are on the other side what they were', async (t) => {
  const messages = [
    messageAt(3, 'a/b', 'one', { qos: 2, retain: true }),
    messageAt(5, 'a/c', 'not taken'),
    messageAt(8, 'a/b', ''),
    messageAt(9, 'ü', 'three', {
      qos: 0,
      properties: {
        contentType: 'text/plain',
        correlationData: Uint8Array.of(1, 2),
        userProperties: [
          ['k', 'v'],
          ['k', 'w'],
        ],
      },
    }),
  ];
  const columns = packRows(messages, [0, 2, 3], (i) => TIME_MS + i);
  t.equal(transferOf(columns).length, 6);
  const [first, second, third, ...more] = unpackRows(structuredClone(columns));
  t.same(more, []);
  t.match(first, { timeMs: TIME_MS, sequence: 3, topic: 'a/b', qos: 2, retain: true, properties: undefined });
  t.equal(Buffer.from(first?.payload ?? []).toString(), 'one');
  t.match(second, { timeMs: TIME_MS + 2, sequence: 8, topic: 'a/b', qos: 1, retain: false });
  t.equal(second?.payload.length, 0);
  t.match(third, { timeMs: TIME_MS + 3, sequence: 9, topic: 'ü', qos: 0 });
  t.same(JSON.parse(third?.properties ?? ''), {
    contentType: 'text/plain',
    correlationData: 'AQI=',
    userProperties: [
      ['k', 'v'],
      ['k', 'w'],
    ],
  });
});

function reader(...parts: OwnMessages[]): { readonly rows: LogRows; readonly asked: number[] } {
  const asked: number[] = [];
  const clock = { now: () => 0, wall: () => TIME_MS };
  const rows = new LogRows(
    {
      readOwn: (from, _maxBytes, done, options) => {
        t.same(options, { passed: true }, 'with those of QoS 0');
        asked.push(from);
        done(parts.find(({ next }) => next > from) as OwnMessages);
      },
    },
    ['a/#', '+/x'],
    new ClockSteps(clock, [{ upTo: 5, deltaMs: TRUSTED_FROM_MS }]),
    (bytes) => {
      t.equal(bytes, 131_072, 'each at its pace');
      return Promise.resolve();
    },
  );
  return { rows, asked };
}

const NOTHING_LOST = { lostFrom: 0, lostTo: 0 };

t.test('only what is asked for is read, and nothing behind the cut', async (t) => {
  const messages = [
    messageAt(4, 'a/b', 'before the clock was set'),
    messageAt(6, 'b', 'another topic'),
    messageAt(7, 'c/x', 'one'),
    messageAt(9, 'a', 'two'),
    messageAt(10, 'a', 'behind'),
  ];
  const wallMs = messages.map(({ position }) => (position === 4 ? 77 : TIME_MS + position));
  const { rows, asked } = reader({ messages, wallMs, next: 11, ...NOTHING_LOST });
  const read = await rows.read(CUT, 3);
  t.same(asked, [4]);
  t.equal(read.next, 10);
  t.same(read.lost, []);
  t.same(
    unpackRows(read.rows).map(({ sequence, timeMs }) => [sequence, timeMs]),
    [
      [4, TRUSTED_FROM_MS + 77],
      [7, TIME_MS + 7],
      [9, TIME_MS + 9],
    ],
  );
});

t.test('what is lost is told, as far as it is of the cut', async (t) => {
  const nothing = { messages: [], wallMs: [] };
  const inside = await reader({ ...nothing, next: 12, lostFrom: 2, lostTo: 11 }).rows.read(CUT, 0);
  t.same(inside.lost, [[2, 9]]);
  const behind = await reader({ ...nothing, next: 12, lostFrom: 10, lostTo: 11 }).rows.read(CUT, 0);
  t.same(behind.lost, []);
});

t.test('whether anything is to be archived shows without the rest of it', async (t) => {
  const other = (position: number): OwnMessages => ({
    ...{ messages: [messageAt(position, 'b', '')], wallMs: [TIME_MS], next: position + 1, ...NOTHING_LOST },
  });
  const wanted = (position: number): OwnMessages => ({
    ...other(position),
    messages: [messageAt(position, 'a', '')],
  });
  const found = reader(other(3), wanted(6), wanted(9));
  t.equal(await found.rows.hasRows(0, 9), true);
  t.same(found.asked, [1, 4]);
  t.equal(await reader(other(3), other(9)).rows.hasRows(0, 9), false);
  t.equal(await reader(other(3), wanted(10)).rows.hasRows(0, 9), false, 'it is behind');
  t.equal(await reader({ ...other(3), lostFrom: 1, lostTo: 2 }).rows.hasRows(0, 3), true, 'nobody knows');
});
