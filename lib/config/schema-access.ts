import { z } from 'zod';
import { aclRuleSchema } from '../security/acl-rule.js';
import { PACKET_BYTES_MAX, SECONDS_FOR_EVER } from './bounds.js';
import { derivedListenHost, flag, integer, listenHost, note, path, portOrOff } from './field.js';

/** TLS versions that may be asked for as the oldest. */
const TLS_VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;
const PORT_LIMIT = 'false (off) or a whole number from 0 (any free port) to 65535';

const tlsSchema = z
  .strictObject({
    host: derivedListenHost(
      'Address of the TLS listeners, where it is another one: with `listeners.host` on loopback and `0.0.0.0` here the network reaches the gateway over TLS alone.',
      'what `listeners.host` says',
    ),
    certFile: z
      .string()
      .min(1)
      .meta(note({ description: 'PEM file with the certificate of this gateway and its chain.' })),
    keyFile: z
      .string()
      .min(1)
      .meta(note({ description: 'PEM file with the private key of the certificate.' })),
    caFile: path({
      description: 'PEM file with the authorities whose client certificates are accepted.',
      defaultText: 'none',
    }),
    requireClientCertificate: flag(false, {
      description: 'Refuse clients that show no certificate signed by `listeners.tls.caFile`.',
    }),
    minVersion: z
      .enum(TLS_VERSIONS)
      .default('TLSv1.2')
      .meta(note({ description: 'Oldest TLS version that is accepted.' })),
  })
  .optional()
  .meta({ description: 'Certificate and address of the TLS listeners; without this section both are off.' });

export const listenersSchema = z.strictObject({
  host: listenHost(
    'Address of the MQTT listeners; those of TLS may have another one, `listeners.tls.host`. `0.0.0.0` is every IPv4 address of the machine, `::` every address. Where any of them is beyond loopback, clients must authenticate or `security.allowAnonymous` must say otherwise.',
  ),
  mqttPort: portOrOff.default(1883).meta(note({ description: 'MQTT over TCP.', limitText: PORT_LIMIT })),
  wsPort: portOrOff.default(8083).meta(note({ description: 'MQTT over WebSocket.', limitText: PORT_LIMIT })),
  wsPath: z
    .string()
    .regex(/^\/[\x21-\x7e]*$/)
    .default('/mqtt')
    .meta(
      note({
        description: 'Path of the WebSocket listeners.',
        limitText: 'a path that begins with /, without spaces',
      }),
    ),
  tlsPort: portOrOff.optional().meta(
    note({
      description: 'MQTT over TLS. Needs `listeners.tls`.',
      defaultText: '8883 when `listeners.tls` is set, else false',
      limitText: PORT_LIMIT,
    }),
  ),
  wssPort: portOrOff.optional().meta(
    note({
      description: 'MQTT over WebSocket and TLS. Needs `listeners.tls`.',
      defaultText: '8084 when `listeners.tls` is set, else false',
      limitText: PORT_LIMIT,
    }),
  ),
  tls: tlsSchema,
  backlog: integer({
    min: 1,
    max: 65535,
    default: 511,
    description:
      'Connections that the kernel may hold before the gateway takes them; the kernel may cap it (net.core.somaxconn).',
    higher: 'more devices survive a reconnect storm without a retry.',
    lower: 'a storm is refused earlier.',
  }),
});

export const httpSchema = z.strictObject({
  host: listenHost(
    'Address of the HTTP listener: /healthz, /readyz, /metrics, and what docs/http-api.md names besides, such as /status and /mesh. It asks for no password: open it only towards those who may read them.',
  ),
  port: portOrOff
    .default(8880)
    .meta(note({ description: 'Port of the HTTP listener.', limitText: PORT_LIMIT })),
});

export const securitySchema = z.strictObject({
  allowAnonymous: z
    .boolean()
    .optional()
    .meta(
      note({
        description: 'Whether clients without a user name may connect, to whichever listener.',
        defaultText:
          'true when every MQTT listener that is open is on loopback (`listeners.host`, `listeners.tls.host`) and no `security.passwordFile` is set, else false',
      }),
    ),
  passwordFile: path({
    description:
      'Users and hashed passwords, in the format of mosquitto_passwd; `sprawl-edge passwd` writes it. A relative path is relative to the working directory.',
    defaultText: 'none',
  }),
  aclFile: path({
    description:
      'Topic permissions in the format of mosquitto. A relative path is relative to the working directory.',
    defaultText:
      'none: every client may receive every topic, and publish to every one that does not begin with `$`',
  }),
  acl: z
    .array(aclRuleSchema)
    .optional()
    .meta(
      note({
        description: 'Topic permissions as a list of rules, beside or instead of `security.aclFile`.',
        defaultText: 'none',
      }),
    ),
  wildcardLevelsMin: integer({
    min: 0,
    max: 65535,
    default: 0,
    description:
      'How many levels of a topic filter have to be literal before its first `+` or `#`; other filters are refused (0x87). With 1 nobody gets `#`, with 2 neither `site/#`. `$share/<group>/` does not count. 0 is no restriction.',
    higher:
      'no client can have everything sent to it, or make the gateway look through all retained messages; monitors and bridges need an exemption.',
    lower: 'more clients may watch everything; each such subscription costs a copy of the whole traffic.',
  }),
  wildcardExemptUsers: z
    .array(z.string().min(1))
    .optional()
    .meta(
      note({
        description:
          'User names that `security.wildcardLevelsMin` is not for, compared exactly. It is worth as much as the passwords: without a password file anybody can give any name.',
        defaultText: 'none',
      }),
    ),
});

export const mqttSchema = z.strictObject({
  connectTimeoutMs: integer({
    min: 100,
    max: 600_000,
    default: 5000,
    description:
      'Time that a connection has for its whole CONNECT packet; the hand-shakes of TLS and WebSocket before it have as much, each for itself. The answer to CONNECT comes within six times that, or the connection ends.',
    higher: 'devices on slow links get in; idle strangers hold a socket longer.',
    lower: 'strangers are gone sooner; slow hand-shakes fail.',
  }),
  connectMaxBytes: integer({
    min: 256,
    max: PACKET_BYTES_MAX,
    default: 16_384,
    description:
      'Largest CONNECT packet, will payload included. It is what a stranger can make the gateway hold before it is known; over WebSocket, where a message is awaited whole, that is `mqtt.packetMaxBytes`.',
    higher: 'longer wills and credentials; more memory for strangers.',
    lower: 'less memory for strangers; long wills are refused.',
  }),
  packetMaxBytes: integer({
    min: 1024,
    max: PACKET_BYTES_MAX,
    default: 1_048_576,
    description:
      'Largest packet from a client after CONNECT; told to MQTT 5 clients as Maximum Packet Size. A message of WebSocket may hold several packets, and 4 MiB more than this; one that is larger ends its connection (1009).',
    higher: 'larger messages; each may take that much memory per connection while it arrives.',
    lower: 'less memory per connection; larger messages end their connection.',
  }),
  keepAliveMaxS: integer({
    min: 0,
    max: 65535,
    default: 0,
    description:
      'Longest keep alive that a client may ask for; MQTT 5 clients above it, or without any, are told this value (Server Keep Alive). Those of 3.1 and 3.1.1 cannot be told, and are refused (not authorized, 5). 0 is no cap.',
    higher: 'less traffic on metered links; dead connections and their wills are noticed later.',
    lower: 'dead connections are noticed sooner; more PINGREQ; more clients of 3.1.1 are refused.',
  }),
  sessionExpiryMaxS: integer({
    min: 0,
    max: SECONDS_FOR_EVER,
    default: 604_800,
    description:
      'Longest time that the session of an absent client is kept, also for MQTT 3.1.1 clients with Clean Session 0. 0 and 4294967295 are no cap: it is kept for as long as its client asks for, that of a 3.1.1 client for ever.',
    higher: 'devices may stay away longer without loss; their queues stay.',
    lower: 'queues of lost devices go sooner.',
  }),
  receiveMaximum: integer({
    min: 1,
    max: 65535,
    default: 100,
    description:
      'QoS 1 and 2 publishes that a client may have unacknowledged towards the gateway (Receive Maximum).',
    higher: 'more throughput on long links; more state per client.',
    lower: 'publishers are held back sooner.',
  }),
  topicAliasMaximum: integer({
    min: 0,
    max: 65535,
    default: 32,
    description: 'Topic aliases that an MQTT 5 client may use towards the gateway. 0 is none.',
    higher: 'fewer bytes on the link; each alias holds a topic in memory per connection.',
    lower: 'less memory per connection.',
  }),
  outboundTopicAliasMaximum: integer({
    min: 0,
    max: 65535,
    default: 32,
    description:
      'Topic aliases that the gateway uses towards an MQTT 5 client, at most as many as the client allows. 0 is none.',
    higher: 'fewer bytes on the link; more memory per connection.',
    lower: 'more bytes, less memory.',
  }),
  topicMaxBytes: integer({
    min: 1,
    max: 65535,
    default: 512,
    description: 'Longest topic name or filter, in bytes of UTF-8.',
    higher: 'longer names; more memory per subscription and retained message.',
    lower: 'long names are refused (0x90, 0x8F).',
  }),
  topicMaxLevels: integer({
    min: 1,
    max: 65535,
    default: 16,
    description: 'Most levels (parts between `/`) of a topic name or filter.',
    higher: 'deeper names; look-ups of uncached topics take longer.',
    lower: 'deep names are refused (0x90, 0x8F).',
  }),
  clientIdMaxBytes: integer({
    min: 23,
    max: 65535,
    default: 256,
    description: 'Longest client identifier, in bytes of UTF-8; 23 must be allowed [MQTT-3.1.3-5].',
    higher: 'longer identifiers; more memory per session.',
    lower: 'long identifiers are refused (0x85).',
  }),
  retain: flag(true, {
    description: 'Whether messages may be retained. Off, a retained publish is refused (0x9A).',
  }),
});
