/**
 * `npm run fuzz -- [--seed N] [--seconds N]`: attacks a gateway and reports. `--replay FILE` sends what a failed run wrote
 * down to the gateway at `--port N`, connection by connection.
 */
import { randomInt } from 'node:crypto';
import { ToolOptions } from '../support/tool-options.js';
import { replay } from './replay.js';
import { fuzz, type FuzzReport } from './run.js';

const mib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;

function print({ seed, seconds, tally, delivered, states, faults, caseFile }: FuzzReport): void {
  const { packets, connections, storms } = tally;
  console.log(`seed ${seed}: ${packets} packets on ${connections} connections in ${seconds.toFixed(1)} s`);
  console.log(`${storms} storms of one client id; ${delivered} deliveries to bystanders, each checked`);
  console.log(`stages: ${[...tally.stages].map(([stage, count]) => `${stage} ${count}`).join(', ')}`);
  console.log('reasons given:');
  for (const [reason, count] of tally.reasons) console.log(`  ${reason.padEnd(18)}${count}`);
  states.forEach(({ heapBytes, bufferBytes, rssBytes }, index) => {
    console.log(
      `after half ${index + 1}: heap ${mib(heapBytes)}, buffers ${mib(bufferBytes)}, RSS ${mib(rssBytes)}`,
    );
  });
  const dropped = Object.entries(states[states.length - 1]?.counters ?? {}).filter(
    ([name, value]) => value > 0 && /^(dropped|refused|connectionRefused|disconnected)/.test(name),
  );
  console.log(`counted: ${dropped.map(([name, value]) => `${name} ${value}`).join(', ')}`);
  for (const fault of faults) console.error(`FAULT ${fault}`);
  if (caseFile !== undefined)
    console.error(`the last connections are in ${caseFile}; again with --seed ${seed}`);
}

const USAGE = `npm run fuzz -- [--seed N] [--seconds N]      attacks a gateway of its own
npm run fuzz -- --replay FILE [--port N]      sends what a failed run wrote down to the gateway at the port`;

async function main(): Promise<number> {
  const options = new ToolOptions(USAGE, {
    options: {
      seed: { type: 'string' },
      seconds: { type: 'string' },
      replay: { type: 'string' },
      port: { type: 'string' },
    },
  });
  const { values } = options.given;
  if (values.replay !== undefined) {
    await replay(values.replay, options.number('port', values.port, 1883));
    return 0;
  }
  const seed = options.number('seed', values.seed, randomInt(2 ** 31));
  const seconds = options.number('seconds', values.seconds, 60);
  const report = await fuzz({ seed, seconds, whole: true });
  print(report);
  return report.faults.length === 0 ? 0 : 1;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error);
    process.exit(2);
  },
);
