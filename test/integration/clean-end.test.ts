/** A program for developers that is ended leaves none of its processes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { setTimeout as elapse } from 'node:timers/promises';
import t from 'tap';

const SUPPORT = new URL('../support/clean-end.js', import.meta.url).href;
/** Starts one that would stay, says which, and prints on. */
const PROGRAM = `
  import { spawn } from 'node:child_process';
  import { atEnd, endCleanly } from '${SUPPORT}';
  endCleanly();
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  const other = atEnd(() => console.error('never'));
  atEnd(() => child.kill('SIGKILL'));
  other();
  setInterval(() => console.log(child.pid), 10);
`;

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

for (const how of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGPIPE'] as const)
  t.test(`by ${how}`, async (t) => {
    const program = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let errors = '';
    program.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    const [first] = (await once(program.stdout, 'data')) as [Buffer];
    const pid = Number(first.toString().split('\n')[0]);
    t.ok(isAlive(pid));
    // As `| head` does.
    if (how === 'SIGPIPE') program.stdout.destroy();
    else program.kill(how);
    const [code] = (await once(program, 'exit')) as [number];
    t.equal(code, 128 + constants.signals[how]);
    for (let tries = 0; isAlive(pid) && tries < 500; tries++)
      // eslint-disable-next-line no-await-in-loop
      await elapse(10);
    t.notOk(isAlive(pid), 'what it started is gone');
    t.equal(errors, '');
  });
