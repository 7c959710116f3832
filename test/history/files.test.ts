import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { topicMatchesFilter } from '../../lib/protocol/index.js';
import { crc32c } from './crc32c.js';
import { formatEvent, parseEvent, type HistoryEvent } from './event.js';
import { HistoryFiles } from './history-reader.js';
import { HistoryWriter, MemoryHistory } from './history-writer.js';
import { createPayload, parsePayload, PAYLOAD_MIN_BYTES } from './payload.js';
import { matches, parseFilter } from './topic-match.js';

const folder = mkdtempSync(join(tmpdir(), 'sprawl-history-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const path = (): string => join(folder, `${files++}.jsonl`);

/** A clock that says what it is told. */
const clock =
  (...times: bigint[]) =>
  (): bigint =>
    times.shift() ?? 0n;

t.test('an event is one line, and the line is the event', async (t) => {
  const stamp = { t: 12_345_678_901_234_567_890n, run: 'r"1', p: 'c1', i: 7 } as const;
  const events: HistoryEvent[] = [
    { ...stamp, e: 'conn!', cid: 'c', node: 'n1', clean: false, expiry: 5, v: 5 },
    {
      ...stamp,
      e: 'recv',
      m: null,
      topic: 'a\nb',
      q: 1,
      retain: false,
      dup: true,
      pid: 3,
      bytesOk: false,
      fault: 'corrupt',
    },
    { ...stamp, e: 'pub.', m: { pub: 1, seq: 2 }, how: 'PUBACK', rc: 0 },
    { ...stamp, e: 'drain.' },
  ];
  for (const event of events) {
    const line = formatEvent(event);
    t.notMatch(line, /\n/);
    t.same(parseEvent(line), event);
  }
});

t.test('a line that is no event is refused', async (t) => {
  const line = '{"t":"1","run":"r","p":"c","i":0,"e":"rel","pid":1}';
  t.same(parseEvent(line).e, 'rel');
  t.throws(() => parseEvent('7'), /no event/);
  t.throws(() => parseEvent('{'), SyntaxError);
  t.throws(() => parseEvent(line.replace('rel', 'constructor')), /no kind of event/);
  t.throws(() => parseEvent(line.replace('"pid":1', '"pid":"1"')), /pid is no number/);
  t.throws(() => parseEvent(line.replace('"t":"1"', '"t":1')), /no stamp/);
});

t.test('histories of several writers become one in the order of time', async (t) => {
  const [one, two] = [path(), path()];
  const first = new HistoryWriter(one, 'r', clock(1n, 5n, 5n));
  const second = new HistoryWriter(two, 'r', clock(2n, 5n, 9n));
  for (const pid of [1, 2, 3]) {
    first.write('a', { e: 'rel', pid });
    second.write('b', { e: 'rel', pid });
  }
  first.close();
  first.close();
  second.close();
  const merged = new HistoryFiles([one, two]);
  const order = [...merged].map(({ t: time, p, i }) => `${time} ${p} ${i}`);
  t.same(order, ['1 a 0', '2 b 0', '5 a 1', '5 a 2', '5 b 1', '9 b 2']);
  t.equal([...merged].length, 6, 'it can be read again');
  t.throws(() => first.write('a', { e: 'rel', pid: 4 }), /closed/);
  t.throws(() => new HistoryWriter(one, 'r'), { code: 'EEXIST' }, 'a history is never written over');
});

t.test('a long history, with lines across the borders of what is read at once, arrives whole', async (t) => {
  const file = path();
  const writer = new HistoryWriter(file, 'r');
  const topic = 'ä'.repeat(3000);
  for (let seq = 0; seq < 500; seq++)
    writer.write('a', { ...{ e: 'pub!', m: { pub: 0, seq }, topic, q: 0 }, retain: false, dup: false });
  writer.close();
  const events = [...new HistoryFiles([file])];
  t.equal(events.length, 500);
  t.ok(events.every((event, seq) => event.e === 'pub!' && event.m.seq === seq && event.topic === topic));
});

t.test('a line that a killed writer left unfinished is left out and counted', async (t) => {
  const file = path();
  const writer = new HistoryWriter(file, 'r', clock(1n));
  writer.write('a', { e: 'rel', pid: 1 });
  writer.close();
  appendFileSync(file, '{"t":"2","run"');
  const history = new HistoryFiles([file]);
  t.equal([...history].length, 1);
  t.equal(history.tornLines, 1);
});

t.test('a file with a hole, or in which time goes back, is no history', async (t) => {
  const file = path();
  const writer = new HistoryWriter(file, 'r', clock(3n, 4n, 5n));
  for (const pid of [1, 2, 3]) writer.write('a', { e: 'rel', pid });
  writer.close();
  const [first, , third] = readFileSync(file, 'utf8').split('\n');
  const hole = path();
  writeFileSync(hole, `${first}\n${third}\n`);
  t.throws(() => [...new HistoryFiles([hole])], /event 2 after 0/);
  const back = path();
  const reversed = new HistoryWriter(back, 'r', clock(3n, 2n));
  for (const pid of [1, 2]) reversed.write('a', { e: 'rel', pid });
  reversed.close();
  t.throws(() => [...new HistoryFiles([back])], /back in time/);
});

t.test('a history in memory is stamped the same way', async (t) => {
  const history = new MemoryHistory('r');
  history.write('a', { e: 'rel', pid: 1 });
  history.write('b', { e: 'rel', pid: 2 });
  t.match(history.events, [
    { run: 'r', p: 'a', i: 0 },
    { run: 'r', p: 'b', i: 1 },
  ]);
});

t.test('CRC-32C is the one of RFC 3720', async (t) => {
  t.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  t.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
  t.equal(crc32c(Buffer.from('6789'), crc32c(Buffer.from('12345'))), 0xe3069283, 'in parts');
});

t.test('a payload names its message; every other one is told apart by what is wrong with it', async (t) => {
  const fields = { run: 'r', mid: { pub: 3, seq: 70_000 }, session: 2, topic: 'a/b', paddingBytes: 50 };
  const payload = createPayload(fields);
  t.equal(payload.length, PAYLOAD_MIN_BYTES + 50);
  t.same(parsePayload(payload, 'r', 'a/b'), { kind: 'message', mid: fields.mid, session: 2 });
  t.equal(parsePayload(payload, 'r2', 'a/b').kind, 'run');
  t.equal(parsePayload(payload, 'r', 'a/c').kind, 'topic');
  t.equal(parsePayload(Buffer.alloc(0), 'r', 'a/b').kind, 'empty');
  for (const other of ['x', 'hello', 'a longer text that is no payload of ours'])
    t.equal(parsePayload(Buffer.from(other), 'r', 'a/b').kind, 'foreign');
  t.equal(parsePayload(payload.subarray(0, 20), 'r', 'a/b').kind, 'corrupt', 'cut off');
  t.equal(parsePayload(Buffer.concat([payload, payload]), 'r', 'a/b').kind, 'corrupt', 'twice');
});

t.test('no changed bit of a payload goes unseen', async () => {
  fc.assert(
    fc.property(fc.nat(200), fc.nat(), fc.nat(7), (paddingBytes, place, bit) => {
      const payload = createPayload({
        run: 'r',
        mid: { pub: 1, seq: 2 },
        session: 0,
        topic: 'a',
        paddingBytes,
      });
      const at = place % payload.length;
      payload.writeUInt8(payload.readUInt8(at) ^ (1 << bit), at);
      return ['corrupt', 'foreign'].includes(parsePayload(payload, 'r', 'a').kind);
    }),
  );
});

t.test('the matcher of the checker, written anew, agrees with the one of the broker', async () => {
  const level = fc.constantFrom('a', 'b', '', '$s');
  const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
  const filter = fc
    .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
    .map(([levels, open]) => (open ? [...levels, '#'] : levels).join('/'));
  fc.assert(
    fc.property(
      topic,
      filter,
      (name, text) => matches(parseFilter(text), name) === topicMatchesFilter(name, text),
    ),
    { numRuns: 2000 },
  );
});

t.test('a shared filter is its group and what the group subscribes to', async (t) => {
  t.same(parseFilter('$share/g/a/+'), { group: 'g', levels: ['a', '+'] });
  t.same(parseFilter('$share/g'), { group: undefined, levels: ['$share', 'g'] });
  t.ok(matches(parseFilter('$share/g/#'), 'a'));
});
