/** `npm run demo [-- --keep] [--devices N] [--seconds N]`: see README.md of this folder. Ends with 0 where every sum is right. */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { Demo } from './demo.js';

const { values } = parseArgs({
  options: {
    keep: { type: 'boolean', default: false },
    devices: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '30' },
  },
});

/* oxlint-disable eslint/no-console -- it is a program for people */
const beganAt = performance.now();
const demo = new Demo({
  devices: Number(values.devices),
  seconds: Number(values.seconds),
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

function explore({ gateways, env, folder }: Demo): string[] {
  const exported = Object.entries(env).map(([name, value]) => `export ${name}='${value}'`);
  const [plant, depot] = [gateways.get('plant'), gateways.get('depot')];
  return [
    `\nThe gateways stay until Ctrl-C. What they have is in ${folder}, with their configurations and logs. Try, in another terminal:\n`,
    ...exported.map((line) => `    ${line}`),
    ...[...gateways.values()].map(({ configFile }) => `    npx sprawl-edge status --config ${configFile}`),
    `    npx sprawl-edge links --config ${depot?.configFile}`,
    `    npx sprawl-edge sub -p ${depot?.options.mqttPort} -t 'site/#' -v`,
    `    npx sprawl-edge pub -p ${plant?.options.mqttPort} -t site/plant/by-hand/temperature -m 21.5 -q 1`,
    `    npx sprawl-edge archive status --config ${plant?.configFile}`,
    `    npx sprawl-edge archive cat --config ${plant?.configFile} -t 'site/depot/#' --limit 3`,
    `    npx sprawl-edge archive verify --deep --config ${plant?.configFile}`,
    `    curl -s http://127.0.0.1:${plant?.options.httpPort}/metrics`,
  ];
}
