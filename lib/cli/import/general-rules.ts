import { notNeeded, notUnderstood, taken, takenWithCare, unsupported, type Outcome } from './outcome.js';
import { always, byFlag, byNumber, limitOr, wholeNumberOf, type Rule, type Rules } from './rule.js';

const BYTES_MAX = 1_099_511_627_776;
const PACKET_MAX_BYTES = 268_435_460;
const PACKET_MIN_BYTES = 1024;
/** Room beside the payload for a long topic and properties: mosquitto's limit is for the payload alone. */
const PUBLISH_OVERHEAD_BYTES = 1024;
const FOR_EVER_S = 4_294_967_295;

const NO_DATABASE =
  'mosquitto.db is neither read nor written: the gateway writes each acknowledged message to dataDir at once';
const PLUGIN_INSTEAD =
  'give users, passwords and permissions in security.passwordFile and security.aclFile; until then nobody but this machine can connect';

function packetSize(value: string): Outcome {
  const size = wholeNumberOf(value);
  if (size === 0)
    return takenWithCare({}, 'no limit here; mqtt.packetMaxBytes is 1048576 where nothing else is said');
  return byNumber({ key: 'mqtt.packetMaxBytes', min: PACKET_MIN_BYTES, max: PACKET_MAX_BYTES })(value);
}

function payloadSize(value: string): Outcome {
  const size = wholeNumberOf(value);
  if (size === undefined || size <= 0) return packetSize(value);
  const packetMaxBytes = Math.min(PACKET_MAX_BYTES, size + PUBLISH_OVERHEAD_BYTES);
  return taken(
    { 'mqtt.packetMaxBytes': packetMaxBytes },
    `with ${PUBLISH_OVERHEAD_BYTES} bytes for topic and properties; a client that sends more is disconnected, where mosquitto drops the message`,
  );
}

/** mosquitto 2.0.11 lets a client of 3.1.1 in whatever it asks for, and cannot tell it of the limit either. */
function keepAlive(value: string): Outcome {
  const outcome = byNumber({ key: 'mqtt.keepAliveMaxS', min: 0, max: 65_535 })(value);
  if (outcome.kind !== 'taken' || wholeNumberOf(value) === 0) return outcome;
  const note =
    'clients of MQTT 3.1 and 3.1.1 that ask for a longer keep alive, or for none, are refused here: shorten theirs, or leave this out';
  return takenWithCare(outcome.settings, outcome.note === undefined ? note : `${outcome.note}; ${note}`);
}

const DURATION_S: Readonly<Record<string, number>> = {
  h: 3600,
  d: 86_400,
  w: 604_800,
  m: 2_592_000,
  y: 31_536_000,
};

function expiration(value: string): Outcome {
  const [, count, unit] = /^([0-9]{1,9})([hdwmy])$/.exec(value) ?? [];
  const unitS = DURATION_S[unit ?? ''];
  if (count === undefined || unitS === undefined)
    return notUnderstood(`${JSON.stringify(value)} is not a number with one of h, d, w, m, y behind it`);
  return taken({ 'mqtt.sessionExpiryMaxS': Math.min(FOR_EVER_S, Number(count) * unitS) });
}

/** From the least to the most important. */
const LOG_LEVELS: Readonly<Record<string, string>> = {
  all: 'debug',
  debug: 'debug',
  internal: 'debug',
  information: 'info',
  notice: 'info',
  warning: 'warn',
  error: 'error',
  none: 'silent',
};

/** One line of several perhaps: `fitting.ts` takes the most talkative one. */
function logType(value: string): Outcome {
  const level = LOG_LEVELS[value];
  if (level !== undefined) return taken({ 'log.level': level });
  switch (value) {
    case 'subscribe':
    case 'unsubscribe':
      return unsupported('subscriptions are not logged', 'the metrics count them (docs/metrics.md)');
    case 'websockets':
      return notNeeded('WebSockets have no log of their own');
    default:
      return notUnderstood(`${JSON.stringify(value)} is none of mosquitto's kinds of log lines`);
  }
}

function logDest(value: string): Outcome {
  switch (value.split(' ')[0]) {
    case 'stderr':
      return notNeeded('log lines go to standard error');
    case 'stdout':
      return notNeeded('log lines go to standard error: 2>&1 makes standard output of it');
    case 'syslog':
      return notNeeded('log lines go to standard error, which systemd hands to the journal');
    case 'none':
      return taken({ 'log.level': 'silent' });
    case 'file':
      return unsupported(
        'log lines go to standard error only',
        'let systemd keep them in the journal, or start the gateway with 2>>FILE',
      );
    case 'topic':
      return unsupported(
        'log lines are not published',
        'read them from standard error; figures are on $SYS/broker and in /metrics',
      );
    case 'dlt':
      return unsupported('DLT is not spoken', 'read the log from standard error');
    default:
      return notUnderstood(`${JSON.stringify(value)} is none of mosquitto's destinations`);
  }
}

function clientIdPrefixes(): Outcome {
  return unsupported(
    'every client id may connect',
    'say in the ACL what each user may do; a client chooses its id itself, so that a prefix keeps nobody out',
  );
}

const plugin: Rule = (value) =>
  unsupported(
    value.includes('dynamic_security')
      ? 'the dynamic security plugin keeps its users and roles in a file of its own, which is not read'
      : 'plugins are not loaded',
    PLUGIN_INSTEAD,
  );

const DEFAULT_IS_OURS = 'the gateway does the same';

/** Options that are for the whole broker. */
export const GENERAL_RULES: Rules = {
  allow_duplicate_messages: byFlag(
    notNeeded('a client with overlapping subscriptions gets each message once, which it can take'),
    notNeeded(DEFAULT_IS_OURS),
  ),
  auth_plugin: plugin,
  auth_plugin_deny_special_chars: always(notNeeded('it is for plugins; see the line of the plugin')),
  autosave_interval: always(notNeeded(NO_DATABASE)),
  autosave_on_changes: always(notNeeded(NO_DATABASE)),
  check_retain_source: byFlag(
    unsupported(
      'a retained message is sent to whoever may read it, whatever its publisher may do by now',
      'delete retained messages of users whose rights you take away',
    ),
    notNeeded(DEFAULT_IS_OURS),
  ),
  clientid_prefixes: clientIdPrefixes,
  connection_messages: byFlag(
    unsupported(
      'only connections that are refused are logged',
      'the metrics count connections (docs/metrics.md)',
    ),
    notNeeded('only connections that are refused are logged'),
  ),
  log_dest: logDest,
  log_facility: always(notNeeded('it is for syslog: see log_dest')),
  log_timestamp: always(notNeeded('every log line has its time')),
  log_timestamp_format: always(notNeeded('times are in ISO 8601')),
  log_type: logType,
  max_inflight_bytes: limitOr(
    DEFAULT_IS_OURS,
    unsupported(
      'what is in flight to a client is counted, not weighed',
      'delivery.windowMax limits the messages, delivery.clientOutputMaxBytes what waits in a socket',
    ),
  ),
  max_inflight_messages: byNumber({
    key: 'delivery.windowMax',
    min: 1,
    max: 65_535,
    zero: taken({ 'delivery.windowMax': 65_535 }),
  }),
  max_keepalive: keepAlive,
  max_packet_size: packetSize,
  max_queued_bytes: byNumber({
    key: 'delivery.clientQueueMaxBytes',
    min: 1024,
    max: BYTES_MAX,
    zero: notNeeded('no limit there; delivery.clientQueueMaxBytes is a quarter of limits.diskMaxBytes'),
  }),
  max_queued_messages: byNumber({
    key: 'delivery.clientQueueMaxCount',
    min: 1,
    max: 100_000_000,
    zero: taken({ 'delivery.clientQueueMaxCount': 100_000_000 }),
  }),
  memory_limit: limitOr(
    DEFAULT_IS_OURS,
    unsupported(
      'there is no limit of the whole memory at which clients are disconnected',
      'limits.memoryMaxBytes bounds the copies of messages in memory, and systemd the process (MemoryMax=)',
    ),
  ),
  message_size_limit: payloadSize,
  per_listener_settings: always(
    notNeeded(
      'passwords, permissions and allowAnonymous are for all listeners; where they differ it is said',
    ),
  ),
  persistence: byFlag(
    taken({ 'storage.durability': 'disk' }),
    taken(
      { 'storage.durability': 'memory' },
      'nothing survives a restart, as before; without this line it would',
    ),
  ),
  persistence_file: always(notNeeded(NO_DATABASE)),
  persistence_location: always(notNeeded(`${NO_DATABASE}; set dataDir to a folder of its own`)),
  persistent_client_expiration: expiration,
  pid_file: always(notNeeded('no file with the process id is written; systemd needs none')),
  plugin,
  queue_qos0_messages: byFlag(
    unsupported(
      'messages of QoS 0 do not wait for a client that is away',
      'publish and subscribe what must arrive with QoS 1',
    ),
    notNeeded(DEFAULT_IS_OURS),
  ),
  retain_available: byFlag(taken({ 'mqtt.retain': true }), taken({ 'mqtt.retain': false })),
  retained_persistence: always(notNeeded(NO_DATABASE)),
  retry_interval: always(notNeeded('mosquitto does not know it any more either')),
  set_tcp_nodelay: byFlag(
    notNeeded('TCP_NODELAY is always set'),
    notNeeded('TCP_NODELAY is always set: packets leave at once'),
  ),
  sys_interval: byNumber({ key: 'sys.intervalS', min: 0, max: 86_400 }),
  upgrade_outgoing_qos: byFlag(
    unsupported(
      'a message is delivered with the lower QoS of publish and subscription, as MQTT says',
      'publish with the QoS that subscribers need',
    ),
    notNeeded(DEFAULT_IS_OURS),
  ),
  user: always(
    notNeeded(
      'the gateway stays the user that starts it: give it one of its own (User= of systemd), never root',
    ),
  ),
  websockets_headers_size: always(notNeeded('headers of the hand-shake may have 16 KiB')),
  websockets_log_level: always(notNeeded('WebSockets have no log of their own')),
};

/** Beginnings of names; what follows belongs to a plugin. */
export const PLUGIN_OPTION_PREFIXES: readonly string[] = ['auth_opt_', 'plugin_opt_'];
export const PLUGIN_OPTION = notNeeded('it is for plugins; see the line of the plugin');
