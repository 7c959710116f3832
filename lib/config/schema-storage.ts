import { z } from 'zod';
import { isValidTopicFilter } from '../protocol/topic.js';
import { BYTES_MAX, KIB, MIB, SECONDS_FOR_EVER } from './bounds.js';
import { derivedInteger, integer, note, path } from './field.js';

/** How far an acknowledgement reaches on one gateway. */
export const DURABILITY_LEVELS = ['disk', 'memory'] as const;

export const storageSchema = z.strictObject({
  durability: z
    .enum(DURABILITY_LEVELS)
    .default('disk')
    .meta(
      note({
        description:
          'What an acknowledgement of QoS 1 and 2 promises: `disk`: it survives a crash and a loss of power; sessions, subscriptions and retained messages do, too. `memory`: nothing is written, and everything is gone with the process.',
      }),
    ),
  memoryTopics: z
    .array(
      z.string().refine((filter) => isValidTopicFilter(filter), {
        message: 'is not a topic filter: + stands for one whole level, # for all at the end',
      }),
    )
    .default([])
    .meta(
      note({
        description:
          'Topic filters whose messages are kept in memory only although `storage.durability` is `disk`: they are acknowledged without waiting for the disk, and gone after a crash.',
        limitText: 'a list of topic filters; a leading wildcard does not match topics that begin with `$`',
      }),
    ),
  encryptionKeyFile: path({
    defaultText: 'none: nothing is encrypted',
    description:
      'File with the key that everything in `dataDir` is encrypted with (AES-256-GCM), but for an archive, which has `archive.encryptionKeyFile`: 64 hexadecimal digits, or base64, of 32 bytes. The first line is the current key, further lines are older ones that are still needed; after SIGHUP a new first line is in force. Without the key nothing can be read: keep a copy elsewhere.',
  }),
  encryptionKey: z
    .string()
    .min(1)
    .optional()
    .meta(
      note({
        description:
          'The key itself, for an environment variable that a secret store fills. `storage.encryptionKeyFile` comes before it.',
        defaultText: 'none',
        secret: true,
      }),
    ),
  commitDelayMs: integer({
    min: 0,
    max: 1000,
    default: 0,
    description:
      'How long a write to the disk waits for more messages. With 0 it takes what came until the last write was done.',
    higher: 'fewer, larger writes: an SD card lives longer; acknowledgements come later by as much.',
    lower: 'acknowledgements come sooner; a card wears faster where little is published at a time.',
  }),
  segmentMaxBytes: integer({
    min: 64 * KIB,
    max: 4096 * MIB,
    default: 64 * MIB,
    description: 'Size of one file of the log. Space is freed file by file.',
    higher: 'fewer files.',
    lower: 'space is freed in smaller steps.',
  }),
  checkpointEveryBytes: integer({
    min: 64 * KIB,
    max: BYTES_MAX,
    default: 32 * MIB,
    description: 'Log that is written until the state of the sessions is written down.',
    higher: 'less is written; a restart after a crash reads more of the log.',
    lower: 'a restart after a crash is faster; more is written.',
  }),
  snapshotEveryBytes: integer({
    min: 64 * KIB,
    max: BYTES_MAX,
    default: 128 * MIB,
    description:
      'Log that is written until the state is copied to a snapshot, from which a damaged database is made again. The log is kept back to the second newest one.',
    higher: 'less is written; more of the log is kept.',
    lower: 'less of the log is kept; more is written.',
  }),
  keepMaxBytes: derivedInteger({
    min: 0,
    max: BYTES_MAX,
    defaultText: 'a quarter of `limits.diskMaxBytes`, at most 1073741824 (1 GiB)',
    description:
      'Messages that everybody has got are kept for look-ups by topic and time, until the log is this large. What somebody waits for is kept in any case.',
    higher: 'older messages can be looked up; more space on the disk.',
    lower: 'less space on the disk.',
  }),
  keepMaxAgeS: integer({
    min: 0,
    max: SECONDS_FOR_EVER,
    default: 604_800,
    description: 'The same by age: 604800 is a week.',
    higher: 'older messages can be looked up; more space on the disk.',
    lower: 'less space on the disk.',
  }),
});
