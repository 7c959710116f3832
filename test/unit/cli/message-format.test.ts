import { PassThrough } from 'node:stream';
import t from 'tap';
import { readLines } from '../../../lib/cli/client/line-reader.js';
import { compileFormat, type ReceivedMessage } from '../../../lib/cli/client/message-format.js';
import { dateField } from '../../../lib/cli/client/strftime.js';

const at = new Date(2026, 0, 2, 15, 4, 5, 67);
const message: ReceivedMessage = {
  topic: 'a/b',
  payload: Buffer.from('hé"'),
  packet: {
    qos: 1,
    retain: true,
    messageId: 7,
    properties: {
      contentType: 'text/plain',
      correlationData: Buffer.from([0xff, 0x00]),
      messageExpiryInterval: 9,
      payloadFormatIndicator: true,
      responseTopic: 're/x',
      subscriptionIdentifier: [3, 4],
      topicAlias: 2,
      userProperties: { k: ['v', 'w'], l: 'x' },
    },
  },
  receivedAt: at,
};
const bare: ReceivedMessage = {
  topic: 't',
  payload: Buffer.from([0xfe]),
  packet: { qos: 0, retain: false },
  receivedAt: at,
};
const render = (format: string, of = message): string => compileFormat(format)(of).toString('utf8');

t.test('each letter prints its part of the message', async (t) => {
  const cases: [string, string, string][] = [
    ['%t|%q|%r|%l|%m', 'a/b|1|1|4|7', 't|0|0|1|0'],
    ['%p', 'hé"', '\ufffd'],
    ['%x %X', '68c3a922 68C3A922', 'fe FE'],
    ['%A|%C|%E|%F|%R|%S|%P', '2|text/plain|9|1|re/x|3 4|k:v k:w l:x', '||||||'],
    ['100%% \\t\\\\ @@ \\n', '100% \t\\ @ \n', '100% \t\\ @ \n'],
    ['', '', ''],
  ];
  for (const [format, full, empty] of cases) {
    t.equal(render(format), full, format);
    t.equal(render(format, bare), empty, format);
  }
});

t.test('payload and correlation data keep their bytes', async (t) => {
  t.strictSame(compileFormat('%p')(bare), Buffer.from([0xfe]));
  t.strictSame(compileFormat('%D')(message), Buffer.from([0xff, 0x00]));
});

t.test('widths pad and cut as in printf', async (t) => {
  const cases: [string, string][] = [
    ['[%6t]', '[   a/b]'],
    ['[%-6t]', '[a/b   ]'],
    ['[%2.2t]', '[a/]'],
    ['[%05l]', '[00004]'],
    ['[%-05l]', '[4    ]'],
    ['[%06t]', '[   a/b]'],
    ['[%2.2l]', '[ 4]'],
  ];
  for (const [format, text] of cases) t.equal(render(format), text, format);
});

t.test('%j has the fields of mosquitto_sub, and %J the payload as JSON', async (t) => {
  const parsed = JSON.parse(render('%j'));
  t.match(parsed.tst, /^2026-01-02T15:04:05\.067000[+-]\d{4}$/);
  t.match(parsed, { topic: 'a/b', qos: 1, retain: 1, payloadlen: 4, mid: 7, payload: 'hé"' });
  t.strictSame(parsed.properties['user-properties'], { k: ['v', 'w'], l: 'x' });
  t.strictSame(Object.keys(JSON.parse(render('%j', bare))), [
    'tst',
    'topic',
    'qos',
    'retain',
    'payloadlen',
    'payload',
  ]);
  t.strictSame(JSON.parse(render('%J', { ...bare, payload: Buffer.from('{"a":[1]}') })).payload, { a: [1] });
  t.throws(() => render('%J'), { message: 'the payload is not valid JSON, on topic "a/b"' });
});

t.test('@ and a letter is a part of the time', async (t) => {
  t.equal(render('@Y-@m-@d @H:@M:@S.@N'), '2026-01-02 15:04:05.067000000');
  t.equal(
    render('@a @A @b @B @e @j @I @p @y @F @T @R @D @u @w'),
    'Fri Friday Jan January  2 002 03 PM 26 2026-01-02 15:04:05 15:04 01/02/26 5 5',
  );
  t.equal(render('@s'), String(Math.floor(at.getTime() / 1000)));
  t.match(render('%I'), /^2026-01-02T15:04:05[+-]\d{4}$/);
  t.match(render('%U'), /^\d+\.067000000$/);
  t.equal(dateField('Q', at), undefined);
});

t.test('sequences that mean nothing are refused by name', async (t) => {
  for (const [format, sequence] of [
    ['%Q', '%Q'],
    ['a %', '%'],
    ['@Q', '@Q'],
    ['\\q', '\\q'],
    ['%99999t', '%99999t'],
    ['x@', '@'],
    ['x\\', '\\'],
  ] as const) {
    t.throws(() => compileFormat(format), new RangeError(sequence), format);
  }
});

t.test('lines are split wherever chunks end, empty ones are left out, bytes stay', async (t) => {
  const input = new PassThrough();
  for (const chunk of ['a', 'b\n\nc\nd', '', 'e\n', '\n']) input.write(chunk);
  input.write(Buffer.from([0xff]));
  input.end();
  const lines: string[] = [];
  for await (const line of readLines(input)) lines.push(line.toString('latin1'));
  t.strictSame(lines, ['ab', 'c', 'de', '\xff']);
});
