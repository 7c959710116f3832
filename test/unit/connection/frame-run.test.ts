import t from 'tap';
import { FrameRun } from '../../../lib/connection/frame-run.js';
import { publish } from '../../support/wire.js';
import { LaneWorld, splitFrames } from '../delivery/lane-world.js';

const TOPIC = 'plant/é';
/** On both sides of each length of Remaining Length that a test can afford. */
const PAYLOADS = [0, 1, 100, 127, 128, 16_370, 16_400].map((size) => Buffer.alloc(size, size % 251));

for (const version of [4, 5] as const) {
  t.test(`version ${version}: the messages of a run are those of its frames`, async (t) => {
    const bytes = Buffer.concat(PAYLOADS.map((payload) => publish({ version, topic: TOPIC, payload })));
    const route = new LaneWorld().lanes.router.resolve(TOPIC);
    const largest = Math.max(...splitFrames(bytes).map(({ length }) => length));
    const run = new FrameRun(bytes, PAYLOADS.length, largest, version === 5, route, 'sensor');
    const messages = run.messages();
    t.same(
      messages.map(({ payload }) => Buffer.from(payload)),
      PAYLOADS,
    );
    for (const message of messages) {
      t.match(message, { topic: TOPIC, topicBytes: route.bytes, publisher: 'sensor', expiresAt: Infinity });
      t.equal(message.properties.length, 0);
      t.equal(message.bytes, bytes, 'nothing is copied');
    }
    t.equal(run.messages(), messages, 'made once');
  });
}
