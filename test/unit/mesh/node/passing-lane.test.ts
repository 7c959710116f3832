/** What becomes of messages of QoS 0 to one gateway, over one link after the other. */
import t from 'tap';
import type { MeshHost } from '../../../../lib/contracts/mesh-port.js';
import type { Message } from '../../../../lib/message/message.js';
import { TextCache } from '../../../../mesh/forward/text-cache.js';
import { LocalInterest } from '../../../../mesh/interest/index.js';
import { Channel } from '../../../../mesh/link/peer-link.js';
import { PassingLane } from '../../../../mesh/node/passing-lane.js';
import { encodeRun } from '../../../../mesh/node/runs.js';
import { messageAt, NONCE, ORIGIN } from '../forward/fixture.js';
import { FakeLink } from './fake-link.js';

const SOURCE = { origin: ORIGIN, epoch: { counter: 1, nonce: NONCE } };
const QUEUED_MAX_BYTES = 1000;
const FRAMES = Uint8Array.of(0x30, 3, 0, 1, 0x61);

function createLane(importFilters: readonly string[] = ['#']): { lane: PassingLane; got: string[] } {
  const got: string[] = [];
  const host: Partial<MeshHost> = {
    publishPassing: ({ topic }: Message) => void got.push(topic),
    publishRun: (frames, _v5, _publisher, mayCome) => {
      if (frames.length === 0) return 0;
      if (mayCome('a')) got.push('a run');
      return 2;
    },
  };
  const lane = new PassingLane({
    ...{ clock: { now: () => 1000, wall: () => 0 }, host: host as MeshHost, texts: new TextCache(16) },
    local: new LocalInterest({ life: 0, importFilters, exportFilters: ['#'] }),
    limits: {
      ...{ linkMaxBytesPerSecond: 0, interestWaitMs: 0, relay: true },
      maxQueuedPassingBytes: QUEUED_MAX_BYTES,
    },
  });
  return { lane, got };
}

t.test('without a link messages are dropped and counted, whether alone or in runs', (t) => {
  const { lane } = createLane();
  lane.send(messageAt(1));
  lane.sendRun(true, 'p', FRAMES, 3);
  lane.flush();
  t.match(lane.counts, { sent: 0, slowLink: 0, linkDown: 4 });
  t.equal(lane.onFrame(Uint8Array.of(255)), undefined);
  t.end();
});

t.test('a run leaves behind the messages that came before it', (t) => {
  const { lane } = createLane();
  const link = new FakeLink(ORIGIN);
  lane.linkUp(link, SOURCE);
  lane.send(messageAt(1));
  lane.sendRun(true, 'p', FRAMES, 3);
  t.same(
    link.sent.map(([channel]) => channel),
    [Channel.passing, Channel.runs],
  );
  t.match(lane.counts, { sent: 4, slowLink: 0, linkDown: 0 });
  t.end();
});

t.test('a run is dropped and counted while too much waits on the link', (t) => {
  const { lane } = createLane();
  const link = new FakeLink(ORIGIN);
  lane.linkUp(link, SOURCE);
  link.queuedBytes = QUEUED_MAX_BYTES + 1;
  lane.sendRun(true, 'p', FRAMES, 3);
  t.same(link.sent, []);
  t.match(lane.counts, { sent: 0, slowLink: 3 });
  link.queuedBytes = QUEUED_MAX_BYTES;
  lane.sendRun(true, 'p', FRAMES, 3);
  t.match(lane.counts, { sent: 3, slowLink: 3 });
  t.end();
});

t.test('what was counted on one link counts on after it', (t) => {
  const { lane } = createLane();
  for (const count of [1, 2]) {
    lane.linkUp(new FakeLink(ORIGIN), SOURCE);
    lane.send(messageAt(1));
    lane.send(messageAt(1, 'a', { expiresAt: 1000 }));
    lane.flush();
    t.match(lane.counts, { sent: count, expired: count });
    lane.linkDown();
    t.match(lane.counts, { sent: count, expired: count });
  }
  t.end();
});

t.test('what comes is handed in and counted, and what is none ends the link', (t) => {
  const { lane, got } = createLane();
  const other = createLane().lane;
  const link = new FakeLink(ORIGIN);
  other.linkUp(link, SOURCE);
  lane.linkUp(new FakeLink(ORIGIN), SOURCE);
  other.send(messageAt(1, 'a'));
  other.flush();
  t.equal(lane.onFrame(link.take(Channel.passing)[0] ?? new Uint8Array()), undefined);
  t.same(got, ['a']);
  t.equal(lane.onRun(encodeRun(true, 'p', FRAMES)), undefined);
  t.same(got, ['a', 'a run']);
  t.equal(lane.receivedCount, 3);
  t.equal(lane.onRun(encodeRun(true, 'p', new Uint8Array(0))), 'it sent messages that are none');
  t.equal(lane.receivedCount, 3);
  t.end();
});

t.test('what is not imported came, and is handed in to nobody', (t) => {
  const { lane, got } = createLane(['b', '$SYS/#']);
  const other = createLane().lane;
  const link = new FakeLink(ORIGIN);
  other.linkUp(link, SOURCE);
  lane.linkUp(new FakeLink(ORIGIN), SOURCE);
  for (const topic of ['a', 'b', '$SYS/broker/uptime']) other.send(messageAt(1, topic));
  other.flush();
  t.equal(lane.onFrame(link.take(Channel.passing)[0] ?? new Uint8Array()), undefined);
  t.equal(lane.onRun(encodeRun(true, 'p', FRAMES)), undefined);
  t.same(got, ['b']);
  t.equal(lane.receivedCount, 5);
  t.end();
});
