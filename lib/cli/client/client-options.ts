import type { OptionSpec } from '../command.js';
import { extraPropertyValues } from './property-option.js';

/** How a client reaches a broker. */
export const CONNECTION_OPTIONS: readonly OptionSpec[] = [
  { long: 'host', short: 'h', values: ['HOST'], description: 'Broker to connect to (default localhost).' },
  {
    long: 'port',
    short: 'p',
    values: ['PORT'],
    description: 'Its port (default 1883, with TLS 8883, with --ws 8083 or 8084).',
  },
  {
    long: 'url',
    short: 'L',
    values: ['URL'],
    description: 'Everything in one: mqtt://user:password@host:port/topic; also mqtts, ws, wss.',
  },
  { long: 'id', short: 'i', values: ['ID'], description: 'Client identifier (default: a random one).' },
  {
    long: 'id-prefix',
    short: 'I',
    values: ['PREFIX'],
    description: 'Client identifier: PREFIX and the process id.',
  },
  { long: 'username', short: 'u', values: ['NAME'], description: 'User name.' },
  {
    long: 'pw',
    short: 'P',
    values: ['PASSWORD'],
    description:
      'Password. Other users of the machine can see it here: SPRAWL_PASSWORD in the environment is better.',
  },
  {
    long: 'protocol-version',
    short: 'V',
    values: ['VERSION'],
    description: '5, 311 or 31 (also mqttv5, mqttv311, mqttv31; default 311, or 5 where -D or -x is given).',
  },
  {
    long: 'disable-clean-session',
    short: 'c',
    description: 'Keep the session when this client goes; needs -i.',
  },
  {
    long: 'session-expiry-interval',
    short: 'x',
    values: ['SECONDS'],
    description: 'How long the session is kept (MQTT 5; -1: for ever; default 0, with -c for ever).',
  },
  { long: 'keepalive', short: 'k', values: ['SECONDS'], description: 'Keep alive (default 60).' },
  {
    long: 'property',
    short: 'D',
    values: ['COMMAND', 'PROPERTY', 'VALUE'],
    moreValues: extraPropertyValues,
    description:
      'An MQTT 5 property of connect, publish, subscribe, unsubscribe, disconnect or will: -D publish content-type text/plain, -D publish user-property NAME VALUE. May be repeated.',
  },
  {
    long: 'will-topic',
    values: ['TOPIC'],
    description: 'Topic of the will, which the broker publishes when this client vanishes.',
  },
  { long: 'will-payload', values: ['TEXT'], description: 'Payload of the will (default empty).' },
  { long: 'will-qos', values: ['QOS'], description: 'QoS of the will (default 0).' },
  { long: 'will-retain', description: 'Retain the will.' },
  { long: 'cafile', values: ['FILE'], description: 'Use TLS and trust the authorities in this PEM file.' },
  { long: 'tls-use-os-certs', description: 'Use TLS and trust the well-known authorities.' },
  { long: 'cert', values: ['FILE'], description: 'Certificate of this client, PEM.' },
  { long: 'key', values: ['FILE'], description: 'Private key of the certificate, PEM.' },
  {
    long: 'insecure',
    description:
      'Use TLS, but do not check that the certificate names the host; without --cafile, check nothing.',
  },
  { long: 'ws', description: 'Connect over WebSocket, path /mqtt.' },
  { long: 'debug', short: 'd', description: 'Show each packet on standard error.' },
  { long: 'quiet', description: 'Print no error messages.' },
];

const qos = (what: string): OptionSpec => ({
  long: 'qos',
  short: 'q',
  values: ['QOS'],
  description: `QoS of the ${what}: 0, 1 or 2 (default 0).`,
});

export const PUB_OPTIONS: readonly OptionSpec[] = [
  { long: 'topic', short: 't', values: ['TOPIC'], description: 'Topic to publish to.' },
  { long: 'message', short: 'm', values: ['TEXT'], description: 'Send this text.' },
  { long: 'file', short: 'f', values: ['FILE'], description: 'Send the contents of a file.' },
  {
    long: 'null-message',
    short: 'n',
    description: 'Send an empty message; with -r it deletes the retained one.',
  },
  { long: 'stdin-file', short: 's', description: 'Send all of standard input as one message.' },
  {
    long: 'stdin-line',
    short: 'l',
    description: 'Send each line of standard input as a message; empty lines are left out.',
  },
  qos('messages'),
  { long: 'retain', short: 'r', description: 'The broker keeps the message for later subscribers.' },
  {
    long: 'repeat',
    values: ['COUNT'],
    description: 'Send the message of -m, -f, -n or -s this often (default 1).',
  },
  { long: 'repeat-delay', values: ['SECONDS'], description: 'Pause between repetitions (default 0).' },
  {
    long: 'max-inflight',
    short: 'M',
    values: ['COUNT'],
    description: 'Messages of -l sent before the first is acknowledged (default 20).',
  },
  ...CONNECTION_OPTIONS,
];

export const SUB_OPTIONS: readonly OptionSpec[] = [
  {
    long: 'topic',
    short: 't',
    values: ['FILTER'],
    description: 'Topic or filter to subscribe to. May be repeated.',
  },
  qos('subscriptions'),
  { long: 'verbose', short: 'v', description: 'Print the topic before each message.' },
  {
    long: 'format',
    short: 'F',
    values: ['FORMAT'],
    description:
      'How each message is printed: %t topic, %p payload, %q QoS, %r retained, %l length, %m packet id, %x and %X payload in hexadecimal, %j JSON, %J JSON with a JSON payload, %I time, %A %C %D %E %F %P %R %S MQTT 5 properties; @ and a letter is strftime, \\n \\t \\0 \\e characters.',
  },
  { long: 'no-newline', short: 'N', description: 'Print no line feed after each message.' },
  { long: 'count', short: 'C', values: ['COUNT'], description: 'End after this many printed messages.' },
  {
    long: 'timeout',
    short: 'W',
    values: ['SECONDS'],
    description: 'End after this time, with exit code 27.',
  },
  {
    long: 'exit-after-subscribe',
    short: 'E',
    description: 'End when the broker has acknowledged the subscriptions.',
  },
  { long: 'no-retained', short: 'R', description: 'Print no messages that were retained.' },
  { long: 'retained-only', description: 'Print only retained messages and end at the first other one.' },
  { long: 'remove-retained', description: 'Delete the retained messages that arrive, except those of -T.' },
  {
    long: 'retain-as-published',
    description: 'Keep the retain flag of live messages as published (MQTT 5).',
  },
  {
    long: 'filter-out',
    short: 'T',
    values: ['FILTER'],
    description: 'Print no messages of these topics. May be repeated.',
  },
  {
    long: 'unsubscribe',
    short: 'U',
    values: ['FILTER'],
    description: 'Unsubscribe first, from an old session. May be repeated.',
  },
  ...CONNECTION_OPTIONS,
];
