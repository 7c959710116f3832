/** The load generator against a server that makes one mistake: a figure may only come out where nothing was wrong. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { greet } from './greeter.js';
import { parseResult, type BenchVersion, type LoadJob, type LoadResult } from './load-job.js';
import { spawnPlain } from './plain-process.js';
import { Fault, startReflector } from './reflector.js';
import { Run, measureWindow, type Counts } from './run.js';
import { Subscriber } from './subscriber.js';

const GENERATOR = fileURLToPath(new URL('./load-generator.js', import.meta.url));
const TIMES = { payloadBytes: 64, warmUpMs: 50, measureMs: 150, lostAfterMs: 1000, serverPid: process.pid };

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

/** @param far subscribers are at another server than publishers */
async function generate(
  plan: Plan,
  fault: Fault,
  version: BenchVersion = 4,
  far = false,
): Promise<LoadResult> {
  const reflector = await startReflector(fault);
  const { port, farPort } = reflector;
  const job = JSON.stringify({ ...plan(port, version), ...(far && { subscriberPort: farPort }) });
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

t.test('between two servers a run begins when what is published arrives, and loses nothing', async (t) => {
  const plans = {
    flood,
    'QoS 1': window(1),
    'QoS 2': window(2),
    'paced QoS 0': paced(0),
    'paced QoS 1': paced(1),
  };
  for (const [name, plan] of Object.entries(plans)) {
    const result = await generate(plan, Fault.none, 4, true);
    if (result.kind !== 'rate' && result.kind !== 'latency') {
      t.fail(`${name}: ${reasonOf(result)}`);
      continue;
    }
    t.ok(result.deliveredPerSecond > 1_000, `${name}: ${result.deliveredPerSecond} msg/s`);
    t.equal(result.lossPercent, 0, `${name}: nothing lost`);
  }
});

t.test('between two servers a mistake is noticed as it is at one', async (t) => {
  t.match(reasonOf(await generate(window(1), Fault.drop, 4, true)), /were left out/);
  t.match(reasonOf(await generate(flood, Fault.duplicate, 4, true)), /came again or late/);
});

t.test('servers between which nothing passes fail the run', async (t) => {
  const [near, strange] = [await startReflector(), await startReflector()];
  t.teardown(() => {
    near.close();
    strange.close();
  });
  const run = new Run();
  const way = { port: near.port, subscriberPort: strange.port, version: 4, payloadBytes: 64 } as const;
  const subscriber = new Subscriber({
    ...{ ...way, port: way.subscriberPort, topic: 'bench/0', qos: 1 },
    ...{ clientId: 'bench-sub', fail: run.fail },
  });
  await subscriber.start();
  await t.rejects(greet(way, 1, [subscriber], run, 200), { message: /does not arrive at the other/ });
  subscriber.close();
});

t.test('greetings are no deliveries', async (t) => {
  const reflector = await startReflector();
  t.teardown(() => reflector.close());
  const run = new Run();
  const way = {
    port: reflector.port,
    subscriberPort: reflector.farPort,
    version: 4,
    payloadBytes: 64,
  } as const;
  const subscriber = new Subscriber({
    ...{ ...way, port: way.subscriberPort, topic: 'bench/0', qos: 1 },
    ...{ clientId: 'bench-sub', fail: run.fail },
  });
  await subscriber.start();
  await greet(way, 1, [subscriber], run);
  t.ok(subscriber.greetings > 0);
  t.equal(subscriber.received, 0);
  t.equal(subscriber.expected, 0);
  subscriber.close();
});

t.test('the CPU of every server on the way is counted', async (t) => {
  const busy = spawnPlain(process.execPath, ['-e', 'for (;;);']);
  t.teardown(() => busy.kill('SIGKILL'));
  const others = { otherPids: [busy.pid ?? 0] };
  const job: LoadJob = { ...window(1)(0, 4), warmUpMs: 200, measureMs: 400, serverPid: 0 };
  const counts = (): Counts => ({ delivered: 0, published: 0 });
  const { cpu } = await measureWindow({ ...job, ...others }, counts);
  t.ok(cpu.serverCores > 0, `${cpu.serverCores} cores`);
  t.equal((await measureWindow(job, counts)).cpu.serverCores, 0, "and nobody else's");
});
