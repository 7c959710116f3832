import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import t from 'tap';

const MODULE = new URL('../../../bridge/archive/thread-priority.js', import.meta.url).href;
const skip = process.platform === 'linux' ? false : 'only Linux has priorities of threads';

t.test(
  'a thread that steps back is nicer than others, and gets a share all the same',
  { skip },
  async (t) => {
    // The niceness and the policy of the scheduler: fields 19 and 41 of its stat, whose name may have blanks.
    const code = `
    import(${JSON.stringify(MODULE)}).then(({ stepBack }) => {
      stepBack();
      const text = require('node:fs').readFileSync('/proc/thread-self/stat', 'latin1');
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ').map(Number);
      require('node:worker_threads').parentPort.postMessage([fields[16], fields[38]]);
    });`;
    const worker = new Worker(code, { eval: true });
    const [found] = (await once(worker, 'message')) as [readonly number[]];
    await worker.terminate();
    t.same(found, [10, 0]);
  },
);
