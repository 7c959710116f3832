/** Who holds how many retained messages, kept in step, against a count of the retained messages themselves. */
import fc from 'fast-check';
import t from 'tap';
import type { Logger } from '../../lib/contracts/logger.js';
import { Retention, type RetentionRefusal } from '../../lib/ingest/retention.js';
import { createMessage } from '../../lib/message/message.js';
import { MemoryStore } from '../../storage/index.js';
import { str } from '../support/protocol-bytes.js';

const QUOTA = 2;
const CLIENTS = ['', 'one', 'two', 'auto-1', 'auto-2', '__proto__'] as const;
const TOPICS = ['a', 'b', 'a/b', '$SYS/a', '/', 'c', 'd'] as const;

const ignore = (): void => {};
const quiet: Logger = {
  trace: ignore,
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  child: () => quiet,
};

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('publish' as const),
      topic: fc.constantFrom(...TOPICS),
      client: fc.constantFrom(...CLIENTS),
      empty: fc.nat(3).map((n) => n === 0),
      expiryMs: fc.constantFrom(Infinity, Infinity, 1000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(15_000) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
);

t.test('the account is what the retained messages say, and nobody is beyond its quota', async (t) => {
  const refusals = new Set<RetentionRefusal>();
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 80, size: 'max' }), (steps) => {
      const { retained } = new MemoryStore();
      let now = 0;
      const create = (): Retention =>
        new Retention({
          retained,
          limits: { retainedMaxCount: 5, retainedMaxBytes: 1_000_000, retainedPerClientMaxCount: QUOTA },
          clock: { now: () => now, wall: () => 0 },
          logger: quiet,
          isAssignedClientId: (clientId) => clientId.startsWith('auto-'),
        });
      let retention = create();
      for (const one of steps) {
        if (one.kind === 'wait') now += one.ms;
        else if (one.kind === 'restart') retention = create();
        else {
          const message = createMessage({
            topic: one.topic,
            topicBytes: str(one.topic),
            payload: Buffer.from(one.empty ? '' : 'x'),
            qos: 0,
            retain: true,
            publisher: one.client,
            expiresAt: now + one.expiryMs,
          });
          const refusal = retention.refusalOf(message);
          if (refusal !== undefined) refusals.add(refusal);
          else if (one.empty) retention.delete(one.topic);
          else retention.keep(message);
        }
        const held = new Map<string, number>();
        retained.forEach(({ publisher }) => {
          const holder = publisher.startsWith('auto-') ? 'auto-1' : publisher;
          held.set(holder, (held.get(holder) ?? 0) + 1);
        });
        for (const client of ['one', 'two', 'auto-1', '__proto__']) {
          const count = held.get(client) ?? 0;
          if (retention.heldBy(client) !== count || count > QUOTA)
            throw new Error(`${client} holds ${count}, and ${retention.heldBy(client)} in the account`);
        }
        if (retention.heldBy('auto-1') !== retention.heldBy('auto-2'))
          throw new Error('nameless clients differ');
      }
    }),
  );
  t.same([...refusals].sort(), ['limit', 'quota'], 'both were met');
});
