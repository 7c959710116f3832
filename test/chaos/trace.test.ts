import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readTrace } from './power/trace.js';

t.test(
  'a thread that is killed leaves lines that are no calls, and what is none of these is told',
  async (t) => {
    const path = join(t.testdir(), 'trace');
    const read = (lines: readonly string[]): Promise<void> => {
      writeFileSync(path, lines.map((line) => `${line}\n`).join(''));
      return readTrace(path, { began: async () => undefined, ended: async () => undefined });
    };
    await read([
      '29004 ???( <unfinished ...>',
      '29004 <... ??? resumed>)                = ?',
      '29004 +++ killed by SIGKILL +++',
      '29004 --- SIGTERM {si_signo=SIGTERM} ---',
    ]);
    await t.rejects(read(['29004 nonsense']), /no system call: 29004 nonsense/);
  },
);
