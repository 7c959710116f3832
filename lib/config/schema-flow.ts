import { z } from 'zod';
import { LOG_LEVELS } from '../contracts/logger.js';
import { BYTES_MAX, COUNT_MAX, KIB, MIB, SECONDS_FOR_EVER } from './bounds.js';
import { derivedInteger, integer, note } from './field.js';

/** Log line formats. */
export const LOG_FORMATS = ['text', 'json'] as const;

export const deliverySchema = z.strictObject({
  windowMax: integer({
    min: 1,
    max: 65535,
    default: 100,
    description:
      'QoS 1 and 2 messages in flight towards one client, at most as many as its Receive Maximum allows.',
    higher: 'more throughput on long links; more is sent again after a reconnect.',
    lower: 'less memory per client; slow links are used less.',
  }),
  clientQueueMaxCount: derivedInteger({
    min: 1,
    max: COUNT_MAX,
    defaultText: '1000000, or 10000 where `storage.durability` is `memory`',
    description:
      'Messages that wait for one client, connected or not. When it is full, new messages for that client are dropped and counted (queue_full).',
    higher: 'longer absences without loss; more space on the disk, or memory.',
    lower: 'one client can take less; loss comes sooner.',
  }),
  clientQueueMaxBytes: derivedInteger({
    min: KIB,
    max: BYTES_MAX,
    defaultText:
      'a quarter of `limits.diskMaxBytes`, or `mqtt.packetMaxBytes` where that is more; where `storage.durability` is `memory` 16777216 (16 MiB), or `mqtt.packetMaxBytes` where that is more, but at most `limits.memoryMaxBytes`',
    description:
      'Bytes that wait for one client. When it is full, new messages for that client are dropped and counted (queue_full).',
    higher: 'longer absences without loss; more space on the disk, or memory.',
    lower: 'one client can take less; loss comes sooner.',
  }),
  clientOutputMaxBytes: integer({
    min: KIB,
    max: BYTES_MAX,
    default: 4 * MIB,
    description:
      'Bytes handed to the socket of one client that it has not taken yet. Above it QoS 0 messages for that client are dropped (slow_consumer); while others wait in its queue, above 131072 already. Others wait there from 262144 on, whatever is set here.',
    higher: 'bursts to slow clients survive; more memory per slow client.',
    lower: 'slow clients lose QoS 0 messages sooner.',
  }),
  writeTimeoutMs: integer({
    min: 0,
    max: 86_400_000,
    default: 60_000,
    description:
      'A client that takes nothing of its output for so long is disconnected; its session stays. 0 keeps it for ever.',
    higher: 'longer stalls are survived; more memory is held for clients that are gone.',
    lower: 'memory is freed sooner; slow links are cut.',
  }),
  messageExpiryMaxS: integer({
    min: 0,
    max: SECONDS_FOR_EVER,
    default: 0,
    description:
      'How long QoS 1, QoS 2 and retained messages are kept for whoever has not got them yet, whatever Message Expiry Interval they came with, if any: what clients and an embedder publish, wills (from when they are published) and dead letters, but not the $SYS topics of the gateway, nor what is restored from an archive. What is older is not delivered and counted (expired). In a mesh the limit of the gateway where a message is published holds; what is stored keeps the limit it was stored with. 0 is no limit.',
    higher: 'longer absences without loss; more space on the disk, or memory.',
    lower: 'clients that come back are not flooded with what is of no use any more.',
  }),
  redeliveryMaxCount: integer({
    min: 1,
    max: 250,
    default: 16,
    description:
      'How often one message may be sent again to a client that does not acknowledge it, over its reconnects and retries, before it goes to `delivery.deadLetterTopic`. A restart of the gateway counts anew.',
    higher: 'flaky links get more chances; a message that crashes its device crashes it more often.',
    lower: 'poison messages go sooner; flaky links lose messages to the dead-letter topic.',
  }),
  retryInitialMs: integer({
    min: 1000,
    max: 3_600_000,
    default: 30_000,
    description:
      'How long a connected 3.1 or 3.1.1 client may leave a QoS 1 or 2 message unacknowledged before it is sent again; doubles with each try up to `delivery.retryMaxMs`. MQTT 5 clients get it again when they reconnect.',
    higher: 'slow clients are not sent the same message twice.',
    lower: 'a message that a client lost comes again sooner; slow clients get duplicates.',
  }),
  retryMaxMs: integer({
    min: 1000,
    max: 86_400_000,
    default: 300_000,
    description: 'Longest wait between such tries.',
    higher: 'less is sent to clients that do not acknowledge.',
    lower: 'an unacknowledged message reaches the dead-letter topic sooner.',
  }),
  deadLetterTopic: z
    .string()
    .regex(/^(?![$])[^+#\0]*$/)
    .default('sprawl/dead-letter')
    .meta(
      note({
        description:
          'Topic to which messages that cannot be delivered are published again. Empty is off: they are counted and dropped.',
        limitText: 'a topic name without wildcards that does not begin with $, or empty (off)',
      }),
    ),
});

export const limitsSchema = z.strictObject({
  connectionsMax: derivedInteger({
    min: 1,
    max: COUNT_MAX,
    defaultText:
      '10000, or less: `limits.sessionsMax`, one per 50 KiB of memory, or what the limit of open files leaves',
    description: 'Connections at one time. Further ones are closed at once until one ends.',
    higher: 'more devices; about 20 KB each, and a file descriptor.',
    lower: 'a storm is cut off earlier.',
  }),
  sessionsMax: integer({
    min: 1,
    max: COUNT_MAX,
    default: 100_000,
    description:
      'Sessions, those of absent clients included. Beyond it clients that need a new one are refused (0x97).',
    higher: 'more absent devices are remembered; more memory.',
    lower: 'less memory; new devices are refused sooner.',
  }),
  subscriptionsPerClientMax: integer({
    min: 1,
    max: COUNT_MAX,
    default: 100,
    description: 'Subscriptions of one client. Further ones are refused (0x97).',
    higher: 'gateways and bridges with many filters; more memory and slower look-ups.',
    lower: 'one client can cost less.',
  }),
  filtersPerSubscribeMax: integer({
    min: 1,
    max: 1_000_000,
    default: 100,
    description: 'Filters in one SUBSCRIBE packet. All filters of a packet with more are refused (0x97).',
    higher: 'fewer packets for clients with many filters; longer work in one turn.',
    lower: 'one packet can cost less.',
  }),
  retainedMaxCount: integer({
    min: 0,
    max: COUNT_MAX,
    default: 100_000,
    description: 'Retained messages. Beyond it a retained publish to a new topic is refused (0x97).',
    higher: 'more topics keep a last value; more memory.',
    lower: 'less memory.',
  }),
  retainedMaxBytes: derivedInteger({
    min: 0,
    max: BYTES_MAX,
    defaultText:
      '134217728 (128 MiB), or a quarter of what Node.js may use (`--max-old-space-size`) where that is less',
    description:
      'Memory of all retained messages: of each its payload, its properties, its topic and 812 bytes for what is kept beside them. Beyond it a retained publish to a new topic is refused (0x97), and one that replaces a message by a larger one. What a gateway has at its start stays.',
    higher: 'more and larger last values; more memory.',
    lower: 'less memory.',
  }),
  retainedPerClientMaxCount: integer({
    min: 0,
    max: COUNT_MAX,
    default: 10_000,
    description:
      'Retained messages that one client, by its id, may hold, connected or not. With so many, its retained publish to a further topic is refused (0x97). Clients that leave their id to the gateway count as one. 0 is no limit.',
    higher:
      'bridges that publish for many devices keep more topics; one client can take more of `limits.retainedMaxCount` from the others.',
    lower: 'one client can take less; bridges are refused sooner.',
  }),
  memoryMaxBytes: derivedInteger({
    min: MIB,
    max: BYTES_MAX,
    defaultText:
      '80 % of the memory of the machine or container less 268435456 (256 MiB) for the process itself, at most 60 % of what Node.js may use (`--max-old-space-size`), at least 16777216 (16 MiB)',
    description:
      'Budget for copies of messages in memory, all queues together. When it is used up, what is on the disk is read back when its turn comes; what is in memory only is dropped and counted (memory), and where that does not make room QoS 1 and 2 publishers are refused as with `limits.diskMaxBytes`.',
    higher: 'less is read back; the process may be killed when the machine runs out.',
    lower: 'more room for others on the machine; more is read back.',
  }),
  diskMaxBytes: derivedInteger({
    min: 1 * MIB,
    max: BYTES_MAX,
    defaultText: 'half of the file system of `dataDir`',
    description:
      'Size of the log. Beyond it QoS 1 and 2 publishers are refused: 0x97 in MQTT 5, held without an acknowledgement in 3.1.1; both go on by themselves when there is room again.',
    higher: 'longer absences of clients and links are bridged.',
    lower: 'more room for others on the disk.',
  }),
  diskReserveBytes: derivedInteger({
    min: 0,
    max: BYTES_MAX,
    defaultText: '5 % of the file system of `dataDir`, at most 1073741824 (1 GiB)',
    description:
      'Free space of the file system below which publishers are refused as with `limits.diskMaxBytes`.',
    higher: 'others on the disk are safer.',
    lower: 'more of the disk is used.',
  }),
  pendingMaxBytes: integer({
    min: 64 * KIB,
    max: BYTES_MAX,
    default: 64 * MIB,
    description:
      'Bytes that wait for the disk. Beyond it publishers are refused as with `limits.diskMaxBytes`: the disk is slower than they are.',
    higher: 'a disk that stalls is bridged for longer; more memory.',
    lower: 'less memory; publishers are slowed down sooner.',
  }),
  pendingWillsMax: integer({
    min: 0,
    max: COUNT_MAX,
    default: 10_000,
    description:
      'Wills that wait for their Will Delay Interval. Beyond it a will is published without its delay.',
    higher: 'more devices may be away with a delayed will; more memory.',
    lower: 'less memory; wills of a large outage come early.',
  }),
  willsPerSecondMax: integer({
    min: 0,
    max: COUNT_MAX,
    default: 1000,
    description:
      'Will messages published in a second; a second worth of them may come at once, the others follow in order. 0 is no limit.',
    higher: 'watchers learn of a large outage at once, in one burst.',
    lower: 'a large outage is spread over more seconds.',
  }),
  handshakesMax: integer({
    min: 1,
    max: COUNT_MAX,
    default: 1000,
    description:
      'Connections whose CONNECT is not answered yet, those included that are still in the hand-shake of TLS or WebSocket. Further ones are closed at once.',
    higher: 'a reconnect storm is over sooner; strangers can hold more.',
    lower: 'strangers can hold less; more devices have to retry in a storm.',
  }),
  connectsPerSecondMax: integer({
    min: 0,
    max: COUNT_MAX,
    default: 2000,
    description:
      'CONNECT packets looked at in a second; the worth of three seconds may come at once. Beyond it clients are refused (0x9F) before their credentials are checked, up to 2 s late at random so that they do not come back together. 0 is no limit.',
    higher:
      'a reconnect storm is over sooner; those who are connected wait longer for their messages while it lasts.',
    lower:
      'those who are connected notice less of a storm; it lasts longer, and fewer strangers that connect in a loop can keep devices out.',
  }),
  takeoversMaxCount: integer({
    min: 1,
    max: 100_000,
    default: 10,
    description:
      'How often connections of one client id may replace each other within 10 s. Beyond it the newer one is refused (0x9F): two devices with one id cannot storm.',
    higher: 'devices that reconnect very often get in.',
    lower: 'twins are stopped sooner.',
  }),
  handshakesPerAddressMax: integer({
    min: 1,
    max: COUNT_MAX,
    default: 500,
    description: 'The same as `limits.handshakesMax` for one remote address.',
    higher: 'many devices behind one address get in sooner after an outage.',
    lower: 'one stranger can hold less.',
  }),
  routeCacheMaxCount: integer({
    min: 0,
    max: COUNT_MAX,
    default: 16_384,
    description: 'Topics whose subscribers are remembered.',
    higher: 'fewer look-ups where many topics are in use; more memory.',
    lower: 'less memory; more look-ups.',
  }),
});

export const sysSchema = z.strictObject({
  intervalS: integer({
    min: 0,
    max: 86_400,
    default: 10,
    description: 'Seconds between updates of `$SYS/broker/#`. 0 is off.',
    higher: 'less traffic to those who watch.',
    lower: 'fresher figures.',
  }),
});

export const logSchema = z.strictObject({
  level: z
    .enum(LOG_LEVELS)
    .default('info')
    .meta(note({ description: 'Least important lines that are written.' })),
  format: z
    .enum(LOG_FORMATS)
    .default('text')
    .meta(note({ description: 'Lines for people (text) or one JSON object per line (json).' })),
});

export const shutdownSchema = z.strictObject({
  drainTimeoutMs: integer({
    min: 0,
    max: 3_600_000,
    default: 5000,
    description:
      'Time that clients get at SIGTERM to take what was sent to them, acknowledgements included, before their connections are cut. What they answer meanwhile is not read any more.',
    higher: 'clients on slow links get more of it; a stop takes longer where one does not read.',
    lower: 'a stop is faster.',
  }),
});
