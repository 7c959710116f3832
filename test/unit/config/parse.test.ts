import t from 'tap';
import {
  CONFIG_KEYS,
  configJsonSchema,
  isLoopback,
  parseConfig,
  resolveConfig,
  type ConfigSources,
} from '../../../lib/config/index.js';
import {
  connectionsMaxFor,
  diskMaxBytesFor,
  diskReserveBytesFor,
  type Machine,
  memoryMaxBytesFor,
  retainedMaxBytesFor,
  parseOpenFilesMax,
  readMachine,
} from '../../../lib/config/machine.js';
import { SprawlError } from '../../../lib/contracts/errors.js';

const MIB = 1024 * 1024;
const machine: Machine = {
  memoryTotalBytes: 1024 * MIB,
  openFilesMax: 100_000,
  heapMaxBytes: 4096 * MIB,
  diskTotalBytes: () => 32_768 * MIB,
};

function fault(sources: ConfigSources): { code: string; message: string } {
  try {
    parseConfig({ machine, ...sources });
  } catch (error) {
    if (error instanceof SprawlError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('the configuration was accepted');
}
const file = (text: string) => ({ file: { path: 's.yaml', text } });
const flag = (name: string, key: string, text: string) => ({ flag: name, key, text });

t.test('without any source every key has the default that the documentation gives', async (t) => {
  const config = parseConfig({ machine });
  t.equal(config.dataDir, './sprawl-edge-data');
  t.match(config.listeners, {
    host: '127.0.0.1',
    mqttPort: 1883,
    wsPort: 8083,
    wsPath: '/mqtt',
    tlsPort: false,
    wssPort: false,
  });
  t.equal(config.listeners.tls, undefined);
  t.strictSame(config.http, { host: '127.0.0.1', port: 8880 });
  t.strictSame(config.security, { allowAnonymous: true, wildcardLevelsMin: 0 });
  t.match(config.mqtt, {
    connectTimeoutMs: 5000,
    packetMaxBytes: MIB,
    sessionExpiryMaxS: 604_800,
    receiveMaximum: 100,
    retain: true,
  });
  t.match(config.delivery, {
    windowMax: 100,
    clientQueueMaxBytes: 4096 * MIB,
    redeliveryMaxCount: 16,
    deadLetterTopic: 'sprawl/dead-letter',
  });
  t.match(config.limits, {
    connectionsMax: 10_000,
    memoryMaxBytes: 590_558_003,
    diskMaxBytes: 16_384 * MIB,
    diskReserveBytes: 1024 * MIB,
    retainedMaxBytes: 128 * MIB,
    retainedPerClientMaxCount: 10_000,
    connectsPerSecondMax: 2000,
  });
  t.strictSame(config.log, { level: 'info', format: 'text' });
  t.equal(config.sys.intervalS, 10);
  t.equal(config.shutdown.drainTimeoutMs, 5000);
});

t.test('the configuration is frozen at every depth', async (t) => {
  const config = parseConfig({ machine, overrides: { security: { acl: [{ publish: ['a'] }] } } });
  t.ok(Object.isFrozen(config));
  t.ok(Object.isFrozen(config.mqtt));
  t.ok(Object.isFrozen(config.security.acl?.[0]));
});

t.test(
  'overrides win over flags, flags over the environment, that over the file, that over defaults',
  async (t) => {
    const sources = {
      machine,
      ...file('listeners: {mqttPort: 1, wsPort: 2, tlsPort: false}\nhttp: {port: 3}\nsys: {intervalS: 4}'),
      env: { SPRAWL_LISTENERS__WS_PORT: '12', SPRAWL_HTTP__PORT: '13', SPRAWL_SYS__INTERVAL_S: '14' },
      flags: [flag('--http-port', 'http.port', '23'), flag('--set', 'sys.intervalS', '24')],
      overrides: { sys: { intervalS: 34 } },
    };
    const { config, sources: origins } = resolveConfig(sources);
    t.equal(config.listeners.mqttPort, 1);
    t.equal(config.listeners.wsPort, 12);
    t.equal(config.http.port, 23);
    t.equal(config.sys.intervalS, 34);
    t.strictSame(Object.fromEntries(origins), {
      'listeners.mqttPort': 's.yaml:1',
      'listeners.wsPort': 'environment variable SPRAWL_LISTENERS__WS_PORT',
      'listeners.tlsPort': 's.yaml:1',
      'http.port': 'flag --http-port',
      'sys.intervalS': 'given by the program',
    });
  },
);

t.test('of two flags for one key the later wins', async (t) => {
  const flags = [flag('--mqtt-port', 'listeners.mqttPort', '1'), flag('--set', 'listeners.mqttPort', '2')];
  t.equal(parseConfig({ machine, flags }).listeners.mqttPort, 2);
});

t.test('a list in one text may begin with an IPv6 address, whose bracket is none of JSON', async (t) => {
  const peersOf = (text: string): readonly string[] =>
    parseConfig({ machine, flags: [flag('--peer', 'mesh.peers', text)] }).mesh.peers;
  t.same(peersOf('[::1]:4430'), ['[::1]:4430']);
  t.same(peersOf(' [fe80::1%eth0]:4430, a:1'), ['[fe80::1%eth0]:4430', 'a:1']);
  t.same(peersOf('["[::1]:4430"]'), ['[::1]:4430']);
  const env = { SPRAWL_MESH__BOOTSTRAP: '[2001:db8::1]:49737,[::1]:49737' };
  t.same(parseConfig({ machine, env }).mesh.bootstrap, ['[2001:db8::1]:49737', '[::1]:49737']);
});

t.test('texts of the environment become the values that their keys ask for', async (t) => {
  const env = {
    SPRAWL_LISTENERS__MQTT_PORT: 'false',
    SPRAWL_MQTT__RETAIN: 'false',
    SPRAWL_DATA_DIR: '123',
    SPRAWL_DELIVERY__DEAD_LETTER_TOPIC: '',
    SPRAWL_SECURITY__ACL: '[{"users":["a"],"publish":["x/#"]}]',
    SPRAWL_LISTENERS__TLS__CERT_FILE: 'c',
    SPRAWL_LISTENERS__TLS__KEY_FILE: 'k',
  };
  const config = parseConfig({ machine, env });
  t.equal(config.listeners.mqttPort, false);
  t.equal(config.mqtt.retain, false);
  t.equal(config.dataDir, '123');
  t.equal(config.delivery.deadLetterTopic, '');
  t.match(config.security.acl, [{ users: ['a'], publish: ['x/#'] }]);
  t.match(config.listeners.tls, {
    certFile: 'c',
    keyFile: 'k',
    minVersion: 'TLSv1.2',
    requireClientCertificate: false,
  });
});

t.test('a certificate turns the TLS listeners on, unless they are turned off', async (t) => {
  const tls = { certFile: 'c', keyFile: 'k' };
  t.match(parseConfig({ machine, overrides: { listeners: { tls } } }).listeners, {
    tlsPort: 8883,
    wssPort: 8084,
  });
  t.match(parseConfig({ machine, overrides: { listeners: { tls, wssPort: false } } }).listeners, {
    tlsPort: 8883,
    wssPort: false,
  });
});

t.test('unknown keys are refused with the near one and the place', async (t) => {
  const cases: [ConfigSources, string][] = [
    [
      file('mqtt:\n  retain: true\n  recieveMaximum: 3'),
      'unknown key "mqtt.recieveMaximum" (s.yaml:3): did you mean mqtt.receiveMaximum?',
    ],
    [
      file('listeners.mqttPort: 3'),
      'unknown key "listeners.mqttPort" (s.yaml:1): each level has a line of its own, as in "sprawl-edge config show"',
    ],
    [file('# hm\nmqttPort: 3'), 'unknown key "mqttPort" (s.yaml:2): did you mean listeners.mqttPort?'],
    [
      file('listeners:\n  mqtt_port: 3'),
      'unknown key "listeners.mqtt_port" (s.yaml:2): did you mean listeners.mqttPort?',
    ],
    [file('listners:\n  mqttPort: 3'), 'unknown key "listners" (s.yaml:1): did you mean listeners?'],
    [
      file('__proto__:\n  a: 3'),
      'unknown key "__proto__" (s.yaml:1): "sprawl-edge config show" lists every key',
    ],
    [
      file('constructor: 3'),
      'unknown key "constructor" (s.yaml:1): "sprawl-edge config show" lists every key',
    ],
    [
      { env: { SPRAWL_MQTT__RECIEVE_MAXIMUM: '3' } },
      'unknown key "SPRAWL_MQTT__RECIEVE_MAXIMUM" (environment variable): did you mean SPRAWL_MQTT__RECEIVE_MAXIMUM?',
    ],
    [
      { env: { SPRAWL_LISTENERS_MQTT_PORT: '3' } },
      'unknown key "SPRAWL_LISTENERS_MQTT_PORT" (environment variable): did you mean SPRAWL_LISTENERS__MQTT_PORT?',
    ],
    [
      { flags: [flag('--set', 'mqtt.retian', 'true')] },
      'unknown key "mqtt.retian" (flag --set): did you mean mqtt.retain?',
    ],
    [
      { flags: [flag('--set', 'mqtt', '3')] },
      '"mqtt" is a section (flag --set): it takes one of its keys, such as mqtt.connectTimeoutMs or mqtt.connectMaxBytes; "sprawl-edge config show" lists every key',
    ],
    [{ overrides: { lmits: {} } }, 'unknown key "lmits" (given by the program): did you mean limits?'],
  ];
  for (const [sources, message] of cases)
    t.strictSame(fault(sources), { code: 'CONFIG_UNKNOWN_KEY', message });
});

t.test('variables that are not ours are left alone', async (t) => {
  const env = {
    SPRAWL_PASSWORD: 'x',
    SPRAWL_EDGE_SERVICE_HOST: '10.0.0.1',
    SPRAWL_EDGE_PORT_1883_TCP_ADDR: 'x',
    PATH: '/bin',
  };
  t.equal(resolveConfig({ machine, env }).sources.size, 0);
});

t.test('impossible values are one line with key, value, limit and place', async (t) => {
  const cases: [ConfigSources, string][] = [
    [
      file('mqtt:\n  receiveMaximum: 70000'),
      'mqtt.receiveMaximum: 70000 is not allowed: it must be a whole number from 1 to 65535 (s.yaml:2)',
    ],
    [
      file('mqtt:\n  receiveMaximum: 1.5'),
      'mqtt.receiveMaximum: 1.5 is not allowed: it must be a whole number from 1 to 65535 (s.yaml:2)',
    ],
    [file('mqtt: {retain: yes}'), 'mqtt.retain: "yes" is not allowed: it must be true or false (s.yaml:1)'],
    [
      file('mqtt:\n  topicMaxLevels:'),
      'mqtt.topicMaxLevels: null is not allowed: it must be a whole number from 1 to 65535 (s.yaml:2)',
    ],
    [
      { env: { SPRAWL_LISTENERS__MQTT_PORT: '' } },
      'listeners.mqttPort: "" is not allowed: it must be false (off) or a whole number from 0 (any free port) to 65535 (environment variable SPRAWL_LISTENERS__MQTT_PORT)',
    ],
    [
      { flags: [flag('--log-level', 'log.level', 'loud')] },
      'log.level: "loud" is not allowed: it must be one of trace, debug, info, warn, error, silent (flag --log-level)',
    ],
    [
      { flags: [flag('--set', 'delivery.deadLetterTopic', 'a/#')] },
      'delivery.deadLetterTopic: "a/#" is not allowed: it must be a topic name without wildcards that does not begin with $, or empty (off) (flag --set)',
    ],
    [file('mqtt: 5'), 'mqtt: 5 is not a section: it must hold keys such as mqtt.connectTimeoutMs (s.yaml:1)'],
    [file('- 1'), 'the configuration: [1] is not a section: it must hold keys such as dataDir (s.yaml:1)'],
    [
      file('listeners:\n  tls:\n    certFile: x'),
      'listeners.tls.keyFile is missing: listeners.tls cannot do without it (s.yaml:3)',
    ],
    [
      file('log:\n  level: info\n---\nhttp: {}'),
      'not readable as YAML: it has several documents (---); put all keys into one (s.yaml:3)',
    ],
    [file('a: 1\na: 2'), 'not readable as YAML: Map keys must be unique (s.yaml:2)'],
    [
      file('security:\n  acl:\n    - publish: [a]\n    - publish: [a]\n      subscribe: 5'),
      'security.acl[1].subscribe: 5 is not allowed: it must be a list (s.yaml:5)',
    ],
    [
      file('security:\n  acl:\n    - users: press\n      publish: [a]'),
      'security.acl[0].users: "press" is not allowed: it must be a list, not empty; as a list: write ["press"] (s.yaml:3)',
    ],
    [
      file('security:\n  acl:\n    - users: [a]\n      publsh: [a]\n      deny: [b]'),
      'security.acl[0]: unknown key "publsh": did you mean publish? (s.yaml:4)',
    ],
    [
      file('security:\n  acl:\n    - deny: [b]\n      mode: 1'),
      'security.acl[0]: unknown key "mode": it takes users, clients, anonymous, publish, subscribe, deny (s.yaml:4)',
    ],
    [
      file('security:\n  acl: [press]'),
      'security.acl[0]: "press" is not allowed: it must be a section with keys such as users, clients, anonymous (s.yaml:2)',
    ],
    [
      file('security:\n  acl:\n    - users: [a]'),
      'security.acl[0]: {"users":["a"]} needs at least one filter in publish, subscribe or deny (s.yaml:3)',
    ],
    [
      file('mesh: {site: 0123}'),
      'mesh.site: 123 is not allowed: it must be up to 63 letters, digits, `.`, `_` and `-`, the first a letter or a digit; as a text: write "0123" (s.yaml:1)',
    ],
    [
      file('mesh:\n  peers: [a:1, true]'),
      'mesh.peers[1]: true is not allowed: it must be a text; as a text: write "true" (s.yaml:2)',
    ],
    [
      file('archive: {encryptionKey: 123}'),
      'archive.encryptionKey: *** is not allowed: it must be a text, not empty; put it in quotes, which make it a text (s.yaml:1)',
    ],
    [
      file("archive: {topics: 'site/#'}"),
      'archive.topics: "site/#" is not allowed: it must be a list of topic filters; a leading wildcard does not match topics that begin with `$`; as a list: write ["site/#"] (s.yaml:1)',
    ],
    [
      { flags: [flag('--target', 'archive.target', 's3://x')] },
      'archive.target: "s3://x" is not allowed: it must be file:///FOLDER or s3://BUCKET[/PREFIX], or mesh[:GATEWAY]; the name of a bucket has 3 to 63 lower case letters, digits, dots and hyphens, the first and the last a letter or a digit (flag --target)',
    ],
    [
      { env: { SPRAWL_SECURITY__ACL: '[{' } },
      'security.acl: "[{" is not allowed: it must be a list (environment variable SPRAWL_SECURITY__ACL)',
    ],
  ];
  for (const [sources, message] of cases) t.strictSame(fault(sources), { code: 'CONFIG_INVALID', message });
});

t.test('a long value is cut in the line that refuses it', async (t) => {
  const { message } = fault({ overrides: { log: { level: 'x'.repeat(500) } } });
  t.ok(message.length < 200);
});

t.test('aliases are followed, and a bomb of them is refused', async (t) => {
  const config = parseConfig({
    machine,
    ...file('listeners:\n  host: &h 127.0.0.2\nhttp:\n  host: *h\n'),
  });
  t.equal(config.http.host, '127.0.0.2');
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
    .split('')
    .map((name, index) => `${name}: &${name} [${Array(10).fill(`*${'abcdefg'[index]}`).join(',')}]`)
    .join('\n')}`;
  t.match(fault(file(bomb)), {
    code: 'CONFIG_INVALID',
    message: /^not readable as YAML: Excessive alias count/,
  });
});

t.test('an empty file, an empty section and a file of comments are no mistakes', async (t) => {
  for (const text of ['', '# nothing', 'mqtt:\n', 'mqtt: {}'])
    t.equal(parseConfig({ machine, ...file(text) }).mqtt.retain, true);
});

t.test('keys that contradict each other are refused with both places', async (t) => {
  const cases: [ConfigSources, string][] = [
    [
      file('delivery:\n  retryInitialMs: 400000'),
      'delivery.retryInitialMs: 400000 is more than delivery.retryMaxMs: 300000; lower the first or raise the second (delivery.retryInitialMs: s.yaml:2, delivery.retryMaxMs: default)',
    ],
    [
      file('delivery: {clientQueueMaxBytes: 1024}'),
      'mqtt.packetMaxBytes: 1048576 is more than delivery.clientQueueMaxBytes: 1024; lower the first or raise the second (mqtt.packetMaxBytes: default, delivery.clientQueueMaxBytes: s.yaml:1)',
    ],
    [
      file('delivery: {clientQueueMaxBytes: 900000000}\nstorage: {durability: memory}'),
      'delivery.clientQueueMaxBytes: 900000000 is more than limits.memoryMaxBytes: 590558003; lower the first or raise the second (delivery.clientQueueMaxBytes: s.yaml:1, limits.memoryMaxBytes: default)',
    ],
    [
      file('limits: {connectionsMax: 5, sessionsMax: 4}'),
      'limits.connectionsMax: 5 is more than limits.sessionsMax: 4; lower the first or raise the second (limits.connectionsMax: s.yaml:1, limits.sessionsMax: s.yaml:1)',
    ],
    [
      file('listeners: {tlsPort: 8883}'),
      'listeners.tlsPort needs a certificate: set listeners.tls.certFile and listeners.tls.keyFile (listeners.tlsPort: s.yaml:1)',
    ],
    [
      file('listeners: {wssPort: 8884}'),
      'listeners.wssPort needs a certificate: set listeners.tls.certFile and listeners.tls.keyFile (listeners.wssPort: s.yaml:1)',
    ],
    [
      file('listeners: {tls: {certFile: c, keyFile: k, requireClientCertificate: true}}'),
      'listeners.tls.requireClientCertificate: true needs listeners.tls.caFile, which says whose certificates count (listeners.tls.requireClientCertificate: s.yaml:1)',
    ],
    [
      file('listeners: {wsPort: 1883}'),
      'listeners.wsPort and listeners.mqttPort are both 1883: give each its own port (listeners.wsPort: s.yaml:1, listeners.mqttPort: default)',
    ],
    [
      file('http: {port: 1883}'),
      'http.port and listeners.mqttPort are both 1883: give each its own port (http.port: s.yaml:1, listeners.mqttPort: default)',
    ],
    [
      file('listeners: {mqttPort: false, wsPort: false}'),
      'every MQTT listener is off: give listeners.mqttPort a port (listeners.mqttPort: s.yaml:1)',
    ],
  ];
  for (const [sources, message] of cases) t.strictSame(fault(sources), { code: 'CONFIG_INVALID', message });
});

t.test('ports that are any free one, or on another address, do not collide', async (t) => {
  t.equal(
    parseConfig({ machine, overrides: { listeners: { mqttPort: 0, wsPort: 0 }, http: { port: 0 } } }).http
      .port,
    0,
  );
  const apart = { listeners: { host: '10.0.0.1' }, security: { allowAnonymous: true }, http: { port: 1883 } };
  t.equal(parseConfig({ machine, overrides: apart }).http.port, 1883);
});

t.test('the TLS listeners are on the address of the others, unless they have their own', async (t) => {
  const files = { SPRAWL_LISTENERS__TLS__CERT_FILE: 'c', SPRAWL_LISTENERS__TLS__KEY_FILE: 'k' };
  const open = flag('--allow-anonymous', 'security.allowAnonymous', 'true');
  const both = parseConfig({ machine, env: files, flags: [open, flag('--listen', 'listeners.host', '::')] });
  t.match(both.listeners, { host: '::', tls: { host: '::' } });
  const env = { ...files, SPRAWL_LISTENERS__TLS__HOST: '10.0.0.1' };
  t.match(parseConfig({ machine, env, flags: [open] }).listeners, {
    host: '127.0.0.1',
    tls: { host: '10.0.0.1' },
  });
  const set = flag('--set', 'listeners.tls.host', '10.0.0.2');
  t.equal(parseConfig({ machine, env, flags: [open, set] }).listeners.tls?.host, '10.0.0.2');
  t.match(
    fault({ env, flags: [flag('--set', 'listeners.tls.host', '10.0.0.2:8883')] }).message,
    /^listeners\.tls\.host: "10\.0\.0\.2:8883" .* must be an IP address/,
  );
  t.equal(
    fault(file('listeners: {tls: {host: 0.0.0.0}}')).message,
    'listeners.tls.certFile is missing: listeners.tls cannot do without it (s.yaml:1)',
  );
});

t.test('one port may be open on two addresses, and collides where both may be one', async (t) => {
  const ports = (host: string, tlsHost: string): ConfigSources => ({
    machine,
    overrides: {
      listeners: { host, mqttPort: 8883, tls: { certFile: 'c', keyFile: 'k', host: tlsHost } },
      security: { passwordFile: 'p' },
    },
  });
  for (const [host, tlsHost] of [
    ['127.0.0.1', '10.0.0.1'],
    ['127.0.0.1', '127.0.0.2'],
    ['::1', 'fd00::1'],
  ] as const)
    t.equal(parseConfig(ports(host, tlsHost)).listeners.tlsPort, 8883, `${host} ${tlsHost}`);
  for (const [host, tlsHost] of [
    ['127.0.0.1', '127.0.0.1'],
    ['127.0.0.1', '0.0.0.0'],
    ['::', '10.0.0.1'],
    ['localhost', '127.0.0.2'],
    ['::1', '0:0:0:0:0:0:0:1'],
  ] as const)
    t.match(
      fault(ports(host, tlsHost)).message,
      /^listeners\.tlsPort and listeners\.mqttPort are both 8883/,
      `${host} ${tlsHost}`,
    );
  const http = (host: string): ConfigSources => ({
    overrides: {
      listeners: { tls: { certFile: 'c', keyFile: 'k', host: '10.0.0.1' } },
      security: { passwordFile: 'p' },
      http: { host, port: 8883 },
    },
  });
  t.match(fault(http('10.0.0.1')).message, /^http\.port and listeners\.tlsPort are both 8883/);
  t.equal(parseConfig({ machine, ...http('127.0.0.1') }).http.port, 8883);
});

t.test('a host with a port in it is no host, and that is what is said', async (t) => {
  for (const host of ['127.0.0.1:1883', 'gateway:1883', '[::1]', 'a b', '-a', 'a..b', '']) {
    const { message } = fault({ flags: [flag('--listen', 'listeners.host', host)] });
    t.match(
      message,
      /^listeners\.host: .* must be an IP address or a host name; the port has .* \(flag --listen\)$/,
      host,
    );
  }
  for (const host of ['::1', 'localhost', 'fe80::1%eth0', 'my_host.example.org.'])
    t.equal(
      parseConfig({ machine, overrides: { listeners: { host }, security: { allowAnonymous: true } } })
        .listeners.host,
      host,
    );
});

t.test('listening beyond loopback needs a word about who may connect', async (t) => {
  for (const host of ['0.0.0.0', '::', '192.168.1.4', 'gateway.local']) {
    const refused = fault({ flags: [flag('--listen', 'listeners.host', host)] });
    t.equal(refused.code, 'LISTEN_REFUSED');
    t.match(refused.message, /--password-file FILE.*--allow-anonymous\) \(flag --listen\)$/);
  }
  const overrides = (security: object) => ({ listeners: { host: '0.0.0.0' }, security });
  t.equal(fault({ overrides: overrides({ allowAnonymous: false }) }).code, 'LISTEN_REFUSED');
  t.equal(
    parseConfig({ machine, overrides: overrides({ passwordFile: 'p' }) }).security.allowAnonymous,
    false,
  );
  t.equal(
    parseConfig({ machine, overrides: overrides({ allowAnonymous: true }) }).security.allowAnonymous,
    true,
  );
});

t.test('anonymous clients are let in by default only where every open listener is on loopback', async (t) => {
  const files = { certFile: 'c', keyFile: 'k' };
  const accepted = (listeners: object, security: object = {}): boolean =>
    parseConfig({ machine, overrides: { listeners, security } }).security.allowAnonymous;
  const local: object[] = [
    { tls: files },
    { tls: { ...files, host: '127.0.0.2' } },
    { host: '::1', tls: { ...files, host: 'localhost' } },
    { tls: { ...files, host: '0.0.0.0' }, tlsPort: false, wssPort: false },
    { host: '0.0.0.0', mqttPort: false, wsPort: false, tls: { ...files, host: '127.0.0.1' } },
  ];
  for (const listeners of local) t.ok(accepted(listeners), JSON.stringify(listeners));
  const open: [object, string][] = [
    [{ tls: { ...files, host: '0.0.0.0' } }, 'listeners.tls.host: "0.0.0.0"'],
    [{ tls: { ...files, host: '::' }, tlsPort: 0, wssPort: false }, 'listeners.tls.host: "::"'],
    [{ tls: { ...files, host: '10.0.0.1' }, tlsPort: false }, 'listeners.tls.host: "10.0.0.1"'],
    [
      { mqttPort: false, wsPort: false, tls: { ...files, host: 'gateway.local' } },
      'listeners.tls.host: "gateway.local"',
    ],
    [{ host: '0.0.0.0', tls: { ...files, host: '127.0.0.1' } }, 'listeners.host: "0.0.0.0"'],
    [
      { host: '0.0.0.0', mqttPort: false, wsPort: 0, tls: { ...files, host: '127.0.0.1' } },
      'listeners.host: "0.0.0.0"',
    ],
    [{ host: '0.0.0.0', mqttPort: false, wsPort: false, tls: files }, 'listeners.host: "0.0.0.0"'],
  ];
  for (const [listeners, named] of open) {
    const refused = fault({ overrides: { listeners } });
    t.equal(refused.code, 'LISTEN_REFUSED', JSON.stringify(listeners));
    t.ok(refused.message.startsWith(`${named} is reachable`), refused.message);
    t.notOk(accepted(listeners, { passwordFile: 'p' }));
    t.ok(accepted(listeners, { allowAnonymous: true }));
  }
  const { message } = fault(file('listeners:\n  tls:\n    certFile: c\n    keyFile: k\n    host: 0.0.0.0'));
  t.match(message, /\(s\.yaml:5\)$/);
});

t.test('a password file ends anonymous access on loopback too, unless it is asked for', async (t) => {
  t.equal(
    parseConfig({ machine, overrides: { security: { passwordFile: 'p' } } }).security.allowAnonymous,
    false,
  );
  const both = { security: { passwordFile: 'p', allowAnonymous: true } };
  t.equal(parseConfig({ machine, overrides: both }).security.allowAnonymous, true);
});

t.test('loopback is recognised in every spelling', async (t) => {
  for (const host of [
    '127.0.0.1',
    '127.9.9.9',
    '::1',
    '[::1]',
    '0:0:0:0:0:0:0:1',
    'localhost',
    'LocalHost',
    '::ffff:127.0.0.1',
  ])
    t.ok(isLoopback(host), host);
  for (const host of [
    '0.0.0.0',
    '::',
    '127.example.org',
    '128.0.0.1',
    '10.0.0.1',
    '::2',
    '::ffff:10.0.0.1',
    'fe80::1',
  ])
    t.notOk(isLoopback(host), host);
});

t.test('defaults are scaled to the machine', async (t) => {
  t.equal(memoryMaxBytesFor({ ...machine, memoryTotalBytes: 1000 * MIB }), 544 * MIB, '80 % less 256 MiB');
  t.equal(memoryMaxBytesFor({ ...machine, heapMaxBytes: 100 * MIB }), 60 * MIB, 'what Node.js may use');
  t.equal(memoryMaxBytesFor({ ...machine, memoryTotalBytes: 8 * MIB }), 16 * MIB);
  t.equal(retainedMaxBytesFor(machine), 128 * MIB);
  t.equal(retainedMaxBytesFor({ heapMaxBytes: 256 * MIB }), 64 * MIB, 'a quarter of what Node.js may use');
  t.equal(diskMaxBytesFor(1000 * MIB), 500 * MIB);
  t.equal(diskMaxBytesFor(Infinity), 16_384 * MIB);
  t.equal(diskMaxBytesFor(1), MIB);
  t.equal(diskReserveBytesFor(1000 * MIB), 50 * MIB);
  t.equal(diskReserveBytesFor(Infinity), 1024 * MIB);
  t.equal(
    connectionsMaxFor({ ...machine, memoryTotalBytes: 50 * 1024 * 1000, openFilesMax: Infinity }),
    1000,
  );
  t.equal(connectionsMaxFor({ ...machine, openFilesMax: 1024 }), 768);
  t.equal(connectionsMaxFor({ ...machine, memoryTotalBytes: 1, openFilesMax: 10 }), 64);
  t.equal(
    parseOpenFilesMax(
      'Max processes 5 6 x\nMax open files            1024                 524288               files\n',
    ),
    1024,
  );
  t.equal(parseOpenFilesMax('nothing'), Infinity);
  const here = readMachine();
  t.ok(here.memoryTotalBytes > 0);
  t.ok(here.heapMaxBytes > 0);
  t.ok(here.diskTotalBytes('/nowhere/at/all') > 0, 'of the folder above that exists');
});

t.test('defaults that depend on other keys stay consistent with them', async (t) => {
  const inMemory = { storage: { durability: 'memory' } };
  const small = parseConfig({
    machine: { ...machine, memoryTotalBytes: 1, openFilesMax: 1 },
    overrides: inMemory,
  });
  t.equal(small.delivery.clientQueueMaxBytes, small.limits.memoryMaxBytes);
  const onDisk = parseConfig({ machine, overrides: { limits: { diskMaxBytes: 100 * MIB } } });
  t.equal(onDisk.delivery.clientQueueMaxBytes, 25 * MIB);
  t.equal(parseConfig({ machine, overrides: { limits: { sessionsMax: 5 } } }).limits.connectionsMax, 5);
  t.equal(
    parseConfig({ machine, overrides: { ...inMemory, mqtt: { packetMaxBytes: 32 * MIB } } }).delivery
      .clientQueueMaxBytes,
    32 * MIB,
  );
  t.equal(
    parseConfig({ machine, overrides: { ...inMemory, limits: { memoryMaxBytes: 2 * MIB } } }).delivery
      .clientQueueMaxBytes,
    2 * MIB,
  );
});

t.test(
  'every key is described, every number with what more and less of it costs, and keys and variables are unique',
  async (t) => {
    const envNames = new Set<string>();
    for (const key of CONFIG_KEYS.values()) {
      t.ok(key.description.length > 10, key.name);
      if (key.limitText.startsWith('a whole number')) t.match(key.description, /Higher: .*Lower: /, key.name);
      envNames.add(key.envName);
    }
    t.equal(envNames.size, CONFIG_KEYS.size);
    t.equal(CONFIG_KEYS.get('listeners.tls.certFile')?.envName, 'SPRAWL_LISTENERS__TLS__CERT_FILE');
    t.equal(CONFIG_KEYS.get('mqtt.keepAliveMaxS')?.envName, 'SPRAWL_MQTT__KEEP_ALIVE_MAX_S');
  },
);

t.test('the JSON Schema refuses unknown keys and demands none', async (t) => {
  const schema = configJsonSchema();
  t.equal(schema['additionalProperties'], false);
  t.equal(schema['required'], undefined);
});
