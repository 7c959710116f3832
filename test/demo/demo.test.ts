/** The demo in a short form: fewer devices, for a shorter time, through the same cut and the same kill. */
import { existsSync } from 'node:fs';
import t from 'tap';
import { runHere } from '../integration/cli-in-process.js';
import { Demo } from './demo.js';
import { commandsFor } from './explore.js';

t.setTimeout(120_000);

t.test('a cut line and a killed gateway cost nothing that was acknowledged', async (t) => {
  const told: string[] = [];
  const demo = new Demo({ devices: 9, seconds: 6, tell: (line) => told.push(line) });
  t.teardown(() => demo.stop());
  t.same(await demo.run(), []);
  const text = told.join('\n');
  for (const part of [
    'CUT: ',
    'BACK: ',
    'KILLED: ',
    'everything that was sent is acknowledged',
    'complete: every row',
  ])
    t.ok(text.includes(part), part);
  t.match(
    text,
    /BACK: the uplink of the depot; [1-9]\d* for plant and [1-9]\d* for office of its messages/,
    'it was cut',
  );
  const sure = demo.account.rows().filter(({ qos }) => qos > 0);
  t.equal(
    sure.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
    6 * 3 * 6,
  );
  await demo.leave();
  // The SDK of AWS looks there, and nowhere else.
  Object.assign(process.env, demo.env);
  for (const args of commandsFor(demo).slice(0, -1)) {
    const { code, out, err } = await runHere(args);
    t.equal(code, 0, `${args.join(' ')}: ${out}${err}`);
  }
  await demo.stop();
  t.notOk(existsSync(demo.folder), 'nothing is left behind');
});
