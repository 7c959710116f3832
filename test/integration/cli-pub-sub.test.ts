import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { generate, parser, type Packet } from 'mqtt-packet';
import t, { type Test } from 'tap';
import { CliRun, runHere } from './cli-in-process.js';
import { CliProcess, type Ended } from './cli-process.js';
import { Mosquitto, WITHOUT_MOSQUITTO } from './mosquitto.js';

/** A `sub` that is subscribed. */
async function subscribed(t: Test, args: readonly string[]): Promise<CliRun> {
  const sub = new CliRun(['sub', '-d', ...args]);
  t.teardown(() => sub.world.process.send('SIGTERM'));
  await sub.told('received SUBACK');
  return sub;
}

async function out(sub: CliRun): Promise<Pick<Ended, 'code' | 'out'>> {
  const ended = await sub.ended;
  return { code: ended.code, out: ended.out };
}

t.test('pub and sub against mosquitto', { skip: WITHOUT_MOSQUITTO }, async (t) => {
  const broker = await Mosquitto.start(t.testdir());
  t.teardown(() => broker.stop());
  const at = ['-p', String(broker.port)];
  const secure = ['-p', String(broker.securePort)];
  const pub = (...args: string[]): Promise<Ended> => runHere(['pub', ...at, ...args]);

  t.test('a message of each QoS and version arrives, with its bytes', async (t) => {
    const sub = await subscribed(t, [...at, '-t', 'v/#', '-q', '2', '-v', '-C', '4']);
    for (const [version, qos] of [
      ['31', '0'],
      ['311', '1'],
      ['5', '2'],
    ] as const) {
      t.strictSame(await pub('-V', version, '-q', qos, '-t', `v/${version}`, '-m', `hé ${qos}`), {
        code: 0,
        out: '',
        err: '',
      });
    }
    const file = join(t.testdir(), 'payload');
    writeFileSync(file, Buffer.from([0xff, 0x00, 0x0a]));
    await pub('-q', '2', '-t', 'v/file', '-f', file);
    const { code, out: text } = await out(sub);
    t.equal(code, 0);
    t.equal(text, 'v/31 hé 0\nv/311 hé 1\nv/5 hé 2\nv/file \ufffd\0\n\n');
  });

  t.test('-s sends all of standard input, -l each line, -n nothing, --repeat several', async (t) => {
    const sub = await subscribed(t, [...at, '-t', 'in/#', '-q', '1', '-F', '%t=%p', '-C', '8']);
    await runHere(['pub', ...at, '-q', '1', '-t', 'in/s', '-s'], 'a\nb\n');
    await runHere(['pub', ...at, '-q', '1', '-t', 'in/l', '-l', '-M', '1'], '1\n\n2\n3');
    await pub('-q', '1', '-t', 'in/n', '-n');
    await pub('-q', '1', '-t', 'in/r', '-m', '-5', '--repeat', '3', '--repeat-delay', '0.01');
    t.strictSame(await out(sub), {
      code: 0,
      out: 'in/s=a\nb\n\nin/l=1\nin/l=2\nin/l=3\nin/n=\nin/r=-5\nin/r=-5\nin/r=-5\n',
    });
  });

  t.test('retained messages are printed, left out, alone or removed as asked', async (t) => {
    await pub('-r', '-q', '1', '-t', 'keep/a', '-m', 'old');
    await pub('-r', '-q', '1', '-t', 'keep/b', '-m', 'old');
    const sub = (...args: string[]): Promise<Ended> =>
      runHere(['sub', ...at, '-t', 'keep/#', '-v', '-W', '5', ...args]);
    t.match(await sub('-C', '2'), { code: 0, out: 'keep/a old\nkeep/b old\n' });
    t.match(await sub('-C', '1', '-T', 'keep/a', '-N'), { code: 0, out: 'keep/b old' });
    const fresh = await subscribed(t, [...at, '-t', 'keep/#', '-v', '-R', '-C', '1']);
    const only = await subscribed(t, [...at, '-t', 'keep/#', '-v', '--retained-only']);
    await pub('-t', 'keep/live', '-m', 'new');
    t.strictSame(await out(fresh), { code: 0, out: 'keep/live new\n' });
    t.strictSame(await out(only), { code: 0, out: 'keep/a old\nkeep/b old\n' });
    await sub('-C', '2', '--remove-retained', '-T', 'keep/b');
    t.match(await sub('-C', '1'), { out: 'keep/b old\n' });
  });

  t.test('MQTT 5 properties go through', async (t) => {
    const format = '%C|%P|%R|%F|%S|%D';
    const sub = await subscribed(t, [
      ...at,
      '-V',
      '5',
      '-D',
      'subscribe',
      'subscription-identifier',
      '7',
      '-t',
      'p',
      '-F',
      format,
      '-C',
      '1',
    ]);
    const properties = [
      ['content-type', 'text/plain'],
      ['user-property', 'k', 'v'],
      ['user-property', 'k', 'w'],
      ['response-topic', 're'],
      ['payload-format-indicator', '1'],
      ['correlation-data', 'c'],
    ].flatMap((values) => ['-D', 'publish', ...values]);
    t.equal((await pub(...properties, '-t', 'p', '-m', 'x')).code, 0);
    t.strictSame(await out(sub), { code: 0, out: 'text/plain|k:v k:w|re|1|7|c\n' });
  });

  t.test('WebSocket and URLs work', async (t) => {
    const sub = await subscribed(t, ['-L', `ws://127.0.0.1:${broker.wsPort}/ws/+`, '-C', '2', '-v']);
    t.equal(
      (
        await runHere([
          'pub',
          '--ws',
          '-h',
          '127.0.0.1',
          '-p',
          String(broker.wsPort),
          '-q',
          '1',
          '-t',
          'ws/a',
          '-m',
          '1',
        ])
      ).code,
      0,
    );
    t.equal((await runHere(['pub', '-L', `mqtt://127.0.0.1:${broker.port}/ws/b`, '-m', '2'])).code, 0);
    t.strictSame(await out(sub), { code: 0, out: 'ws/a 1\nws/b 2\n' });
  });

  t.test('a refused connection ends with its code, and --quiet says nothing', async (t) => {
    t.match(await runHere(['pub', ...secure, '-t', 'ok/a', '-m', 'x']), {
      code: 5,
      err: /^Error: localhost:\d+ refused the connection: not authorized \(5\)\n$/,
    });
    t.match(await runHere(['sub', ...secure, '-V', '5', '-t', 'ok/a', '--quiet']), { code: 135, err: '' });
    const wrong = { SPRAWL_PASSWORD: 'wrong' };
    t.match(await runHere(['pub', ...secure, '-u', 'u', '-t', 'ok/a', '-m', 'x'], '', wrong), { code: 5 });
    t.match(
      await runHere(['pub', ...secure, '-u', 'u', '-t', 'ok/a', '-m', 'x', '-q', '1'], '', {
        SPRAWL_PASSWORD: 'p',
      }),
      { code: 0, err: '' },
    );
  });

  t.test('a refused publish ends with its code', async (t) => {
    const args = ['pub', ...secure, '-u', 'u', '-P', 'p', '-V', '5', '-q', '1', '-t', 'no'];
    const refused = { code: 135, err: 'Error: publishing to "no" was refused: not authorized (0x87)\n' };
    t.match(await runHere([...args, '-m', 'x']), refused);
    t.match(await runHere([...args, '-l'], 'x\ny\n'), refused);
  });

  t.test('a month is no moment: -W and --repeat-delay may be longer than a timer of Node.js', async (t) => {
    const month = String(30 * 24 * 3600);
    const sub = await subscribed(t, [...at, '-t', 'month', '-W', month, '-C', '1']);
    const pubTwice = ['pub', ...at, '-t', 'month', '-m', 'x', '--repeat', '2', '--repeat-delay', month];
    const pub = new CliProcess([...pubTwice, '-d']);
    t.teardown(() => pub.kill());
    t.strictSame(await out(sub), { code: 0, out: 'x\n' });
    // Else it would send the second one by now, and end.
    t.match(await runHere(['sub', ...at, '-t', 'month', '-W', '0.3']), { code: 27, out: '' });
    t.equal(pub.child.exitCode, null);
    t.notMatch(pub.err, /TimeoutOverflowWarning/);
  });

  t.test('no broker, a wrong name and a timeout have mosquitto’s codes', async (t) => {
    t.match(await runHere(['pub', '-p', '1', '-t', 't', '-m', 'x']), {
      code: 1,
      err: /^Error: cannot connect to localhost:1: .*ECONNREFUSED/,
    });
    t.match(await runHere(['sub', ...at, '-t', 'nothing', '-W', '0.2']), {
      code: 27,
      out: '',
      err: 'Error: timed out\n',
    });
    t.match(await runHere(['sub', ...at, '-t', 'nothing', '-E']), { code: 0, out: '', err: '' });
    t.match(await runHere(['pub', ...at, '-t', 'a/#', '-m', 'x']), {
      code: 1,
      err: /is not a topic to publish to/,
    });
    t.match(await runHere(['pub', ...at, '-t', 'a']), { code: 1, err: /there is no message/ });
    t.match(await runHere(['pub', ...at, '-t', 'a', '-m', 'x', '-n']), {
      code: 1,
      err: /only one kind of message/,
    });
    t.match(await runHere(['pub', ...at, '-t', 'a', '-f', '/nonexistent']), {
      code: 1,
      err: /cannot read the message/,
    });
    t.match(await runHere(['sub', ...at]), { code: 1, err: /there is no topic/ });
    t.match(await runHere(['sub', ...at, '-t', 'a/#/b']), { code: 1, err: /is not a topic filter/ });
    t.match(await runHere(['sub', ...at, '-t', 'a', '-F', '%Q']), { code: 1, err: /"%Q" means nothing/ });
    t.match(await runHere(['sub', ...at, '-t', 'a', '-R', '--retained-only']), {
      code: 1,
      err: /exclude each other/,
    });
  });

  t.test('a payload that is no JSON is left out by %J', async (t) => {
    const sub = await subscribed(t, [...at, '-t', 'j', '-F', '%J', '-C', '1', '-q', '1']);
    await pub('-t', 'j', '-q', '1', '-m', 'no');
    await pub('-t', 'j', '-q', '1', '-m', '{"a":1}');
    const { code, out: text, err } = await sub.ended;
    t.equal(code, 0);
    t.strictSame(JSON.parse(text).payload, { a: 1 });
    t.match(err, 'Error: the payload is not valid JSON, on topic "j"\n');
  });

  t.test('Ctrl-C and SIGTERM disconnect and end with 0, so that no will is sent', async (t) => {
    const wills = await subscribed(t, [...at, '-t', 'will/#', '-v', '-C', '1']);
    const start = async (topic: string): Promise<CliProcess> => {
      const sub = new CliProcess([
        'sub',
        ...at,
        '-d',
        '-t',
        'x',
        '--will-topic',
        topic,
        '--will-payload',
        'gone',
      ]);
      t.teardown(() => sub.child.kill());
      await sub.told('err', 'received SUBACK');
      return sub;
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const sub = await start(`will/${signal}`);
      sub.child.kill(signal);
      t.match(await sub.ended, { code: 0 });
    }
    const killed = await start('will/killed');
    killed.child.kill('SIGKILL');
    t.strictSame(await out(wills), { code: 0, out: 'will/killed gone\n' });
  });

  t.test('a kept session gets what was sent meanwhile, and -U leaves a subscription', async (t) => {
    const session = ['sub', ...at, '-c', '-i', 'keeper', '-q', '1'];
    await runHere([...session, '-t', 's/1', '-t', 's/2', '-E']);
    await pub('-q', '1', '-t', 's/1', '-m', 'missed');
    t.match(await runHere([...session, '-t', 's/2', '-C', '1', '-W', '5']), { code: 0, out: 'missed\n' });
    await runHere([...session, '-U', 's/1', '-E']);
    await pub('-q', '1', '-t', 's/1', '-m', 'unwanted');
    await pub('-q', '1', '-t', 's/2', '-m', 'wanted');
    t.match(await runHere([...session, '-t', 's/2', '-C', '1', '-W', '5']), { code: 0, out: 'wanted\n' });
  });

  t.test('sub comes back after the broker was away', async (t) => {
    const sub = await subscribed(t, [...at, '-t', 'back', '-C', '1']);
    await broker.stop();
    await sub.told('Connection lost; connecting again.');
    const before = sub.err.length;
    await broker.start();
    await sub.told('received SUBACK', before);
    await pub('-t', 'back', '-m', 'again');
    t.strictSame(await out(sub), { code: 0, out: 'again\n' });
  });
});

/** A broker that answers each packet of one MQTT 5 client as told. */
async function scriptedBroker(
  t: Test,
  answers: Readonly<Record<string, readonly Packet[]>>,
): Promise<string> {
  const server = createServer((socket) => {
    const reader = parser({ protocolVersion: 5 });
    reader.on('packet', (packet) => {
      const id = packet.messageId === undefined ? {} : { messageId: packet.messageId };
      for (const answer of answers[packet.cmd] ?? []) {
        socket.write(
          generate({ ...answer, ...(answer.cmd === 'disconnect' ? {} : id) }, { protocolVersion: 5 }),
        );
      }
    });
    socket.on('data', (bytes) => reader.parse(bytes));
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return String(address.port);
}

const CONNACK: Packet = { cmd: 'connack', reasonCode: 0, sessionPresent: false };

t.test('a session that is taken over ends with its reason instead of fighting for it', async (t) => {
  const suback: Packet = { cmd: 'suback', granted: [0] };
  const disconnect: Packet = { cmd: 'disconnect', reasonCode: 0x8e };
  const port = await scriptedBroker(t, {
    connect: [CONNACK],
    subscribe: [suback, disconnect],
    publish: [disconnect],
  });
  const ended = { code: 142, err: 'Error: the broker ended the connection: session taken over (0x8e)\n' };
  t.match(await runHere(['sub', '-V', '5', '-p', port, '-t', 'x']), ended);
  t.match(await runHere(['pub', '-V', '5', '-p', port, '-q', '1', '-t', 'x', '-m', 'x']), ended);
  t.match(await runHere(['pub', '-V', '5', '-p', port, '-q', '1', '-t', 'x', '-l'], 'x\n'), ended);
});

t.test('a refused subscription ends with its code', async (t) => {
  const port = await scriptedBroker(t, {
    connect: [CONNACK],
    subscribe: [{ cmd: 'suback', granted: [0x87] }],
  });
  const err = 'Error: subscribing to "x" was refused: not authorized (0x87)\n';
  t.match(await runHere(['sub', '-V', '5', '-p', port, '-t', 'x']), { code: 135, err });
});

t.test('one refused subscription among others is told, and the others are received', async (t) => {
  const late: Packet = { cmd: 'publish', topic: 'y', payload: 'late', qos: 0, retain: false, dup: false };
  const port = await scriptedBroker(t, {
    connect: [CONNACK],
    subscribe: [{ cmd: 'suback', granted: [0x87, 0] }, late],
  });
  const err = 'Warning: subscribing to "x" was refused: not authorized (0x87)\n';
  const args = ['sub', '-V', '5', '-p', port, '-t', 'x', '-t', 'y', '-C', '1'];
  t.match(await runHere(args), { code: 0, out: 'late\n', err });
});

t.test('messages of a kept session that come with CONNACK are printed', async (t) => {
  const early: Packet = { cmd: 'publish', topic: 'x', payload: 'early', qos: 0, retain: false, dup: false };
  const port = await scriptedBroker(t, {
    connect: [CONNACK, early],
    subscribe: [{ cmd: 'suback', granted: [0] }],
  });
  t.match(await runHere(['sub', '-V', '5', '-p', port, '-t', 'x', '-C', '1']), { code: 0, out: 'early\n' });
});

t.test('a port where no MQTT is spoken is told', async (t) => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  t.match(await runHere(['pub', '-p', String(port), '-t', 'x', '-m', 'x']), {
    code: 1,
    err: `Error: cannot connect to localhost:${port}: what answers at port ${port} speaks no MQTT, perhaps HTTP: -p takes a port of MQTT, and --ws is for one of WebSocket\n`,
  });
  t.match(await runHere(['pub', '--ws', '-p', String(port), '-t', 'x', '-m', 'x']), {
    code: 1,
    err: new RegExp(
      `^Error: cannot connect to localhost:${port}: .+: is port ${port} one of WebSocket, as 8083 is\\?\n$`,
    ),
  });
});

t.test('a broker that hangs up before CONNACK is a failed connection', async (t) => {
  const server = createServer((socket) => socket.on('data', () => socket.destroy())).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? String(address.port) : '';
  t.match(await runHere(['pub', '-p', port, '-t', 'x', '-m', 'x']), {
    code: 1,
    err: /^Error: cannot connect to localhost:\d+: /,
  });
});
