/** `npm run demo [-- --keep] [--devices N] [--seconds N]`: see README.md of this folder. Ends with 0 where every sum is right. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ToolOptions } from '../support/tool-options.js';
import { Demo } from './demo.js';
import { commandsFor } from './explore.js';

const USAGE = `npm run demo -- [--keep] [--devices N] [--seconds N]

  --keep         leave the gateways running until Ctrl-C, with commands to explore them
  --devices N    for each of the three sites (default 100)
  --seconds N    how long they publish (default 30)`;

const options = new ToolOptions(USAGE, {
  options: {
    keep: { type: 'boolean', default: false },
    devices: { type: 'string' },
    seconds: { type: 'string' },
  },
});
const { values } = options.given;
const BIN = fileURLToPath(new URL('../../../bin/sprawl-edge.cjs', import.meta.url));

/* oxlint-disable eslint/no-console -- it is a program for people */
const beganAt = performance.now();
const demo = new Demo({
  devices: options.number('devices', values.devices, 100),
  seconds: options.number('seconds', values.seconds, 30),
  tell: (line) => console.log(line),
});
const interrupted = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
let code = 1;
try {
  const faults = await Promise.race([
    demo.run(),
    interrupted.then(() => {
      throw new Error('interrupted');
    }),
  ]);
  for (const fault of faults) console.log(`WRONG: ${fault}`);
  const tookS = ((performance.now() - beganAt) / 1000).toFixed(0);
  console.log(
    faults.length === 0
      ? `\nEvery sum is right. It took ${tookS} s.`
      : `\n${faults.length} sums are wrong. It took ${tookS} s.`,
  );
  code = faults.length === 0 ? 0 : 1;
  if (values.keep) {
    await demo.leave();
    for (const line of explore(demo)) console.log(line);
    await interrupted;
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
} finally {
  await demo.stop();
}
process.exit(code);

function explore(stays: Demo): string[] {
  const quoted = (text: string): string => (/[#]/.test(text) ? `'${text}'` : text);
  return [
    `\nThe gateways stay until Ctrl-C. What they have is in ${stays.folder}, with their configurations and logs. Try, in another terminal:\n`,
    `    alias sprawl-edge='${BIN}'`,
    ...Object.entries(stays.env).map(([name, value]) => `    export ${name}='${value}'`),
    ...commandsFor(stays).map((args) => `    sprawl-edge ${args.map(quoted).join(' ')}`),
    ...[...stays.gateways.values()].map(
      ({ site, options }) => `    curl -s http://127.0.0.1:${options.httpPort}/metrics    # ${site}`,
    ),
  ];
}
