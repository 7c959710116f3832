import type { IPublishPacket } from 'mqtt';
import { clientFailure } from './client-connection.js';
import { ClientExitCode } from './exit-code.js';
import { dateField, isoTime } from './strftime.js';

/** A message as it arrived. */
export interface ReceivedMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly packet: Pick<IPublishPacket, 'qos' | 'retain' | 'messageId' | 'properties'>;
  readonly receivedAt: Date;
}

type Field = (message: ReceivedMessage) => string | Buffer;

const number = (value: number | undefined): string => (value === undefined ? '' : String(value));

type UserProperties = Readonly<Record<string, string | string[]>>;

function userPropertiesText(properties: UserProperties | undefined): string {
  const pairs = Object.entries(properties ?? {}).flatMap(([name, values]) =>
    [values].flat().map((value) => `${name}:${value}`),
  );
  return pairs.join(' ');
}

/** Properties by mosquitto_sub's names. */
function propertiesJson(properties: IPublishPacket['properties']): Record<string, unknown> | undefined {
  if (properties === undefined) return undefined;
  const indicator = properties.payloadFormatIndicator;
  const named = {
    'topic-alias': properties.topicAlias,
    'subscription-identifier': properties.subscriptionIdentifier,
    'user-properties': properties.userProperties,
    'content-type': properties.contentType,
    'correlation-data': properties.correlationData?.toString('utf8'),
    'payload-format-indicator': indicator === undefined ? undefined : Number(indicator),
    'response-topic': properties.responseTopic,
    'message-expiry-interval': properties.messageExpiryInterval,
  };
  return Object.values(named).some((value) => value !== undefined) ? named : undefined;
}

function json(message: ReceivedMessage, payload: unknown): string {
  const { packet } = message;
  return JSON.stringify({
    tst: isoTime(message.receivedAt, true),
    topic: message.topic,
    qos: packet.qos,
    retain: Number(packet.retain),
    payloadlen: message.payload.length,
    mid: packet.qos > 0 ? packet.messageId : undefined,
    properties: propertiesJson(packet.properties),
    payload,
  });
}

/** The payload of `%J`. @throws SprawlError where it is not JSON; the message is then left out. */
function jsonPayload({ payload, topic }: ReceivedMessage): unknown {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch (error) {
    throw clientFailure(
      `the payload is not valid JSON, on topic ${JSON.stringify(topic)}`,
      ClientExitCode.failed,
      error,
    );
  }
}

const FIELDS: ReadonlyMap<string, Field> = new Map<string, Field>([
  ['t', ({ topic }) => topic],
  ['p', ({ payload }) => payload],
  ['q', ({ packet }) => String(packet.qos)],
  ['r', ({ packet }) => String(Number(packet.retain))],
  ['l', ({ payload }) => String(payload.length)],
  ['m', ({ packet }) => number(packet.messageId ?? 0)],
  ['x', ({ payload }) => payload.toString('hex')],
  ['X', ({ payload }) => payload.toString('hex').toUpperCase()],
  ['j', (message) => json(message, message.payload.toString('utf8'))],
  ['J', (message) => json(message, jsonPayload(message))],
  ['I', ({ receivedAt }) => isoTime(receivedAt, false)],
  ['U', ({ receivedAt }) => `${dateField('s', receivedAt)}.${dateField('N', receivedAt)}`],
  ['A', ({ packet }) => number(packet.properties?.topicAlias)],
  ['C', ({ packet }) => packet.properties?.contentType ?? ''],
  ['D', ({ packet }) => packet.properties?.correlationData ?? ''],
  ['E', ({ packet }) => number(packet.properties?.messageExpiryInterval)],
  [
    'F',
    ({ packet }) =>
      packet.properties?.payloadFormatIndicator === undefined
        ? ''
        : String(Number(packet.properties.payloadFormatIndicator)),
  ],
  ['P', ({ packet }) => userPropertiesText(packet.properties?.userProperties)],
  ['R', ({ packet }) => packet.properties?.responseTopic ?? ''],
  ['S', ({ packet }) => [packet.properties?.subscriptionIdentifier ?? []].flat().join(' ')],
]);

/** Fields that numbers are padded with zeros in. */
const ZERO_PADDED: ReadonlySet<string> = new Set(['A', 'E', 'F', 'l', 'm', 'S', 'X', 'x']);
/** Fields that a maximum width cuts. */
const CUT: ReadonlySet<string> = new Set(['C', 'I', 'R', 't']);
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['0', '\0'],
  ['a', '\u0007'],
  ['e', '\u001b'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
  ['\\', '\\'],
  ['@', '@'],
  ['%', '%'],
]);

function padded(field: Field, letter: string, flags: string, width: number, max: number | undefined): Field {
  const left = flags.includes('-');
  const fill = flags.includes('0') && !left && ZERO_PADDED.has(letter) ? '0' : ' ';
  return (message) => {
    const value = field(message);
    const cut = max !== undefined && CUT.has(letter) ? value.toString().slice(0, max) : value;
    if (cut.length >= width) return cut;
    const padding = fill.repeat(width - cut.length);
    const parts = [Buffer.from(cut), Buffer.from(padding)];
    return Buffer.concat(left ? parts : parts.reverse());
  };
}

const SEQUENCE = /%%|%([0-]*)(\d*)(?:\.(\d+))?([a-zA-Z])|@(.)|\\(.)|[%@\\]|[^%@\\]+/gsu;
const WIDTH_MAX_CHARS = 10_000;

function parseSequence(match: RegExpExecArray): Field {
  const [text, flags = '', width = '', max, letter, date, escape] = match;
  if (letter !== undefined) {
    const field = FIELDS.get(letter);
    if (field === undefined || Number(width) > WIDTH_MAX_CHARS) throw new RangeError(text);
    return padded(field, letter, flags, Number(width), max === undefined ? undefined : Number(max));
  }
  if (text === '%%') return () => '%';
  if (date !== undefined) {
    if (date === '@') return () => '@';
    if (dateField(date, new Date(0)) === undefined) throw new RangeError(text);
    return ({ receivedAt }) => dateField(date, receivedAt) ?? '';
  }
  const literal = escape === undefined ? text : ESCAPES.get(escape);
  if (literal === undefined || '%@\\'.includes(text)) throw new RangeError(text);
  return () => literal;
}

/**
 * A format string of mosquitto_sub as a function from a message to its bytes.
 * @throws RangeError whose message is the sequence that means nothing
 */
export function compileFormat(format: string): (message: ReceivedMessage) => Buffer {
  const fields = [...format.matchAll(SEQUENCE)].map(parseSequence);
  return (message) => Buffer.concat(fields.map((field) => Buffer.from(field(message))));
}
