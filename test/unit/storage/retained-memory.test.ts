/** The limit of retained messages is one of memory: what they are counted with against what a process holds for them. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { cleanCommand, cleanEnvironment } from '../../support/clean-process.js';

const CHILD = fileURLToPath(new URL('./retained-memory-child.js', import.meta.url));
const run = promisify(execFile);

async function measured(...args: string[]): Promise<{ count: number; counted: number; held: number }> {
  const command = cleanCommand(process.execPath, ['--expose-gc', CHILD, ...args]);
  const { stdout } = await run(...command, { env: cleanEnvironment() });
  return JSON.parse(stdout);
}

t.test('what retained messages count is what they take in memory, within 30 %', async (t) => {
  for (const args of [['20'], ['1000'], ['100', 'mesh']]) {
    const { count, counted, held } = await measured(...args);
    const each = `${args.join(' ')}: ${Math.round(counted / count)} counted, ${Math.round(held / count)} held`;
    t.comment(each);
    t.ok(counted > held * 0.7 && counted < held * 1.3, each);
  }
});
