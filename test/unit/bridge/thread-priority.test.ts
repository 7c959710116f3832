import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import t from 'tap';

const MODULE = new URL('../../../bridge/archive/thread-priority.js', import.meta.url).href;
const IDLE = 5;
const isLinux = process.platform === 'linux';
const hasChrt = spawnSync('chrt', ['--version']).status === 0;

/** The scheduler's policy and the niceness of a thread that steps back (fields 41 and 19 of its stat, whose name may have blanks). */
async function steppedBack(path: string | undefined): Promise<readonly number[]> {
  const code = `
    import(${JSON.stringify(MODULE)}).then(({ stepBack }) => {
      stepBack();
      const text = require('node:fs').readFileSync('/proc/thread-self/stat', 'latin1');
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ').map(Number);
      require('node:worker_threads').parentPort.postMessage([fields[38], fields[16]]);
    });`;
  const worker = new Worker(code, { eval: true, env: { ...process.env, PATH: path } });
  const [found] = (await once(worker, 'message')) as [readonly number[]];
  await worker.terminate();
  return found;
}

const skip = isLinux ? (hasChrt ? false : 'there is no chrt') : 'only Linux has priorities of threads';

t.test('a thread that steps back gets what nobody else wants', { skip }, async (t) => {
  t.same((await steppedBack(process.env['PATH']))[0], IDLE);
});

t.test('without chrt it is nicer than others', { skip: !isLinux && 'only Linux' }, async (t) => {
  t.same(await steppedBack('/nowhere'), [0, 10]);
});
