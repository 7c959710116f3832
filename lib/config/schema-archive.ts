import { z } from 'zod';
import { isValidTopicFilter } from '../protocol/topic.js';
import { BYTES_MAX, COUNT_MAX, KIB, MIB, SECONDS_FOR_EVER } from './bounds.js';
import { derivedInteger, flag, integer, note, path } from './field.js';

export const ARCHIVE_FORMATS = ['parquet', 'ndjson'] as const;
export const ARCHIVE_COMPRESSIONS = ['snappy', 'zstd', 'none'] as const;
export const ARCHIVE_PARTITIONS = ['day', 'hour'] as const;
export const ARCHIVE_WHEN_FULL = ['refuse', 'drop'] as const;

/** Another gateway of the mesh, by its name or the beginning of its id. */
const PEER_TARGET = /^mesh(?::[A-Za-z0-9][A-Za-z0-9._-]{0,63})?$/;
const TARGET = /^(?:file:\/\/\/[^#?]+|s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:\/[A-Za-z0-9_=%+,.~/-]*)?)$/;
const BUCKET =
  'the name of a bucket has 3 to 63 lower case letters, digits, dots and hyphens, the first and the last a letter or a digit';
/** `name=path.to.field:type`; elements of arrays by their number. */
const COLUMN = /^([A-Za-z_][A-Za-z0-9_]{0,62})=([^:=]+):(double|integer|boolean|text)$/;
/** Of every row. */
const OWN_COLUMNS = new Set([
  ...['time', 'site', 'origin', 'epoch', 'sequence', 'topic', 'qos', 'retain', 'properties', 'payload'],
  ...['json', 'date', 'hour', 'prefix'],
]);
const HOURS = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$/;
const LEVELS_MAX = 8;

export interface ParsedColumn {
  readonly name: string;
  readonly path: readonly string[];
  readonly type: 'double' | 'integer' | 'boolean' | 'text';
}

/** @param text as the schema takes it */
export function parseColumn(text: string): ParsedColumn {
  const [, name = '', found = '', type] = COLUMN.exec(text) ?? [];
  return { name, path: found.split('.'), type: type as ParsedColumn['type'] };
}

/** Minutes of a day; an end before its begin is of the next day. @param text as the schema takes it */
export function parseHours(text: string): { readonly from: number; readonly to: number } {
  const [, fromHour, fromMinute, toHour, toMinute] = (HOURS.exec(text) ?? []).map(Number);
  return { from: (fromHour ?? 0) * 60 + (fromMinute ?? 0), to: (toHour ?? 0) * 60 + (toMinute ?? 0) };
}

const column = z
  .string()
  .refine((text) => COLUMN.test(text), {
    message:
      'is not NAME=PATH:TYPE, as in temperature=sensor.celsius:double (double, integer, boolean, text)',
  })
  .refine((text) => !OWN_COLUMNS.has(parseColumn(text).name), {
    message: 'has the name of a column that every row has: choose another name',
  });

/** What is archived, and how it is laid out. */
const contents = {
  topics: z
    .array(
      z.string().refine((filter) => isValidTopicFilter(filter), {
        message: 'is not a topic filter: + stands for one whole level, # for all at the end',
      }),
    )
    .default([])
    .meta(
      note({
        description:
          'What is archived: messages that clients of this gateway published to topics of these filters. Those of QoS 0 wait for nothing and nothing waits for them: of a power cut the last second is missing, and so is what comes while the disk has no room (`sprawl_archive_not_logged_total`). A gateway that does nothing else syncs its disk for them once a second, however little comes. `$SYS` and `storage.memoryTopics` are not archived. What other gateways took in, they archive.',
        defaultText: 'none: there is no archive',
        limitText: 'a list of topic filters; a leading wildcard does not match topics that begin with `$`',
      }),
    ),
  target: z
    .string()
    .refine((text) => TARGET.test(text) || PEER_TARGET.test(text), {
      message: 'is neither file:///FOLDER nor s3://BUCKET[/PREFIX] nor mesh[:GATEWAY]',
    })
    .optional()
    .meta(
      note({
        description:
          'Where the archive is. All gateways of a mesh may use one: each writes under names of its own. `mesh`: that of another gateway of the mesh which has `archive.forPeers`, for one that has no way out of its own; `mesh:GATEWAY` names it, by its `mesh.site` or at least eight characters of its id. For `s3://` credentials come from where the tools of AWS take them: the environment, `~/.aws`, or the role of the machine.',
        defaultText: 'the folder `archive` in `dataDir`',
        limitText: `file:///FOLDER or s3://BUCKET[/PREFIX], or mesh[:GATEWAY]; ${BUCKET}`,
      }),
    ),
  format: z
    .enum(ARCHIVE_FORMATS)
    .default('parquet')
    .meta(note({ description: 'Of the files: Apache Parquet, or a line of JSON for each message.' })),
  compression: z
    .enum(ARCHIVE_COMPRESSIONS)
    .default('snappy')
    .meta(
      note({
        description:
          'Of Parquet files. `zstd` makes them smaller, takes more of the processor, and needs Node.js 22.15 or later.',
      }),
    ),
  columns: z
    .array(column)
    .default([])
    .meta(
      note({
        description:
          'Fields of JSON payloads that get a column of their own: `temperature=sensor.celsius:double`. Where a field is missing or of another type the column is empty; the payload is there in any case.',
        limitText: 'a list of NAME=PATH:TYPE with the types double, integer, boolean and text',
      }),
    ),
  partitionBy: z
    .enum(ARCHIVE_PARTITIONS)
    .default('day')
    .meta(note({ description: 'Whether the messages of a day, or of an hour (UTC), share files.' })),
  partitionTopicLevels: integer({
    min: 0,
    max: LEVELS_MAX,
    default: 1,
    description:
      'How many of the first levels of a topic name a folder of the archive, so that who reads a part of the topics opens no other files. 0: none does.',
    higher: 'readers of few topics read less; more and smaller files.',
    lower: 'fewer and larger files.',
  }),
};

/** Who can read it. */
const secrecy = {
  encryptionKeyFile: path({
    defaultText: 'none: nothing is encrypted',
    description:
      'File with the key that the files below `data/` in the archive are encrypted with (AES-256-GCM), and what `copyTarget` has: 64 hexadecimal digits, or base64, of 32 bytes. The first line is the current key, further lines are older ones that are still needed to read; after SIGHUP a new first line is in force. Without the key nobody reads them: keep a copy elsewhere. It is needed wherever the archive is read.',
  }),
  encryptionKey: z
    .string()
    .min(1)
    .optional()
    .meta(
      note({
        description:
          'The key itself, for an environment variable that a secret store fills. `archive.encryptionKeyFile` comes before it.',
        defaultText: 'none',
        secret: true,
      }),
    ),
};

/** When a file is made. */
const files = {
  fileMaxBytes: integer({
    min: 64 * KIB,
    max: 4096 * MIB,
    default: 64 * MIB,
    description: 'Log that goes into one entry of the archive at most.',
    higher: 'fewer and larger files; more space in `dataDir` while they are made.',
    lower: 'more and smaller files; less is made again after a crash.',
  }),
  fileMaxCount: integer({
    min: 1,
    max: COUNT_MAX,
    default: 1_000_000,
    description: 'The same in positions of the log, of which each message takes one.',
    higher: 'fewer and larger files.',
    lower: 'more and smaller files.',
  }),
  fileMaxAgeS: integer({
    min: 1,
    max: SECONDS_FOR_EVER,
    default: 900,
    description: 'How long a message waits until it is archived, where neither size nor count is reached.',
    higher: 'fewer and larger files.',
    lower: 'messages can be read from the archive sooner; more and smaller files.',
  }),
};

/** How it gets there, and what happens while it does not. */
const way = {
  uploadMaxBytesPerSecond: integer({
    min: 0,
    max: BYTES_MAX,
    default: 0,
    description: 'Bytes that go to the archive in a second. 0 is no limit.',
    higher: 'a backlog is gone sooner.',
    lower: 'more of the line is left to others; a backlog takes longer.',
  }),
  uploadHours: z
    .array(
      z.string().refine((text) => HOURS.test(text), {
        message: 'is not HH:MM-HH:MM from 00:00 to 23:59, such as 22:00-06:00',
      }),
    )
    .default([])
    .meta(
      note({
        description:
          'When messages are archived, in the time of this machine: `22:00-06:00`. What comes in between waits in the log.',
        defaultText: 'at any time',
        limitText: 'a list of HH:MM-HH:MM',
      }),
    ),
  backlogMaxBytes: derivedInteger({
    min: 0,
    max: BYTES_MAX,
    defaultText: 'half of `limits.diskMaxBytes`',
    description:
      'Log that waits to be archived. At 80 percent of it the gateway says that it is not well; what happens at 100 percent says `archive.whenFull`.',
    higher: 'the archive may be out of reach for longer.',
    lower: 'less space on the disk.',
  }),
  whenFull: z
    .enum(ARCHIVE_WHEN_FULL)
    .default('refuse')
    .meta(
      note({
        description:
          'When `archive.backlogMaxBytes` is reached. `refuse`: messages of QoS 1 and 2 are refused (quota exceeded) until there is room, and none is missing in the archive. `drop`: the oldest are given up for the archive, which says so; clients and other gateways get everything.',
      }),
    ),
};

/** Of `s3://`. */
const s3 = z.strictObject({
  endpoint: z
    .url({ protocol: /^https?$/ })
    .optional()
    .meta(
      note({
        description: 'Whoever speaks S3: `https://minio.example.org:9000`.',
        defaultText: 'AWS',
        limitText: 'an http or https URL',
      }),
    ),
  region: z
    .string()
    .min(1)
    .optional()
    .meta(note({ description: 'Region of the bucket.', defaultText: '`AWS_REGION`, or that of `~/.aws`' })),
  pathStyle: z
    .boolean()
    .optional()
    .meta(
      note({
        description:
          'Whether the bucket is named in the path and not in the host name, as most stores other than AWS want it.',
        defaultText: 'true where `endpoint` is set beside it',
      }),
    ),
  caFile: path({
    description: 'Certificates (PEM) that the endpoint is checked with besides those of Node.js.',
    defaultText: 'none',
  }),
  timeoutMs: integer({
    min: 1000,
    max: 3_600_000,
    default: 60_000,
    description: 'How long one request may take.',
    higher: 'slow lines get parts through.',
    lower: 'a line that hangs is noticed sooner.',
  }),
  partBytes: integer({
    min: 5 * MIB,
    max: 1024 * MIB,
    default: 8 * MIB,
    description: 'Larger files go in parts of this size.',
    higher: 'fewer requests; more memory.',
    lower: 'less is sent again after a fault; less memory.',
  }),
});

export const archiveSchema = z.strictObject({
  ...contents,
  ...secrecy,
  ...files,
  ...way,
  s3: s3.prefault({}).meta({ description: 'Where `archive.target` begins with `s3://`.' }),
  copyTarget: z
    .string()
    .refine((text) => TARGET.test(text), { message: 'is neither file:///FOLDER nor s3://BUCKET[/PREFIX]' })
    .optional()
    .meta(
      note({
        description:
          'A second archive with the same messages, in another region or on another disk. It is written from the log, not from the first one: each goes on while the other is out of reach.',
        defaultText: 'none',
        limitText: `file:///FOLDER or s3://BUCKET[/PREFIX]; ${BUCKET}`,
      }),
    ),
  forPeers: flag(false, {
    description:
      'Whether this gateway brings what others archive to `archive.target`, also where `archive.topics` is empty: those of the mesh whose own `archive.target` is `mesh`. Each writes and reads what is its own, and nothing else. It takes this gateway up to 64 MB of memory, with `s3://` some forty more, from the first request on.',
  }),
  copyS3: s3.prefault({}).meta({ description: 'Where `archive.copyTarget` begins with `s3://`.' }),
  standbyFor: z
    .array(z.string().min(1))
    .default([])
    .meta(
      note({
        description:
          'Other gateways of the mesh whose archive this one finishes when they do not come back: the name of a site, the first characters of an id (four at least), or `*` for all. What they take in and have not archived yet is copied to the log here. `archive.target` has to be the same archive as theirs.',
        defaultText: 'none',
        limitText: 'a list of names of sites, beginnings of ids, or `*`',
      }),
    ),
  standbyMaxBytes: derivedInteger({
    min: 0,
    max: BYTES_MAX,
    defaultText: 'an eighth of `limits.diskMaxBytes`',
    description:
      'Log of this gateway that is held for the copies of each gateway in `archive.standbyFor`; what comes into the log beside them counts. Half of it may be copies. Beyond it they are given up, and copied anew where that gateway still has what they are of.',
    higher: 'an archive that was out of reach for longer can be finished.',
    lower: 'less space on the disk.',
  }),
});
