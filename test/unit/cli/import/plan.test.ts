import t from 'tap';
import { resolveConfig } from '../../../../lib/config/index.js';
import { type Directive, parseConf, shownDirective } from '../../../../lib/cli/import/directive.js';
import {
  needsAttention,
  type Outcome,
  outcomeText,
  type SettingValue,
} from '../../../../lib/cli/import/outcome.js';
import { KNOWN_OPTIONS, type Plan, planImport } from '../../../../lib/cli/import/plan.js';
import { summaryJson, summaryText } from '../../../../lib/cli/import/summary.js';
import { renderYaml } from '../../../../lib/cli/import/yaml-text.js';

/** Every word for which mosquitto 2.0.11 does not say "Unknown configuration variable". */
const MOSQUITTO_OPTIONS = `
  acl_file address addresses allow_anonymous allow_duplicate_messages allow_zero_length_clientid auth_opt_ auth_plugin
  auth_plugin_deny_special_chars auto_id_prefix autosave_interval autosave_on_changes bind_address bind_interface bridge_alpn
  bridge_attempt_unsubscribe bridge_bind_address bridge_cafile bridge_capath bridge_certfile bridge_identity bridge_insecure
  bridge_keyfile bridge_max_packet_size bridge_outgoing_retain bridge_protocol_version bridge_psk bridge_require_ocsp
  bridge_tls_version cafile capath certfile check_retain_source ciphers ciphers_tls1.3 cleansession clientid clientid_prefixes
  connection connection_messages crlfile dhparamfile http_dir idle_timeout include_dir keepalive_interval keyfile listener
  local_cleansession local_clientid local_password local_username log_dest log_facility log_timestamp log_timestamp_format log_type
  max_connections max_inflight_bytes max_inflight_messages max_keepalive max_packet_size max_qos max_queued_bytes
  max_queued_messages max_topic_alias maximum_qos memory_limit message_size_limit mount_point notification_topic notifications
  notifications_local_only password password_file per_listener_settings persistence persistence_file persistence_location
  persistent_client_expiration pid_file plugin plugin_opt_ port protocol psk_file psk_hint queue_qos0_messages remote_clientid
  remote_password remote_username require_certificate restart_timeout retain_available retained_persistence retry_interval
  round_robin set_tcp_nodelay socket_domain start_type sys_interval threshold tls_engine tls_engine_kpass_sha1 tls_keyform
  tls_version topic try_private upgrade_outgoing_qos use_identity_as_username use_subject_as_username use_username_as_clientid user
  username websockets_headers_size websockets_log_level`
  .trim()
  .split(/\s+/);

function planOf(text: string): Plan {
  return planImport(parseConf(text, 'm.conf'));
}

function settingsOf(text: string): Record<string, SettingValue> {
  return Object.fromEntries([...planOf(text).settings].map(([key, { value }]) => [key, value]));
}

/** The outcome of line `line` of `text`. */
function outcomeAt(text: string, line: number): Outcome {
  const found = planOf(text).lines.find(({ directive }) => directive.line === line);
  if (found === undefined) throw new Error(`line ${line} says nothing`);
  return found.outcome;
}

const LISTEN = 'listener 1883 127.0.0.1\n';
const TLS = 'certfile /c.pem\nkeyfile /k.pem\n';
/** Lines that open a listener on every address for everybody. */
const OPEN = 'listener 1883\nallow_anonymous true\n';

t.test('a line has a name, a value and its number; comments and blank lines say nothing', async (t) => {
  t.strictSame(parseConf('# c\r\n\r\nlistener 1883  ::1 \r\n\tuser\tm\n  # x\npersistence\n', 'f'), [
    { name: 'listener', value: '1883  ::1', file: 'f', line: 3 },
    { name: 'user', value: 'm', file: 'f', line: 4 },
    { name: 'persistence', value: '', file: 'f', line: 6 },
  ]);
});

t.test('passwords, keys and what plugins are told are not shown', async (t) => {
  const shown = (text: string): string[] => parseConf(text, 'f').map(shownDirective);
  t.strictSame(
    shown(
      'remote_password a\nbridge_psk b\nauth_opt_db_pw c\npassword d\npassword_file /p\nauto_id_prefix \u001b[1m',
    ),
    [
      'remote_password ***',
      'bridge_psk ***',
      'auth_opt_db_pw ***',
      'password ***',
      'password_file /p',
      'auto_id_prefix ?[1m',
    ],
  );
});

t.test('every option of mosquitto 2.0 is known, and no other', async (t) => {
  t.strictSame([...new Set(KNOWN_OPTIONS)], MOSQUITTO_OPTIONS.toSorted());
});

t.test('no option of mosquitto 2.0 is called unknown, wherever it stands', async (t) => {
  for (const before of ['', LISTEN, `per_listener_settings true\n${LISTEN}`, 'connection b\n']) {
    for (const name of MOSQUITTO_OPTIONS) {
      const { lines } = planOf(`${before}${name} 1\n`);
      const text = outcomeText(lines.at(-1)?.outcome ?? { kind: 'not-understood', why: 'no option' });
      t.notMatch(text, /no option/, `${name} behind ${JSON.stringify(before)}`);
      t.not(text, '', name);
    }
  }
});

t.test('an unknown word is named with the one that was probably meant', async (t) => {
  t.match(outcomeAt('\n\npersistance true', 3), {
    kind: 'not-understood',
    why: /did you mean persistence\?/,
  });
});

t.test('a value that mosquitto refuses is not understood', async (t) => {
  for (const text of [
    'persistence True',
    'max_queued_messages many',
    'max_queued_messages -1',
    'persistent_client_expiration 2',
    'log_type loud',
    'log_dest nowhere',
    'allow_anonymous yes',
    'password_file',
    'protocol http',
    'socket_domain ipx',
    'max_connections some',
  ])
    t.equal(outcomeAt(`${text}\n`, 1).kind, 'not-understood', text);
});

t.test('numbers, durations and sizes become those of our keys', async (t) => {
  const cases: [string, Record<string, SettingValue>][] = [
    ['max_queued_messages 0', { 'delivery.clientQueueMaxCount': 100_000_000 }],
    ['max_queued_messages 70', { 'delivery.clientQueueMaxCount': 70 }],
    ['max_inflight_messages 0', { 'delivery.windowMax': 65_535 }],
    ['max_packet_size 20', { 'mqtt.packetMaxBytes': 1024 }],
    ['message_size_limit 4096', { 'mqtt.packetMaxBytes': 5120 }],
    ['persistent_client_expiration 36h', { 'mqtt.sessionExpiryMaxS': 129_600 }],
    ['persistent_client_expiration 2w', { 'mqtt.sessionExpiryMaxS': 1_209_600 }],
    ['persistent_client_expiration 1y', { 'mqtt.sessionExpiryMaxS': 31_536_000 }],
    ['persistent_client_expiration 500y', { 'mqtt.sessionExpiryMaxS': 4_294_967_295 }],
    ['max_keepalive 300', { 'mqtt.keepAliveMaxS': 300 }],
    ['sys_interval 0', { 'sys.intervalS': 0 }],
    ['retain_available false', { 'mqtt.retain': false }],
    ['persistence false', { 'storage.durability': 'memory' }],
    ['persistence 1', { 'storage.durability': 'disk' }],
    [`${LISTEN}max_topic_alias 5`, { 'mqtt.topicAliasMaximum': 5 }],
  ];
  for (const [text, settings] of cases) t.match(settingsOf(text), settings, text);
});

t.test(
  'a longest keep alive is looked at: it keeps clients of MQTT 3.1.1 out that mosquitto lets in',
  async (t) => {
    t.match(outcomeAt('max_keepalive 300', 1), {
      needsAttention: true,
      note: /^clients of MQTT 3\.1 and 3\.1\.1 .* are refused here/,
    });
    t.match(outcomeAt('max_keepalive 70000', 1), {
      needsAttention: true,
      note: /outside of 0 to 65535; clients/,
    });
    t.notOk(needsAttention(outcomeAt('max_keepalive 0', 1)));
  },
);

t.test('of several log_type lines the most talkative holds, and log_dest none is silence', async (t) => {
  t.equal(settingsOf('log_type error\nlog_type notice\nlog_type warning')['log.level'], 'info');
  t.equal(settingsOf('log_type all')['log.level'], 'debug');
  t.equal(settingsOf('log_dest none\nlog_type all')['log.level'], 'silent');
});

t.test('a file without listeners serves this machine, and everybody on it', async (t) => {
  t.match(settingsOf('password_file p'), {
    'listeners.host': '127.0.0.1',
    'listeners.mqttPort': 1883,
    'listeners.wsPort': false,
    'security.allowAnonymous': true,
    'security.passwordFile': 'p',
  });
  t.equal(settingsOf('allow_anonymous false')['security.allowAnonymous'], false);
});

t.test(
  'a listener without an address is on every one, and nobody comes in without being asked for',
  async (t) => {
    t.match(settingsOf('listener 1884\npassword_file p'), {
      'listeners.host': '::',
      'listeners.mqttPort': 1884,
      'security.allowAnonymous': false,
    });
    t.match(settingsOf(`${OPEN}socket_domain ipv4`), { 'listeners.host': '0.0.0.0' });
    t.match(settingsOf('port 1885\nbind_address 10.0.0.1\nallow_anonymous true'), {
      'listeners.host': '10.0.0.1',
      'listeners.mqttPort': 1885,
    });
    t.match(settingsOf('listener 1884 # all\nallow_anonymous true'), { 'listeners.host': '::' });
  },
);

t.test('the four kinds of listeners have their ports; those that are not there are off', async (t) => {
  const text = `allow_anonymous true\nlistener 1\nlistener 2\nprotocol websockets\nlistener 3\n${TLS}listener 4\nprotocol websockets\n${TLS}`;
  t.match(settingsOf(text), {
    'listeners.mqttPort': 1,
    'listeners.wsPort': 2,
    'listeners.tlsPort': 3,
    'listeners.wssPort': 4,
    'listeners.tls.certFile': '/c.pem',
    'listeners.tls.keyFile': '/k.pem',
  });
  t.match(settingsOf(`allow_anonymous true\nlistener 3\n${TLS}`), {
    'listeners.mqttPort': false,
    'listeners.wsPort': false,
    'listeners.wssPort': false,
  });
});

t.test('a second listener of one kind is left out with its lines', async (t) => {
  const text = `${OPEN}listener 1884\nmax_connections 7\n`;
  t.match(outcomeAt(text, 3), { kind: 'unsupported', instead: /redirect 1884/ });
  t.match(outcomeAt(text, 4), { kind: 'part', of: { line: 3 } });
  t.equal(settingsOf(text)['listeners.mqttPort'], 1883);
  t.equal(settingsOf(text)['limits.connectionsMax'], undefined);
});

t.test('a listener that fewer could reach is left out rather than opened for more', async (t) => {
  const text = `${LISTEN}listener 8083\nprotocol websockets\npassword_file p\n`;
  t.match(outcomeAt(text, 1), {
    kind: 'unsupported',
    why: /^all listeners without TLS have one address, here ::, and this one is on 127\.0\.0\.1 only$/,
  });
  t.match(settingsOf(text), {
    'listeners.host': '::',
    'listeners.mqttPort': false,
    'listeners.wsPort': 8083,
  });
  const secure = `listener 1 127.0.0.1\n${TLS}listener 2\nprotocol websockets\n${TLS}password_file p\n`;
  t.match(outcomeAt(secure, 1), { kind: 'unsupported', why: /^all listeners with TLS have one address/ });
  t.match(settingsOf(secure), { 'listeners.host': '::', 'listeners.tlsPort': false });
  t.match(settingsOf('allow_anonymous true\nlistener 1 0.0.0.0\nlistener 2 ::\nprotocol websockets'), {
    'listeners.host': '0.0.0.0',
    'listeners.mqttPort': 1,
    'listeners.wsPort': 2,
  });
  t.match(settingsOf('listener 1 127.0.0.1\nlistener 2 localhost\nprotocol websockets'), {
    'listeners.host': '127.0.0.1',
    'listeners.wsPort': 2,
  });
});

t.test('listeners with TLS keep their own address beside those without', async (t) => {
  const guarded = 'allow_anonymous false\npassword_file p\n';
  const local = `${guarded}${LISTEN}listener 8883\n${TLS}listener 8884\nprotocol websockets\n${TLS}`;
  t.match(settingsOf(local), {
    'listeners.host': '127.0.0.1',
    'listeners.mqttPort': 1883,
    'listeners.tls.host': '::',
    'listeners.tlsPort': 8883,
    'listeners.wssPort': 8884,
  });
  t.notOk(planOf(local).lines.some(({ outcome }) => needsAttention(outcome)));
  const reverse = `${guarded}listener 1883\nlistener 8883 127.0.0.1\n${TLS}`;
  t.match(settingsOf(reverse), { 'listeners.host': '::', 'listeners.tls.host': '127.0.0.1' });
  const sameEverywhere = `${guarded}listener 1883\nlistener 8883\n${TLS}socket_domain ipv6`;
  t.equal(settingsOf(sameEverywhere)['listeners.tls.host'], undefined);
  t.match(outcomeAt(sameEverywhere, 7), { kind: 'taken', settings: { 'listeners.host': '::' } });
  t.match(outcomeAt(`${local}socket_domain ipv4`, 11), { settings: { 'listeners.tls.host': '0.0.0.0' } });
  const byDefault = `${guarded}${TLS}${LISTEN}`;
  t.match(planOf(byDefault).settings.get('listeners.tls.host'), {
    value: '::',
    from: 'the default of mosquitto',
  });
  t.equal(settingsOf(byDefault)['listeners.host'], '127.0.0.1');
});

t.test('only those on the network are held back, and the key that opens them again is named', async (t) => {
  const unguarded = `${LISTEN}listener 8883\n${TLS}`;
  t.match(outcomeAt(unguarded, 1), { kind: 'taken', settings: { 'listeners.host': '127.0.0.1' } });
  t.notOk(needsAttention(outcomeAt(unguarded, 1)));
  t.match(outcomeAt(unguarded, 2), {
    needsAttention: true,
    settings: { 'listeners.tls.host': '127.0.0.1' },
    note: /^on :: there: nothing says who .* set listeners\.tls\.host$/,
  });
  t.match(outcomeAt(`listener 1883\nlistener 8883 127.0.0.1\n${TLS}`, 1), {
    needsAttention: true,
    note: /set listeners\.host$/,
  });
  const plugin = `${OPEN}plugin /p.so\nlistener 8883\n${TLS}`;
  t.equal(settingsOf(plugin)['listeners.tls.host'], undefined);
  t.match(outcomeAt(plugin, 4), {
    settings: { 'listeners.host': '127.0.0.1' },
    note: /set listeners\.host$/,
  });
});

t.test('with per_listener_settings loopback gives the network nothing that it did not have', async (t) => {
  const local = `per_listener_settings true\n${LISTEN}`;
  const secure = `listener 8883\n${TLS}`;
  const anonymous = `${local}allow_anonymous true\n${secure}password_file p\n`;
  t.match(settingsOf(anonymous), {
    'listeners.host': '127.0.0.1',
    'listeners.tls.host': '::',
    'security.allowAnonymous': false,
    'security.passwordFile': 'p',
  });
  t.match(outcomeAt(anonymous, 3), { needsAttention: true, note: /one for all listeners/ });
  const files = `${local}password_file local\nacl_file wide\n${secure}password_file p\nacl_file narrow\n`;
  t.match(settingsOf(files), { 'security.passwordFile': 'p', 'security.aclFile': 'narrow' });
  t.match(outcomeAt(files, 4), { kind: 'unsupported', instead: /to narrow$/ });
  const lent = `${local}password_file local\n${secure}`;
  t.match(settingsOf(lent), { 'listeners.tls.host': '127.0.0.1', 'security.passwordFile': 'local' });
  t.match(outcomeAt(lent, 4), { needsAttention: true, note: /nothing says who/ });
  const both = `per_listener_settings true\nlistener 1883\npassword_file p\n${secure}`;
  t.match(settingsOf(both), { 'listeners.host': '::', 'listeners.tls.host': '127.0.0.1' });
});

t.test('a listener whose guard we do not have is left out', async (t) => {
  const guards = [
    'psk_hint h',
    'bind_interface eth0',
    `${TLS}require_certificate true\ncafile /a\ncrlfile /r`,
    `${TLS}require_certificate true\ncapath /a`,
  ];
  for (const guard of guards) {
    const text = `allow_anonymous true\nlistener 5555\n${guard}\n`;
    t.equal(outcomeAt(text, 2).kind, 'unsupported', guard);
    t.match(settingsOf(text), { 'listeners.host': '127.0.0.1', 'listeners.mqttPort': 1883 }, guard);
    t.notOk(Object.values(settingsOf(text)).includes(5555), guard);
  }
  const bound = (guard: string): Outcome => outcomeAt(`listener 1\nbind_interface eth0\n${guard}`, 1);
  t.match(bound(''), { instead: /^set listeners\.host / });
  t.match(bound(TLS), { instead: /^set listeners\.tls\.host / });
  t.equal(outcomeAt('listener 0 /run/m.sock\nallow_anonymous true', 1).kind, 'unsupported');
  const mounted = `${OPEN}listener 1884\nprotocol websockets\nmount_point a/\n`;
  t.equal(outcomeAt(mounted, 3).kind, 'unsupported');
  t.equal(settingsOf(mounted)['listeners.wsPort'], false);
});

t.test(
  'one that is not on loopback without passwords, or with a plugin, is held back to this machine',
  async (t) => {
    t.match(outcomeAt('listener 1883', 1), { kind: 'taken', needsAttention: true, note: /nothing says who/ });
    t.equal(settingsOf('listener 1883')['listeners.host'], '127.0.0.1');
    const withPlugin = `${OPEN}plugin /usr/lib/mosquitto_dynamic_security.so\nplugin_opt_config_file /d.json\n`;
    t.equal(settingsOf(withPlugin)['listeners.host'], '127.0.0.1');
    t.match(outcomeAt(withPlugin, 3), { kind: 'unsupported', why: /users and roles/ });
    t.equal(outcomeAt(withPlugin, 4).kind, 'not-needed');
  },
);

t.test(
  'certificates of clients are asked for where mosquitto asks, and the oldest TLS is the newest of all',
  async (t) => {
    t.equal(settingsOf(`${OPEN}${TLS}cafile /a`)['listeners.tls.caFile'], undefined);
    const asking = `allow_anonymous true\nlistener 1\n${TLS}cafile /a\nrequire_certificate true\ntls_version tlsv1.3\n`;
    t.match(
      settingsOf(
        `${asking}listener 2\nprotocol websockets\n${TLS}require_certificate false\ntls_version tlsv1.2`,
      ),
      {
        'listeners.tls.caFile': '/a',
        'listeners.tls.requireClientCertificate': true,
        'listeners.tls.minVersion': 'TLSv1.3',
      },
    );
    t.match(outcomeAt(`${OPEN}tls_version tlsv1.1`, 3), { kind: 'taken', needsAttention: true });
    const other = `${asking}listener 2\nprotocol websockets\ncertfile /d.pem\nkeyfile /k.pem\n`;
    t.match(outcomeAt(other, 10), { kind: 'unsupported', why: /one certificate/ });
  },
);

t.test('with per_listener_settings the strictest of all listeners holds for all', async (t) => {
  const text = `per_listener_settings true\nlistener 1\nallow_anonymous true\nlistener 2\nprotocol websockets\npassword_file p\nacl_file a\n`;
  t.match(settingsOf(text), {
    'security.allowAnonymous': false,
    'security.passwordFile': 'p',
    'security.aclFile': 'a',
  });
  t.match(outcomeAt(text, 3), { needsAttention: true });
  t.match(outcomeAt(text, 7), { needsAttention: true });
  t.match(outcomeAt(`${text}listener 3\n${TLS}password_file q`, 11), {
    kind: 'unsupported',
    instead: /to p$/,
  });
  t.equal(outcomeAt('per_listener_settings true\nallow_anonymous true\nlistener 1\n', 2).kind, 'not-needed');
});

t.test(
  'an included file begins with the default listener, and the main file goes on with its own',
  async (t) => {
    const at = (line: number, [directive]: Directive[]): Directive[] =>
      directive === undefined ? [] : [{ ...directive, line }];
    const { lines, settings } = planImport([
      ...parseConf('listener 1884\nallow_anonymous true\ninclude_dir d', 'main'),
      ...parseConf('max_connections 3\nconnection x', 'd/a.conf'),
      ...at(4, parseConf('protocol websockets', 'main')),
      ...at(5, parseConf('address h', 'main')),
    ]);
    t.match(settings.get('listeners.wsPort'), { value: 1884 });
    t.match(settings.get('listeners.mqttPort'), { value: 1883, from: 'the default of mosquitto' });
    t.match(lines.at(-1)?.outcome, { kind: 'unsupported', why: /no connection line/ });
  },
);

t.test('connections are limited by the sum of the limits, where every listener has one', async (t) => {
  const two = `${OPEN}max_connections 60000\nlistener 9001\nprotocol websockets\n`;
  t.equal(settingsOf(two)['limits.connectionsMax'], undefined);
  t.match(settingsOf(`${two}max_connections 50000`), {
    'limits.connectionsMax': 110_000,
    'limits.sessionsMax': 110_000,
  });
  t.equal(settingsOf(`${OPEN}max_connections -1`)['limits.connectionsMax'], undefined);
});

t.test('a bridge is one thing to look at, and says what takes its place', async (t) => {
  const text = 'connection c\naddress h:1\ntopic # out\nremote_password pw\n';
  t.match(outcomeAt(text, 1), { kind: 'unsupported', why: /not built yet/, instead: /mesh/ });
  const summary = summaryText(planOf(text), []);
  t.equal(summary.split('\n').length - 1, 3);
  t.match(summary, /4 lines: 0 taken over, 0 not needed, 4 not supported/);
  t.match(summary, /1 thing to look at/);
});

t.test('what is made passes the check, whatever the relations between the keys', async (t) => {
  const texts = [
    '',
    'listener 1883\n',
    `${OPEN}max_queued_bytes 2000`,
    `${OPEN}max_packet_size 30\nmax_queued_bytes 1`,
    `${OPEN}max_connections 500000`,
    'listener 8880 127.0.0.1\nlistener 8881 127.0.0.1\nprotocol websockets\n',
    `${OPEN}listener 8883\n${TLS}cafile /a\nrequire_certificate true\n`,
    'listener 1 10.0.0.1\nlistener 2 10.0.0.2\npsk_hint x\npassword_file p\n',
    'listener 5 127.0.0.1\npsk_hint x\n',
    `${LISTEN}listener 8883\n${TLS}`,
    `${LISTEN}listener 1883 127.0.0.2\n${TLS}`,
    `${LISTEN}password_file p\nlistener 8883\n${TLS}`,
    `per_listener_settings true\n${LISTEN}allow_anonymous true\nlistener 8883\n${TLS}allow_anonymous true\n`,
    `per_listener_settings true\n${LISTEN}listener 8883\n${TLS}allow_anonymous true\n`,
    'persistence false\nmax_packet_size 2000000\n',
    'acl_file "a: b # c\npassword_file - x\n',
  ];
  for (const text of texts) {
    const yaml = renderYaml(planOf(text), 'm.conf');
    t.doesNotThrow(() => resolveConfig({ file: { path: 'm.yaml', text: yaml } }), text);
  }
  const { config } = resolveConfig({
    file: { path: 'm.yaml', text: renderYaml(planOf('acl_file "a: b # c\n'), 'm.conf') },
  });
  t.equal(config.security.aclFile, '"a: b # c');
});

t.test('the file and the JSON tell every line and no secret', async (t) => {
  const text = `${OPEN}connection c\nremote_password s3cret\nnonsense s\nuser m\nlog_dest file /l\nsys_interval 99999\n`;
  const plan = planOf(text);
  const yaml = renderYaml(plan, 'm.conf');
  for (let line = 1; line <= 8; line += 1) t.match(yaml, new RegExp(`#   m\\.conf:${line}: `));
  const json = summaryJson(plan, ['f'], yaml);
  t.notMatch(yaml + json, /s3cret/);
  const parsed = JSON.parse(json);
  t.equal(parsed.lines.length, 8);
  t.strictSame(parsed.findings, ['f']);
  t.match(parsed.lines[7], {
    outcome: 'taken',
    text: /99999 is outside of 0 to 86400/,
    needsAttention: false,
  });
  t.match(summaryText(planOf('user m\n'), []), 'nothing needs attention');
  t.notOk(needsAttention(plan.lines[0]?.outcome ?? { kind: 'not-understood', why: '' }));
});
