/** mosquitto_pub and mosquitto_sub, the real ones, in every version of the protocol. */
import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { startTestGateway, type TestGateway } from '../interop/gateway.js';
import { unique } from '../support/raw-client.js';

const skip: false | string =
  spawnSync('mosquitto_sub', ['--version']).error === undefined
    ? false
    : 'mosquitto-clients is not installed';

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A run of one of the two tools. */
class Tool {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ended>;

  constructor(t: Test, name: 'mosquitto_pub' | 'mosquitto_sub', port: number, args: readonly string[]) {
    this.child = spawn(name, ['-h', '127.0.0.1', '-p', String(port), ...args]);
    t.teardown(() => this.child.kill('SIGKILL'));
    const text = { out: '', err: '' };
    this.child.stdout.setEncoding('latin1').on('data', (chunk: string) => (text.out += chunk));
    this.child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text.err += chunk));
    this.ended = once(this.child, 'close').then(([code]) => ({
      code: typeof code === 'number' ? code : null,
      ...text,
    }));
  }
}

interface World {
  readonly gateway: TestGateway;
  pub(t: Test, ...args: string[]): Promise<Ended>;
  /** Resolves once the subscription is granted. */
  sub(t: Test, ...args: string[]): Promise<Tool>;
}

async function createWorld(): Promise<World> {
  const gateway = await startTestGateway(t);
  const port = gateway.port('mqtt');
  return {
    gateway,
    pub: (t, ...args) => {
      const tool = new Tool(t, 'mosquitto_pub', port, args);
      tool.child.stdin.end();
      return tool.ended;
    },
    sub: async (t, ...args) => {
      const subscribed = once(gateway.gateway.broker, 'subscribe');
      const tool = new Tool(t, 'mosquitto_sub', port, args);
      const gone = tool.ended.then(({ err }) =>
        Promise.reject(new Error(`it ended before it subscribed: ${err}`)),
      );
      gone.catch(() => undefined); // Later on it may end.
      await Promise.race([subscribed, gone]);
      return tool;
    },
  };
}

const lines = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => `${line(index)}\n`).join('');

if (skip !== false) {
  t.test('mosquitto_pub and mosquitto_sub', { skip }, async () => undefined);
} else {
  const world = await createWorld();
  for (const version of ['31', '311', '5']) {
    t.test(`-V ${version}: each QoS arrives at the lower of both`, async (t) => {
      for (const granted of [0, 1, 2]) {
        const topic = unique('qos');
        const sub = await world.sub(
          t,
          ...['-V', version, '-t', `${topic}/#`, '-q', String(granted), '-F', '%t %q %p', '-C', '3'],
        );
        for (const qos of [0, 1, 2]) {
          const { code, err } = await world.pub(
            t,
            ...['-V', version, '-t', `${topic}/${qos}`, '-q', String(qos), '-m', 'hello'],
          );
          t.strictSame([code, err], [0, '']);
        }
        const { code, out } = await sub.ended;
        t.equal(code, 0);
        t.equal(
          out,
          lines(3, (qos) => `${topic}/${qos} ${Math.min(qos, granted)} hello`),
        );
      }
    });

    t.test(
      `-V ${version}: a retained message comes first, and a will when its client is killed`,
      async (t) => {
        const topic = unique('will');
        await world.pub(t, '-V', version, '-t', topic, '-q', '1', '-m', 'on', '-r');
        const sub = await world.sub(t, '-V', version, '-t', topic, '-q', '1', '-F', '%r %p', '-C', '2');
        const doomed = await world.sub(
          t,
          ...[
            '-V',
            version,
            '-t',
            'nothing',
            '--will-topic',
            topic,
            '--will-payload',
            'off',
            '--will-qos',
            '1',
          ],
        );
        doomed.child.kill('SIGKILL');
        t.match(await sub.ended, { code: 0, out: '1 on\n0 off\n' });
      },
    );

    t.test(`-V ${version}: -c takes up the session, and with it what waits`, async (t) => {
      const [topic, id] = [unique('kept'), unique('id')];
      const session = ['-V', version, '-c', '-i', id, '-t', topic, '-q', '1'];
      const first = await world.sub(t, ...session, '-E');
      await first.ended;
      for (const payload of ['one', 'two', 'three'])
        await world.pub(t, '-V', version, '-t', topic, '-q', '1', '-m', payload);
      // What waits may come before the answer to its SUBSCRIBE.
      const again = new Tool(t, 'mosquitto_sub', world.gateway.port('mqtt'), [...session, '-C', '3']);
      t.match(await again.ended, { code: 0, out: 'one\ntwo\nthree\n' });
    });

    t.test(`-V ${version}: 200 KB go through unharmed`, async (t) => {
      const topic = unique('large');
      const sub = await world.sub(t, '-V', version, '-t', topic, '-q', '2', '-C', '1', '-N');
      const payload = Buffer.from(Array.from({ length: 200_000 }, (_, index) => (index * 7) & 0xff));
      const port = world.gateway.port('mqtt');
      const pub = new Tool(t, 'mosquitto_pub', port, ['-V', version, '-t', topic, '-q', '2', '-s']);
      pub.child.stdin.end(payload);
      t.match(await pub.ended, { code: 0 });
      const { code, out } = await sub.ended;
      t.equal(code, 0);
      t.ok(payload.equals(Buffer.from(out, 'latin1')));
    });

    t.test(`-V ${version}: -l streams 10,000 lines at QoS 1 and they arrive in order`, async (t) => {
      const topic = unique('lines');
      const sub = await world.sub(t, '-V', version, '-t', topic, '-q', '1', '-C', '10000');
      const port = world.gateway.port('mqtt');
      const pub = new Tool(t, 'mosquitto_pub', port, ['-V', version, '-t', topic, '-q', '1', '-l']);
      const text = lines(10_000, (index) => `line ${index}`);
      pub.child.stdin.end(text);
      t.match(await pub.ended, { code: 0 });
      const { code, out } = await sub.ended;
      t.equal(code, 0);
      t.ok(out === text, 'every line, in order');
    });
  }

  t.test('-V 5: properties reach the subscriber', async (t) => {
    const topic = unique('properties');
    const format = '%C|%D|%E|%R|%P|%p';
    const sub = await world.sub(t, '-V', '5', '-t', topic, '-q', '1', '-F', format, '-C', '1');
    const properties = [
      ['content-type', 'text/plain'],
      ['correlation-data', 'abc'],
      ['message-expiry-interval', '100'],
      ['response-topic', 'answer'],
    ].flatMap(([name = '', value = '']) => ['-D', 'publish', name, value]);
    const user = ['-D', 'publish', 'user-property', 'k', 'v'];
    await world.pub(t, '-V', '5', '-t', topic, '-q', '1', '-m', 'x', ...properties, ...user);
    t.match(await sub.ended, { code: 0, out: 'text/plain|abc|100|answer|k:v|x\n' });
  });

  for (const version of ['311', '5']) {
    t.test(`-V ${version}: $share deals messages out among its members`, async (t) => {
      const topic = unique('shared');
      const member = ['-V', version, '-t', `$share/group/${topic}`, '-q', '1', '-C', '10'];
      const members = [await world.sub(t, ...member), await world.sub(t, ...member)];
      for (let index = 0; index < 20; index++)
        await world.pub(t, '-V', version, '-t', topic, '-q', '1', '-m', `job-${index}`);
      const outs = await Promise.all(members.map(async ({ ended }) => (await ended).out));
      t.strictSame(
        new Set(outs.join('').trim().split('\n')),
        new Set(Array.from({ length: 20 }, (_, index) => `job-${index}`)),
      );
    });
  }
}
