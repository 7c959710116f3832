import fc from 'fast-check';
import t from 'tap';
import { parseRun } from '../../../lib/connection/frame-run.js';
import type { Message } from '../../../lib/message/message.js';
import { Router } from '../../../lib/routing/router.js';
import type { Session } from '../../../lib/session/session.js';
import { createCounters } from '../../../lib/telemetry/index.js';
import * as wire from '../../support/wire.js';

const router = (): Router<Session, Message> =>
  new Router<Session, Message>({ cacheMaxCount: 10, counters: createCounters() });

function frames(version: 4 | 5, topics: readonly string[]): Uint8Array {
  return Uint8Array.from(
    Buffer.concat(topics.map((topic, n) => wire.publish({ topic, payload: `payload ${n}`, version }))),
  );
}

t.test('frames of one topic are a run again, with their messages', async (t) => {
  for (const version of [4, 5] as const) {
    const parsed = parseRun(frames(version, ['a/b', 'a/b', 'a/b']), version === 5, 'far', router());
    t.equal(parsed?.route.topic, 'a/b');
    t.equal(parsed?.run.count, 3);
    const messages = parsed?.run.messages() ?? [];
    t.same(
      messages.map(({ topic, payload, publisher }) => [topic, Buffer.from(payload).toString(), publisher]),
      [0, 1, 2].map((n) => ['a/b', `payload ${n}`, 'far']),
    );
    const payloads: string[] = [];
    const run = parsed?.run;
    run?.forEachPayload((start, end) =>
      payloads.push(Buffer.from(run.bytes.subarray(start, end)).toString()),
    );
    t.same(payloads, ['payload 0', 'payload 1', 'payload 2']);
  }
});

t.test('what is no run of QoS 0 frames of one valid topic is told apart', async (t) => {
  const refused = (bytes: Uint8Array, v5 = false): void => {
    t.equal(parseRun(bytes, v5, 'far', router()), undefined);
  };
  refused(new Uint8Array(0));
  refused(frames(4, ['a', 'b']));
  refused(frames(4, ['a/+']));
  refused(frames(4, ['a']).subarray(0, -1));
  refused(Uint8Array.from(wire.publish({ topic: 'a', payload: 'x', qos: 1, packetId: 1 })));
  refused(Uint8Array.from([0x30, 0x03, 0x00, 0x01, 0xff]));
  refused(Uint8Array.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01]));
  refused(frames(4, ['a']), true);
});

t.test('no bytes are read beyond their end', async (t) => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.nat({ max: 40 }).map((length) => frames(4, ['topic', 'topic', 'topic']).subarray(0, length)),
  );
  fc.assert(
    fc.property(bytes, fc.boolean(), (input, v5) => {
      const parsed = parseRun(Uint8Array.from(input), v5, 'far', router());
      return parsed === undefined || parsed.run.messages().length === parsed.run.count;
    }),
  );
  t.pass();
});
