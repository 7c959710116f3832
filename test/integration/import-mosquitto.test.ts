/** A mosquitto and, with what `import` makes of its files, a gateway: the same clients with the same passwords. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeCertificates, WITHOUT_OPENSSL } from '../interop/certificates.js';
import { runHere } from './cli-in-process.js';
import { CliProcess } from './cli-process.js';
import { startMosquitto, WITHOUT_MOSQUITTO } from './mosquitto.js';
import { freePort } from '../support/free-port.js';

const skip: false | string =
  WITHOUT_MOSQUITTO === false && spawnSync('mosquitto_sub', ['--version']).error !== undefined
    ? 'mosquitto-clients is not installed'
    : WITHOUT_MOSQUITTO;

const ACL = `# Everybody without a name
topic read common/#

user anna
topic site/#
topic deny site/secret/#
topic read common/#

user ben
topic write site/in
topic read common/#

user ops
topic #

pattern readwrite devices/%u/%c/state
`;

interface Client {
  readonly id: string;
  readonly credentials: readonly string[];
}
const named = (name: string): Client => ({
  id: `c-${name}`,
  credentials: ['-u', name, '-P', `pass of ${name}`],
});
const OPS = named('ops');
const CLIENTS: readonly Client[] = [named('anna'), named('ben'), { id: 'c-nobody', credentials: [] }];
const TOPICS = [
  'site/a',
  'site/secret/b',
  'site/in',
  'sitex',
  'common/a',
  'devices/anna/c-anna/state',
  'devices/anna/c-ben/state',
  'devices/ben/c-ben/state',
  'other',
];
/** Readable for all, and retained: a subscriber that has it has all its subscriptions. */
const READY = 'common/ready';
/** Readable for all; what came before it has been judged. */
const END = 'common/end';

function pub(port: number, { id, credentials }: Client, topic: string, ...more: string[]): number | null {
  const args = ['-p', String(port), '-i', id, ...credentials, '-q', '1', '-t', topic, '-m', id, ...more];
  return spawnSync('mosquitto_pub', args, { timeout: 10_000 }).status;
}

/** Whether the client is let in. @param credentials and other options of mosquitto_sub */
function letsIn(port: number, credentials: readonly string[]): boolean {
  const args = ['-p', String(port), ...credentials, '-t', 'common/x', '-E'];
  return spawnSync('mosquitto_sub', args, { timeout: 10_000 }).status === 0;
}

/** A subscriber to every topic, one by one. */
class Reader {
  readonly #child;
  readonly #ended: Promise<unknown>;
  #text = '';

  constructor(t: Test, port: number, { id, credentials }: Client) {
    const filters = [...TOPICS, END, READY].flatMap((topic) => ['-t', topic]);
    const args = ['-p', String(port), '-i', id, ...credentials, '-q', '1', ...filters, '-F', 'got %t %p'];
    this.#child = spawn('mosquitto_sub', args);
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => (this.#text += text));
    this.#ended = once(this.#child, 'close');
    t.teardown(() => this.#child.kill('SIGKILL'));
  }

  /** Resolves once its output holds `text`. */
  async told(text: string): Promise<void> {
    const gone = this.#ended.then(() => Promise.reject(new Error(`it ended without ${text}: ${this.#text}`)));
    gone.catch(() => undefined);
    while (!this.#text.includes(text)) await Promise.race([once(this.#child.stdout, 'data'), gone]);
  }

  get got(): string[] {
    return [...this.#text.matchAll(/^got (.*)$/gm)]
      .map(([, line]) => line ?? '')
      .filter((line) => !line.startsWith(READY))
      .sort();
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#ended;
  }
}

/** What each client may receive. */
async function readings(t: Test, port: number): Promise<Record<string, string[]>> {
  const readers = CLIENTS.map((client) => ({ client, reader: new Reader(t, port, client) }));
  for (const { reader } of readers) await reader.told(`got ${READY}`);
  for (const topic of [...TOPICS, END]) t.equal(pub(port, OPS, topic), 0);
  for (const { reader } of readers) await reader.told(`got ${END}`);
  const got = Object.fromEntries(readers.map(({ client, reader }) => [client.id, reader.got]));
  for (const { reader } of readers) await reader.stop();
  return got;
}

/** What of each client arrives. */
async function writings(t: Test, port: number): Promise<string[]> {
  const watcher = new Reader(t, port, { ...OPS, id: 'watcher' });
  await watcher.told(`got ${READY}`);
  for (const client of CLIENTS) for (const topic of TOPICS) pub(port, client, topic);
  pub(port, OPS, END);
  await watcher.told(`got ${END}`);
  const { got } = watcher;
  await watcher.stop();
  return got;
}

if (skip !== false) {
  t.test('import beside mosquitto', { skip }, async () => undefined);
} else {
  const dir = t.testdir({ acl: ACL });
  mkdirSync(join(dir, 'conf.d'));
  const [passwords, conf, yaml] = ['passwords', 'mosquitto.conf', 'sprawl-edge.yaml'].map((name) =>
    join(dir, name),
  );
  if (passwords === undefined || conf === undefined || yaml === undefined) throw new Error('three names');
  writeFileSync(passwords, 'zoe:pass of zoe\n');
  spawnSync('mosquitto_passwd', ['-U', passwords]);
  for (const name of ['anna', 'ops'])
    spawnSync('mosquitto_passwd', ['-b', passwords, name, `pass of ${name}`]);
  spawnSync('mosquitto_passwd', ['-H', 'sha512', '-b', passwords, 'ben', 'pass of ben']);
  const port = await freePort();
  const tlsPort = await freePort();
  const certificates = WITHOUT_OPENSSL === false ? makeCertificates(dir) : undefined;
  // mosquitto reads it as the user that it becomes.
  if (certificates !== undefined) chmodSync(certificates.server.keyFile, 0o644);
  const tlsLines =
    certificates === undefined
      ? ''
      : `listener ${tlsPort} 127.0.0.2\ncertfile ${certificates.server.certFile}\nkeyfile ${certificates.server.keyFile}\n`;
  writeFileSync(
    conf,
    `# a site\nuser nobody\n${tlsLines}listener ${port} 127.0.0.1\ninclude_dir ${join(dir, 'conf.d')}\n`,
  );
  writeFileSync(
    join(dir, 'conf.d', 'access.conf'),
    `allow_anonymous true\npassword_file ${passwords}\nacl_file ${join(dir, 'acl')}\n`,
  );
  const mosquitto = await startMosquitto(conf, port);
  t.teardown(async () => {
    mosquitto.kill('SIGTERM');
    if (mosquitto.exitCode === null) await once(mosquitto, 'exit');
  });

  const imported = await runHere(['import', conf, '--out', yaml]);
  const anyPort = ['--mqtt-port', '0', '--http-port', 'false'];
  const anyTlsPort = certificates === undefined ? [] : ['--set', 'listeners.tlsPort=0'];
  const gateway = new CliProcess(['up', '--config', yaml, ...anyPort, ...anyTlsPort]);
  t.teardown(async () => {
    gateway.child.kill('SIGTERM');
    await gateway.ended;
  });
  await gateway.told('err', 'ready');
  const portOf = (listener: string): number =>
    Number(new RegExp(`listener=${listener} .*port=(\\d+)`).exec(gateway.err)?.[1]);
  const ourPort = portOf('mqtt');

  for (const each of [port, ourPort]) pub(each, OPS, READY, '-r');

  t.test('import takes a file with passwords and an ACL over as they are', async (t) => {
    t.match(imported, { code: 0, out: '', err: /nothing needs attention/ });
    t.match(readFileSync(passwords, 'utf8'), /^zoe:\$7\$[\s\S]*^ben:\$6\$/m);
    t.match(await runHere(['config', 'check', '--config', yaml]), { code: 0 });
  });

  t.test('the same passwords are right and wrong', async (t) => {
    const logins: [string, readonly string[], boolean][] = [
      ['$7$', named('anna').credentials, true],
      ['$6$', named('ben').credentials, true],
      ['a password that -U hashed', named('zoe').credentials, true],
      ['no name', [], true],
      ['a wrong password', ['-u', 'anna', '-P', 'pass of ben'], false],
      ['a wrong password of $6$', ['-u', 'ben', '-P', 'pass of anna'], false],
      ['an empty password', ['-u', 'anna', '-P', ''], false],
      ['an unknown user', named('carl').credentials, false],
    ];
    for (const [what, credentials, isRight] of logins) {
      t.equal(letsIn(port, credentials), isRight, `mosquitto: ${what}`);
      t.equal(letsIn(ourPort, credentials), isRight, `the gateway: ${what}`);
    }
  });

  if (certificates === undefined) t.test('TLS', { skip: WITHOUT_OPENSSL }, async () => undefined);
  else
    t.test('TLS and plain MQTT are on the same two addresses, and on no other', async (t) => {
      const { credentials } = named('anna');
      const [plain, secure] = [credentials, [...credentials, '--cafile', certificates.caFile]];
      const doors: [string, number, number, readonly string[], boolean][] = [
        ['127.0.0.1', port, ourPort, plain, true],
        ['127.0.0.2', port, ourPort, plain, false],
        ['127.0.0.1', tlsPort, portOf('tls'), secure, false],
        ['127.0.0.2', tlsPort, portOf('tls'), secure, true],
      ];
      for (const [host, theirs, ours, options, isOpen] of doors) {
        t.equal(letsIn(theirs, [...options, '-h', host]), isOpen, `mosquitto: ${host}`);
        t.equal(letsIn(ours, [...options, '-h', host]), isOpen, `the gateway: ${host}`);
      }
    });

  t.test('the same topics may be read', async (t) => {
    const theirs = await readings(t, port);
    t.strictSame(await readings(t, ourPort), theirs);
    t.match(theirs, { 'c-nobody': ['common/a c-ops', 'common/end c-ops'] });
    t.equal(theirs['c-anna']?.length, 5);
  });

  t.test('the same topics may be written', async (t) => {
    const theirs = await writings(t, port);
    t.strictSame(await writings(t, ourPort), theirs);
    t.ok(theirs.includes('site/in c-ben'));
    t.notOk(theirs.some((line) => line.startsWith('site/secret')));
  });
}
