import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { CliProcess, runCli, type Ended } from './cli-process.js';
import { Mosquitto, WITHOUT_MOSQUITTO } from './mosquitto.js';

/** A `sub` that is subscribed. */
async function subscribed(t: Test, args: readonly string[]): Promise<CliProcess> {
  const sub = new CliProcess(['sub', '-d', ...args]);
  t.teardown(() => sub.child.kill());
  await sub.told('err', 'received SUBACK');
  return sub;
}

async function out(sub: CliProcess): Promise<Pick<Ended, 'code' | 'out'>> {
  const ended = await sub.ended;
  return { code: ended.code, out: ended.out };
}

t.test('pub and sub against mosquitto', { skip: WITHOUT_MOSQUITTO }, async (t) => {
  const broker = await Mosquitto.start(t.testdir());
  t.teardown(() => broker.stop());
  const at = ['-p', String(broker.port)];
  const secure = ['-p', String(broker.securePort)];
  const pub = (...args: string[]): Promise<Ended> => runCli(['pub', ...at, ...args]);

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
    await pub('-t', 'v/file', '-f', file);
    const { code, out: text } = await out(sub);
    t.equal(code, 0);
    t.equal(text, 'v/31 hé 0\nv/311 hé 1\nv/5 hé 2\nv/file \ufffd\0\n\n');
  });

  t.test('-s sends all of standard input, -l each line, -n nothing, --repeat several', async (t) => {
    const sub = await subscribed(t, [...at, '-t', 'in/#', '-q', '1', '-F', '%t=%p', '-C', '8']);
    await runCli(['pub', ...at, '-q', '1', '-t', 'in/s', '-s'], 'a\nb\n');
    await runCli(['pub', ...at, '-q', '1', '-t', 'in/l', '-l', '-M', '1'], '1\n\n2\n3');
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
      runCli(['sub', ...at, '-t', 'keep/#', '-v', '-W', '5', ...args]);
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
        await runCli([
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
    t.equal((await runCli(['pub', '-L', `mqtt://127.0.0.1:${broker.port}/ws/b`, '-m', '2'])).code, 0);
    t.strictSame(await out(sub), { code: 0, out: 'ws/a 1\nws/b 2\n' });
  });

  t.test('a refused connection ends with its code, and --quiet says nothing', async (t) => {
    t.match(await runCli(['pub', ...secure, '-t', 'ok/a', '-m', 'x']), {
      code: 5,
      err: /^Error: localhost:\d+ refused the connection: not authorized \(5\)\n$/,
    });
    t.match(await runCli(['sub', ...secure, '-V', '5', '-t', 'ok/a', '--quiet']), { code: 135, err: '' });
    const wrong = { SPRAWL_PASSWORD: 'wrong' };
    t.match(await runCli(['pub', ...secure, '-u', 'u', '-t', 'ok/a', '-m', 'x'], '', wrong), { code: 5 });
    t.match(
      await runCli(['pub', ...secure, '-u', 'u', '-t', 'ok/a', '-m', 'x', '-q', '1'], '', {
        SPRAWL_PASSWORD: 'p',
      }),
      { code: 0, err: '' },
    );
  });

  t.test('a refused publish ends with its code', async (t) => {
    const args = ['pub', ...secure, '-u', 'u', '-P', 'p', '-V', '5', '-q', '1', '-t', 'no'];
    const refused = { code: 135, err: 'Error: publishing to "no" was refused: not authorized (0x87)\n' };
    t.match(await runCli([...args, '-m', 'x']), refused);
    t.match(await runCli([...args, '-l'], 'x\ny\n'), refused);
  });

  t.test('no broker, a wrong name and a timeout have mosquitto’s codes', async (t) => {
    t.match(await runCli(['pub', '-p', '1', '-t', 't', '-m', 'x']), {
      code: 1,
      err: /^Error: cannot connect to localhost:1: .*ECONNREFUSED/,
    });
    t.match(await runCli(['sub', ...at, '-t', 'nothing', '-W', '0.2']), {
      code: 27,
      out: '',
      err: 'Error: timed out\n',
    });
    t.match(await runCli(['sub', ...at, '-t', 'nothing', '-E']), { code: 0, out: '', err: '' });
    t.match(await runCli(['pub', ...at, '-t', 'a/#', '-m', 'x']), {
      code: 1,
      err: /is not a topic to publish to/,
    });
    t.match(await runCli(['pub', ...at, '-t', 'a']), { code: 1, err: /there is no message/ });
    t.match(await runCli(['pub', ...at, '-t', 'a', '-m', 'x', '-n']), {
      code: 1,
      err: /only one kind of message/,
    });
    t.match(await runCli(['pub', ...at, '-t', 'a', '-f', '/nonexistent']), {
      code: 1,
      err: /cannot read the message/,
    });
    t.match(await runCli(['sub', ...at]), { code: 1, err: /there is no topic/ });
    t.match(await runCli(['sub', ...at, '-t', 'a/#/b']), { code: 1, err: /is not a topic filter/ });
    t.match(await runCli(['sub', ...at, '-t', 'a', '-F', '%Q']), { code: 1, err: /"%Q" means nothing/ });
    t.match(await runCli(['sub', ...at, '-t', 'a', '-R', '--retained-only']), {
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
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const sub = await subscribed(t, [
        ...at,
        '-t',
        'x',
        '--will-topic',
        `will/${signal}`,
        '--will-payload',
        'gone',
      ]);
      sub.child.kill(signal);
      t.match(await sub.ended, { code: 0 });
    }
    const killed = await subscribed(t, [
      ...at,
      '-t',
      'x',
      '--will-topic',
      'will/killed',
      '--will-payload',
      'gone',
    ]);
    killed.child.kill('SIGKILL');
    t.strictSame(await out(wills), { code: 0, out: 'will/killed gone\n' });
  });

  t.test('a kept session gets what was sent meanwhile, and -U leaves a subscription', async (t) => {
    const session = ['sub', ...at, '-c', '-i', 'keeper', '-q', '1'];
    await runCli([...session, '-t', 's/1', '-t', 's/2', '-E']);
    await pub('-q', '1', '-t', 's/1', '-m', 'missed');
    t.match(await runCli([...session, '-t', 's/2', '-C', '1', '-W', '5']), { code: 0, out: 'missed\n' });
    await runCli([...session, '-U', 's/1', '-E']);
    await pub('-q', '1', '-t', 's/1', '-m', 'unwanted');
    await pub('-q', '1', '-t', 's/2', '-m', 'wanted');
    t.match(await runCli([...session, '-t', 's/2', '-C', '1', '-W', '5']), { code: 0, out: 'wanted\n' });
  });

  t.test('a session that is taken over ends with its reason instead of fighting for it', async (t) => {
    const first = await subscribed(t, [...at, '-V', '5', '-i', 'twin', '-t', 'x']);
    const second = await subscribed(t, [...at, '-V', '5', '-i', 'twin', '-t', 'x']);
    t.match(await first.ended, {
      code: 142,
      err: /Error: the broker ended the connection: session taken over \(0x8e\)\n$/,
    });
    second.child.kill('SIGTERM');
    t.match(await second.ended, { code: 0 });
  });

  t.test('sub comes back after the broker was away', async (t) => {
    const sub = await subscribed(t, [...at, '-t', 'back', '-C', '1']);
    await broker.stop();
    await sub.told('err', 'Connection lost; connecting again.');
    const before = sub.err.length;
    await broker.start();
    const later = (): boolean => sub.err.slice(before).includes('received SUBACK');
    while (!later()) await new Promise((resolve) => sub.child.stderr.once('data', resolve));
    await pub('-t', 'back', '-m', 'again');
    t.strictSame(await out(sub), { code: 0, out: 'again\n' });
  });
});
