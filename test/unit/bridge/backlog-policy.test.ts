import t from 'tap';
import { BacklogPolicy } from '../../../bridge/archive/backlog-policy.js';
import type { LogFields, Logger } from '../../../lib/contracts/logger.js';

interface World {
  nowMs: number;
  bytes: number;
  readonly said: string[];
  readonly done: string[];
  readonly policy: BacklogPolicy;
}

function world(whenFull: 'refuse' | 'drop'): World {
  const said: string[] = [];
  const done: string[] = [];
  const say = (message: string, fields?: LogFields): number =>
    said.push(`${message}${fields?.['reason'] === undefined ? '' : `: ${String(fields['reason'])}`}`);
  const quiet = (): void => undefined;
  const logger: Logger = {
    trace: quiet,
    debug: quiet,
    info: say,
    warn: say,
    error: say,
    child: () => logger,
  };
  const one = { nowMs: 0, bytes: 0, said, done };
  const policy = new BacklogPolicy(
    { name: 'archive', backlogMaxBytes: 1000, whenFull },
    {
      clock: { now: () => one.nowMs, wall: () => 0 },
      logger,
      bytes: () => one.bytes,
      reason: () => 'the store is away',
      setFull: (isFull) => done.push(isFull ? 'full' : 'room'),
      giveUp: () => {
        done.push('given up');
        one.bytes = 900;
      },
    },
  );
  return Object.assign(one, { policy });
}

t.test('below four fifths nothing is said', async (t) => {
  const one = world('refuse');
  one.bytes = 799;
  one.policy.look();
  t.equal(one.policy.trouble, undefined);
  t.equal(one.policy.refusal, undefined);
  t.same([one.said, one.done], [[], []]);
});

t.test('from four fifths on it is said, and again after ten minutes', async (t) => {
  const one = world('refuse');
  one.bytes = 800;
  for (const nowMs of [0, 1000, 599_999, 600_000]) {
    one.nowMs = nowMs;
    one.policy.look();
  }
  t.equal(one.policy.trouble, 'archive: 80 % of archive.backlogMaxBytes wait');
  t.same(one.said, Array(2).fill('much waits to be archived: the store is away'));
  t.same(one.done, []);
});

t.test('at the bound messages are refused, until there is room', async (t) => {
  const one = world('refuse');
  one.bytes = 1000;
  one.policy.look();
  one.policy.look();
  t.same(one.done, ['full']);
  t.match(one.policy.refusal, /100 % .* wait, messages are refused/);
  one.bytes = 999;
  one.policy.look();
  t.same(one.done, ['full', 'room']);
  t.equal(one.policy.refusal, undefined);
  t.match(one.said.at(-1), /taken again/);
});

t.test('or the oldest goes', async (t) => {
  const one = world('drop');
  one.bytes = 1001;
  one.policy.look();
  t.same(one.done, ['given up']);
  t.equal(one.policy.isFull, true);
  t.match(one.policy.trouble, /90 % .*, the oldest is given up/);
  t.equal(one.policy.refusal, undefined);
});
