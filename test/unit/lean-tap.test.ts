import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const pathOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const LEAN_TAP = pathOf('../support/lean-tap.cjs');
const FIXTURE = pathOf('../support/uncaught-fixture.js');

t.test('an error that nobody catches fails its file', async (t) => {
  const codeOf = async (how: string): Promise<unknown> => {
    const child = spawn(process.execPath, ['--require', LEAN_TAP, FIXTURE, how], { stdio: 'ignore' });
    return (await once(child, 'close'))[0];
  };
  const codes = await Promise.all(['nothing', 'timer', 'promise', 'later'].map(codeOf));
  t.equal(codes[0], 0);
  for (const code of codes.slice(1)) t.not(code, 0);
});
