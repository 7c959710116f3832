import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import t from 'tap';
import { parseArguments } from '../../../lib/cli/arguments.js';
import { clientSettings, type ClientSettings } from '../../../lib/cli/client/client-settings.js';
import { COMMANDS } from '../../../lib/cli/commands.js';
import { main } from '../../../lib/cli/main.js';
import { SprawlError } from '../../../lib/contracts/errors.js';
import { FakeWorld } from './fake-world.js';

function settings(args: readonly string[], env: Record<string, string> = {}): ClientSettings {
  const command = COMMANDS.find(({ name }) => name === 'pub');
  if (command === undefined) throw new Error('no command pub');
  const world = new FakeWorld();
  Object.assign(world.env, env);
  return clientSettings(parseArguments(command, args), world);
}

function refused(...args: string[]): string {
  try {
    settings(args);
  } catch (error) {
    if (error instanceof SprawlError) return error.message;
    throw error;
  }
  throw new Error('the options were accepted');
}

t.test('without options it is MQTT 3.1.1 to localhost with a random client id', async (t) => {
  const { connect, version } = settings([]);
  t.equal(version, 4);
  t.match(connect, {
    protocol: 'mqtt',
    host: 'localhost',
    port: 1883,
    protocolId: 'MQTT',
    keepalive: 60,
    clean: true,
  });
  t.match(connect.clientId, /^sprawl-pub-[0-9a-f]{8}$/);
  t.ok((connect.clientId ?? '').length <= 23, 'MQTT 3.1 allows no longer one');
});

t.test('the version is taken in mosquitto’s spellings, and 5 where an option needs it', async (t) => {
  for (const [text, version] of [
    ['31', 3],
    ['mqttv31', 3],
    ['311', 4],
    ['mqttv5', 5],
    ['5', 5],
  ] as const) {
    t.equal(settings(['-V', text]).version, version);
  }
  t.equal(settings(['-V', '31']).connect.protocolId, 'MQIsdp');
  t.equal(settings(['-x', '5']).version, 5);
  t.equal(settings(['-D', 'publish', 'content-type', 'x']).version, 5);
  t.match(refused('-V', '4'), /^-V must be 5, 311 or 31, not "4"/);
  t.match(refused('-V', '311', '-x', '5'), /^--session-expiry-interval needs MQTT 5/);
});

t.test('-L says everything in one', async (t) => {
  const { connect, urlTopic } = settings(['-L', 'wss://al%20ice:p%3Aw@[::1]:99/a/b%20c/+/#']);
  t.match(connect, {
    protocol: 'wss',
    host: '::1',
    hostname: '[::1]',
    port: 99,
    path: '/mqtt',
    username: 'al ice',
    password: 'p:w',
  });
  t.equal(urlTopic, 'a/b c/+/#');
  t.equal(settings(['-L', 'mqtts://h']).connect.port, 8883);
  t.equal(settings(['-L', 'mqtt://h']).urlTopic, undefined);
  for (const url of ['http://h/t', 'h', 'mqtt://']) t.match(refused('-L', url), /^-L must be mqtt:/);
  t.match(refused('-L', 'mqtt://h/t', '-p', '5'), /^-L already says what --port says/);
});

t.test('TLS is used where an option speaks of it, and on its port', async (t) => {
  const file = join(t.testdir(), 'ca.pem');
  const ca = Buffer.from(rootCertificates[0] ?? '');
  writeFileSync(file, ca);
  t.match(settings(['--cafile', file]).connect, {
    protocol: 'mqtts',
    port: 8883,
    ca,
    rejectUnauthorized: true,
  });
  t.equal(settings(['-p', '8883']).connect.protocol, 'mqtts');
  t.match(settings(['--tls-use-os-certs', '--ws']).connect, {
    protocol: 'wss',
    port: 8084,
    rejectUnauthorized: true,
  });
  t.equal(settings(['--insecure']).connect.rejectUnauthorized, false);
  t.equal(
    settings(['--insecure', '--cafile', file]).connect.rejectUnauthorized,
    true,
    'the chain is still checked',
  );
  t.match(settings(['--ws']).connect, { protocol: 'ws', port: 8083, path: '/mqtt' });
});

t.test('a file for TLS that is none is a wrong command line, in one line that names it', async (t) => {
  const pem = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
  const written = (rest: object) => pem.export({ type: 'pkcs8', format: 'pem', ...rest });
  const dir = t.testdir({
    cert: rootCertificates[0] ?? '',
    key: written({}),
    encrypted: written({ cipher: 'aes-256-cbc', passphrase: 'x' }),
    junk: 'junk\n',
    damaged: '-----BEGIN CERTIFICATE-----\njunk\n-----END CERTIFICATE-----\n',
    der: new X509Certificate(rootCertificates[0] ?? '').raw,
  });
  const tls = (...args: string[]): string => refused('--tls-use-os-certs', ...args);
  t.match(
    refused('--cafile', '/nonexistent'),
    /^cannot read \/nonexistent, the value of --cafile: ENOENT.* \(see/,
  );
  for (const file of ['junk', 'damaged', 'der'])
    t.match(
      refused('--cafile', `${dir}/${file}`),
      /, the value of --cafile, begins with no certificate in PEM: [^\n]*$/,
    );
  const pair = (cert: string, key: string) => tls('--cert', `${dir}/${cert}`, '--key', `${dir}/${key}`);
  t.match(pair('junk', 'key'), /junk, the value of --cert, begins with no certificate in PEM: [^\n]*$/);
  t.match(pair('cert', 'junk'), /junk, the value of --key, holds no private key in PEM: [^\n]*$/);
  t.match(pair('cert', 'encrypted'), /encrypted, the value of --key, is encrypted/);
  t.match(pair('cert', 'key'), /key, the value of --key, is not the key of .*cert \(see/);
  t.match(tls('--cert', `${dir}/cert`), /give both, --cert and --key/);
  t.match(refused('--key', `${dir}/key`), /give both, --cert and --key/);

  const world = new FakeWorld();
  t.equal(await main(['pub', '-t', 'a', '-n', '--cafile', '/nonexistent'], world), 1);
  t.match(world.stderr.text, /^sprawl-edge: cannot read \/nonexistent[^\n]*\n$/);
});

t.test('the password comes from -P, the URL or SPRAWL_PASSWORD, in this order', async (t) => {
  const env = { SPRAWL_PASSWORD: 'e' };
  t.equal(settings(['-u', 'n', '-P', 'o'], env).connect.password, 'o');
  t.equal(settings(['-L', 'mqtt://n:u@h'], env).connect.password, 'u');
  t.equal(settings(['-u', 'n'], env).connect.password, 'e');
  t.equal(settings([], env).connect.password, undefined);
  t.match(refused('-P', 'x'), /^a password needs a user name/);
});

t.test('a session that stays needs a client id, and in MQTT 5 an end', async (t) => {
  t.match(refused('-c'), /^-c needs a client identifier/);
  t.equal(settings(['-c', '-i', 'x']).connect.clean, false);
  const expiry = (...args: string[]) =>
    settings(['-i', 'x', '-V', '5', ...args]).connect.properties?.sessionExpiryInterval;
  t.equal(expiry('-c'), 4_294_967_295);
  t.equal(expiry('-x', '-1'), 4_294_967_295);
  t.equal(expiry('-c', '-x', '7'), 7);
  t.equal(expiry(), undefined);
  t.match(settings(['-I', 'pre-']).connect.clientId, /^pre-\d+$/);
  t.match(refused('-i', 'a', '-I', 'b'), /exclude each other/);
});

t.test('the will takes its parts, and they need its topic', async (t) => {
  const args = [
    '--will-topic',
    'w',
    '--will-payload',
    'p',
    '--will-qos',
    '2',
    '--will-retain',
    '-D',
    'will',
    'will-delay-interval',
    '5',
  ];
  t.strictSame(settings(args).connect.will, {
    topic: 'w',
    payload: Buffer.from('p'),
    qos: 2,
    retain: true,
    properties: { willDelayInterval: 5 },
  });
  t.match(refused('--will-qos', '1'), /^--will-qos needs --will-topic/);
  t.match(refused('--will-topic', 'a/#'), /is not a topic name/);
});

t.test('properties become what MQTT.js calls them, and wrong ones are named', async (t) => {
  const args = [
    ['publish', 'payload-format-indicator', '1'],
    ['publish', 'message-expiry-interval', '4294967295'],
    ['publish', 'correlation-data', 'x'],
    ['subscribe', 'subscription-identifier', '268435455'],
    ['connect', 'receive-maximum', '5'],
  ].flatMap((values) => ['-D', ...values]);
  const users = [
    '-D',
    'publish',
    'user-property',
    '__proto__',
    'v',
    '-D',
    'publish',
    'user-property',
    'a',
    'w',
  ];
  const { properties } = settings([...args, ...users]);
  t.match(properties, {
    publish: {
      payloadFormatIndicator: true,
      messageExpiryInterval: 4_294_967_295,
      correlationData: Buffer.from('x'),
    },
    subscribe: { subscriptionIdentifier: 268_435_455 },
    connect: { receiveMaximum: 5 },
  });
  t.strictSame(Object.entries(Object(properties.publish?.['userProperties'])), [
    ['__proto__', ['v']],
    ['a', ['w']],
  ]);
  t.match(refused('-D', 'publsh', 'content-type', 'x'), /the command must be one of connect, publish/);
  t.match(
    refused('-D', 'publish', 'receive-maximum', '1'),
    /publish has the properties payload-format-indicator/,
  );
  t.match(refused('-D', 'publish', 'topic-alias', '65536'), /"65536" must be a whole number up to 65535/);
  t.match(refused('-D', 'publish', 'payload-format-indicator', '2'), /"2" must be 0 or 1/);
});

t.test('numbers out of range are refused', async (t) => {
  t.match(refused('-p', '0'), /^--port must be a whole number from 1 to 65535, not "0"/);
  t.match(refused('-k', 'x'), /^--keepalive must be a whole number from 0 to 65535/);
});
