/** The load generator against a server that makes one mistake: a figure may only come out where nothing was wrong. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { parseResult, type BenchVersion, type LoadJob, type LoadResult } from './load-job.js';
import { spawnPlain } from './plain-process.js';
import { Fault, startReflector } from './reflector.js';

const GENERATOR = fileURLToPath(new URL('./load-generator.js', import.meta.url));
const TIMES = { payloadBytes: 64, warmUpMs: 50, measureMs: 150, serverPid: process.pid };

type Plan = (port: number, version: BenchVersion) => LoadJob;
const flood: Plan = (port, version) => ({
  ...{ ...TIMES, port, version, kind: 'flood' },
  ...{ subscribers: 3, creditBytes: 64 * 1024, stopped: false },
});
const window =
  (qos: 1 | 2): Plan =>
  (port, version) => ({
    ...{ ...TIMES, port, version, kind: 'window' },
    ...{ qos, pairs: 2, windowCount: 50, aheadMaxCount: 500 },
  });
const paced =
  (qos: 0 | 1): Plan =>
  (port, version) => ({
    ...{ ...TIMES, port, version, kind: 'paced', measureMs: 600 },
    ...{ qos, subscribers: 2, ratePerSecond: 2_000, stopped: false },
  });

async function generate(plan: Plan, fault: Fault, version: BenchVersion = 4): Promise<LoadResult> {
  const reflector = await startReflector(fault);
  const job = JSON.stringify(plan(reflector.port, version));
  const child = spawnPlain(process.execPath, [GENERATOR, job]);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  await once(child, 'close');
  reflector.close();
  return parseResult(output);
}

const reasonOf = (result: LoadResult): string =>
  result.kind === 'failed' ? result.reason : `a figure (${result.kind})`;

t.test('a faultless server gets a figure for every kind of load', async (t) => {
  for (const version of [4, 5] as const) {
    for (const [name, plan] of Object.entries({ flood, 'QoS 1': window(1), 'QoS 2': window(2) })) {
      const result = await generate(plan, Fault.none, version);
      if (result.kind !== 'rate') {
        t.fail(`${name}: ${reasonOf(result)}`);
        continue;
      }
      t.ok(result.deliveredPerSecond > 1_000, `${name}, version ${version}`);
      t.equal(result.lossPercent, 0, `${name}, version ${version}: nothing lost`);
    }
  }
});

t.test('a paced load is sent at its rate and every delivery has a latency', async (t) => {
  const result = await generate(paced(1), Fault.none);
  if (result.kind !== 'latency') {
    t.fail(reasonOf(result));
    return;
  }
  t.ok(
    result.publishedPerSecond > 1_600 && result.publishedPerSecond < 2_400,
    `${result.publishedPerSecond} msg/s`,
  );
  t.ok(
    result.p50Ms > 0 && result.p50Ms <= result.p99Ms && result.p99Ms <= result.maxMs,
    'percentiles in order',
  );
});

t.test('a QoS 0 message that is not delivered is counted as lost, not as delivered', async (t) => {
  const result = await generate(flood, Fault.drop);
  if (result.kind !== 'rate') {
    t.fail(reasonOf(result));
    return;
  }
  t.ok(result.lossPercent > 0, `${result.lossPercent} % lost`);
});

t.test('a QoS 0 message that comes twice fails the run', async (t) => {
  t.match(reasonOf(await generate(flood, Fault.duplicate)), /came again or late/);
});

for (const qos of [1, 2] as const) {
  t.test(`an acknowledged QoS ${qos} message that is not delivered fails the run`, async (t) => {
    t.match(reasonOf(await generate(window(qos), Fault.drop)), /were left out/);
  });
  t.test(`two QoS ${qos} messages that change places fail the run`, async (t) => {
    t.match(reasonOf(await generate(window(qos), Fault.swap)), /were left out|came again or late/);
  });
  t.test(`a QoS ${qos} message that comes twice fails the run`, async (t) => {
    t.match(
      reasonOf(await generate(window(qos), Fault.duplicate)),
      /came again or late|used again before its PUBREL/,
    );
  });
  t.test(`QoS ${qos} messages that are never acknowledged fail the run`, async (t) => {
    t.match(reasonOf(await generate(window(qos), Fault.silent)), /were acknowledged/);
  });
}

t.test('one PUBACK fails a QoS 2 run', async (t) => {
  t.match(reasonOf(await generate(window(2), Fault.puback)), /QoS 2 publisher got packet of type 4/);
});

t.test('a payload that changes on its way fails the run', async (t) => {
  t.match(reasonOf(await generate(flood, Fault.corrupt)), /payload changed on its way/);
});

t.test('a paced QoS 1 message that is not delivered fails the run', async (t) => {
  t.match(reasonOf(await generate(paced(1), Fault.drop)), /were left out/);
});
