import { randomBytes } from 'node:crypto';
import type { IClientOptions } from 'mqtt';
import { SprawlError } from '../../contracts/errors.js';
import { isValidTopicName } from '../../protocol/topic.js';
import { clientTlsOptionsOf } from '../../tls-files.js';
import { usageError } from '../arguments.js';
import type { Invocation, World } from '../command.js';
import { parsePropertyOptions, type PropertySets } from './property-option.js';

type Version = 3 | 4 | 5;
export type QoS = 0 | 1 | 2;

/** What `pub` and `sub` have in common. */
export interface ClientSettings {
  readonly connect: IClientOptions;
  readonly properties: PropertySets;
  /** Topic of `-L`. */
  readonly urlTopic: string | undefined;
  readonly version: Version;
  readonly quiet: boolean;
  readonly debug: boolean;
}

const VERSIONS: ReadonlyMap<string, Version> = new Map([
  ['31', 3],
  ['mqttv31', 3],
  ['311', 4],
  ['mqttv311', 4],
  ['5', 5],
  ['mqttv5', 5],
]);
/** MQTT.js calls the transports so. */
type Protocol = 'mqtt' | 'mqtts' | 'ws' | 'wss';
const PORTS: Readonly<Record<Protocol, number>> = { mqtt: 1883, mqtts: 8883, ws: 8083, wss: 8084 };
const WS_PATH = '/mqtt';
const NEVER_S = 4_294_967_295;
const PROTOCOLS: readonly Protocol[] = ['mqtt', 'mqtts', 'ws', 'wss'];

/** A whole number in a range. @throws SprawlError USAGE */
export function wholeNumber(
  invocation: Invocation,
  long: string,
  min: number,
  max: number,
): number | undefined {
  const text = invocation.value(long);
  if (text === undefined) return undefined;
  const value = /^-?\d+$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw usageError(
    invocation.command,
    `--${long} must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`,
  );
}

/** Seconds, fractions allowed. @throws SprawlError USAGE */
export function seconds(invocation: Invocation, long: string): number | undefined {
  const text = invocation.value(long);
  if (text === undefined) return undefined;
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  throw usageError(invocation.command, `--${long} must be a number of seconds, not ${JSON.stringify(text)}`);
}

export function qosOption(invocation: Invocation, long: string): QoS {
  const qos = wholeNumber(invocation, long, 0, 2);
  return qos === 1 || qos === 2 ? qos : 0;
}

function versionOf(invocation: Invocation): Version {
  const text = invocation.value('protocol-version');
  const needs5 = ['property', 'session-expiry-interval'].find((long) => invocation.has(long));
  if (text === undefined) return needs5 === undefined ? 4 : 5;
  const version = VERSIONS.get(text);
  if (version === undefined)
    throw usageError(invocation.command, `-V must be 5, 311 or 31, not ${JSON.stringify(text)}`);
  if (version !== 5 && needs5 !== undefined)
    throw usageError(invocation.command, `--${needs5} needs MQTT 5 (-V 5)`);
  return version;
}

interface Target {
  readonly protocol: Protocol;
  readonly host: string;
  readonly port: number;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly topic: string | undefined;
}

function parseUrl(invocation: Invocation, text: string): Target {
  const wrong = (): Error =>
    usageError(
      invocation.command,
      '-L must be mqtt://[user[:password]@]host[:port]/topic, also mqtts, ws, wss',
    );
  // The topic is split off first: URL would take the # of a filter for a fragment.
  const [, front, topic = ''] = /^([a-z]+:\/\/[^/]+)(?:\/(.*))?$/s.exec(text) ?? [];
  if (front === undefined || !URL.canParse(front)) throw wrong();
  const url = new URL(front);
  const protocol = PROTOCOLS.find((each) => `${each}:` === url.protocol);
  if (protocol === undefined || url.hostname === '') throw wrong();
  const decoded = (part: string): string | undefined =>
    part === '' ? undefined : (decodePercent(part) ?? part);
  return {
    protocol,
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? PORTS[protocol] : Number(url.port),
    username: decoded(url.username),
    password: decoded(url.password),
    topic: decoded(topic),
  };
}

/** Undefined where the percent signs are not those of an encoding. */
function decodePercent(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function targetOf(invocation: Invocation): Target {
  const url = invocation.value('url');
  const port = wholeNumber(invocation, 'port', 1, 65_535);
  if (url !== undefined) {
    const clash = ['host', 'port', 'ws'].find((long) => invocation.has(long));
    if (clash !== undefined) throw usageError(invocation.command, `-L already says what --${clash} says`);
    return parseUrl(invocation, url);
  }
  const secure =
    port === PORTS.mqtts || ['cafile', 'tls-use-os-certs', 'insecure'].some((long) => invocation.has(long));
  const protocol: Protocol = invocation.has('ws') ? (secure ? 'wss' : 'ws') : secure ? 'mqtts' : 'mqtt';
  return {
    protocol,
    host: invocation.value('host') ?? 'localhost',
    port: port ?? PORTS[protocol],
    username: undefined,
    password: undefined,
    topic: undefined,
  };
}

/** A wrong file is a wrong command line: nothing has been tried with it. */
function tlsFiles(invocation: Invocation): IClientOptions {
  const [cafile, cert, key] = ['cafile', 'cert', 'key'].map((long) => invocation.value(long));
  try {
    return clientTlsOptionsOf({ cafile, cert, key });
  } catch (error) {
    if (!(error instanceof SprawlError)) throw error;
    throw usageError(invocation.command, error.message);
  }
}

function tlsOptions(invocation: Invocation): IClientOptions {
  const insecure = invocation.has('insecure');
  const files = tlsFiles(invocation);
  // `object`, because the types of ws expect another return value than Node, which it hands the function to.
  const unchecked: object = insecure ? { checkServerIdentity: () => undefined } : {};
  return {
    ...files,
    rejectUnauthorized: !(insecure && files.ca === undefined),
    ...unchecked,
    wsOptions: { ...unchecked },
  };
}

function clientIdOf(invocation: Invocation): string {
  const id = invocation.value('id');
  const prefix = invocation.value('id-prefix');
  if (id !== undefined && prefix !== undefined)
    throw usageError(invocation.command, '-i and -I exclude each other');
  if (invocation.has('disable-clean-session') && id === undefined) {
    throw usageError(invocation.command, '-c needs a client identifier: -i ID');
  }
  if (prefix !== undefined) return `${prefix}${process.pid}`;
  return id ?? `sprawl-${invocation.command.name}-${randomBytes(4).toString('hex')}`;
}

function credentialsOf(invocation: Invocation, target: Target, world: World): IClientOptions {
  const username = invocation.value('username') ?? target.username;
  const given = invocation.value('pw') ?? target.password;
  if (username === undefined) {
    if (given !== undefined) throw usageError(invocation.command, 'a password needs a user name: -u NAME');
    return {};
  }
  const password = given ?? world.env['SPRAWL_PASSWORD'];
  return { username, ...(password === undefined ? {} : { password }) };
}

function willOf(invocation: Invocation, properties: PropertySets): IClientOptions {
  const topic = invocation.value('will-topic');
  if (topic === undefined) {
    const alone = ['will-payload', 'will-qos', 'will-retain'].find((long) => invocation.has(long));
    if (alone !== undefined) throw usageError(invocation.command, `--${alone} needs --will-topic`);
    return {};
  }
  if (!isValidTopicName(topic))
    throw usageError(
      invocation.command,
      `--will-topic ${JSON.stringify(topic)} is not a topic name: no + or #`,
    );
  const payload = Buffer.from(invocation.value('will-payload') ?? '');
  const will = {
    topic,
    payload,
    qos: qosOption(invocation, 'will-qos'),
    retain: invocation.has('will-retain'),
  };
  return { will: properties.will === undefined ? will : { ...will, properties: properties.will } };
}

function sessionOf(invocation: Invocation, version: Version, properties: PropertySets): IClientOptions {
  const clean = !invocation.has('disable-clean-session');
  if (version !== 5) return { clean };
  const given = wholeNumber(invocation, 'session-expiry-interval', -1, NEVER_S);
  const expiry = given === -1 ? NEVER_S : (given ?? (clean ? undefined : NEVER_S));
  const interval = expiry === undefined ? {} : { sessionExpiryInterval: expiry };
  return { clean, properties: { ...interval, ...properties.connect } };
}

/** What the options of the connection say. Reads the TLS files. @throws SprawlError USAGE */
export function clientSettings(invocation: Invocation, world: World): ClientSettings {
  const version = versionOf(invocation);
  const properties = parsePropertyOptions(invocation);
  const target = targetOf(invocation);
  const secure = target.protocol === 'mqtts' || target.protocol === 'wss';
  if (invocation.has('cert') !== invocation.has('key'))
    throw usageError(
      invocation.command,
      'a certificate and its key belong together: give both, --cert and --key',
    );
  const { protocol, host, port } = target;
  return {
    connect: {
      protocol,
      host,
      hostname: host.includes(':') && protocol.startsWith('ws') ? `[${host}]` : host,
      port,
      ...(protocol.startsWith('ws') ? { path: WS_PATH } : {}),
      ...(secure ? tlsOptions(invocation) : {}),
      protocolVersion: version,
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
      clientId: clientIdOf(invocation),
      keepalive: wholeNumber(invocation, 'keepalive', 0, 65_535) ?? 60,
      ...credentialsOf(invocation, target, world),
      ...willOf(invocation, properties),
      ...sessionOf(invocation, version, properties),
    },
    properties,
    urlTopic: target.topic,
    version,
    quiet: invocation.has('quiet'),
    debug: invocation.has('debug'),
  };
}
