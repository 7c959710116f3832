import t from 'tap';
import { HookFence, type Answer } from '../../../lib/broker/user-hooks.js';
import type { Logger } from '../../../lib/contracts/logger.js';

const ignore = (): void => {};

function fence(): { readonly fence: HookFence; readonly lines: unknown[] } {
  const lines: unknown[] = [];
  const logger: Logger = {
    trace: ignore,
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: (_message, fields) => lines.push([fields?.['hook'], fields?.['client']]),
    child: () => logger,
  };
  return { fence: new HookFence(() => logger), lines };
}

interface Outcome {
  readonly answers: unknown[];
  readonly failures: string[];
  readonly lines: unknown[];
}

function ask(hook: (done: Answer<boolean>) => unknown, answered?: Answer<boolean>): Outcome {
  const { fence: guard, lines } = fence();
  const outcome: Outcome = { answers: [], failures: [], lines };
  guard.ask<boolean>(
    'authenticate',
    'device',
    hook,
    (error, value) => {
      outcome.answers.push([error?.message, value]);
      answered?.(error, value);
    },
    (error) => outcome.failures.push(error.message),
  );
  return outcome;
}

t.test('only the first answer of a hook counts', async (t) => {
  const { answers, failures } = ask((done) => {
    done(null, true);
    done(new Error('no'), false);
  });
  t.same([answers, failures], [[[undefined, true]], []]);
});

t.test(
  'a hook that throws before its answer has failed, one that throws after it has answered',
  async (t) => {
    const before = ask(() => {
      throw new Error('fault');
    });
    t.same([before.answers, before.failures, before.lines], [[], ['fault'], [['authenticate', 'device']]]);
    const after = ask((done) => {
      done(null, true);
      throw new Error('fault');
    });
    t.same([after.answers, after.failures, after.lines.length], [[[undefined, true]], [], 1]);
  },
);

t.test('what is thrown need not be an error', async (t) => {
  t.same(
    ask(() => {
      throw 'text';
    }).failures,
    ['text'],
  );
});

t.test('an async hook that rejects has failed, one that resolves has not answered by that', async (t) => {
  const rejected = ask(async () => {
    throw new Error('fault');
  });
  const resolved = ask(async () => true);
  await new Promise((resolve) => setImmediate(resolve));
  t.same([rejected.answers, rejected.failures], [[], ['fault']]);
  t.same([resolved.answers, resolved.failures], [[], []]);
});

t.test('a fault of the gateway inside the answer is not taken for one of the hook', async (t) => {
  t.throws(
    () =>
      ask(
        (done) => done(null, true),
        () => {
          throw new Error('ours');
        },
      ),
    { message: 'ours' },
  );
});
