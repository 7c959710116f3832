import type { Command } from './command.js';
import { ExitCode } from './exit-code.js';
import { DATA_OPTIONS, RESTORE_OPTIONS, STATS_OPTIONS } from './storage-options.js';

const NO_POSITIONALS = { min: 0, max: 0 } as const;
const ONE_POSITIONAL = { min: 1, max: 1 } as const;
const WHICH_FOLDER =
  'The folder is that of --data-dir, or dataDir of the configuration. docs/storage.md explains what is in it.';
const STOPPED = 'The gateway has to be stopped: a folder that is in use is refused, with exit code 2.';

/** Commands for the data folder, in the order of the help. */
export const STORAGE_COMMANDS: readonly Command[] = [
  {
    name: 'storage stats',
    summary: 'Show what a data folder holds.',
    usage: '[OPTIONS]',
    details: [
      'Prints identity, segments of the log with their positions and age, records by their type, what is in the database, snapshots and free space. Changes nothing. Where a gateway uses the folder the database is left out; "sprawl-edge status" asks the gateway.',
      WHICH_FOLDER,
    ],
    options: STATS_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      { purpose: 'Of the folder in the working directory', line: 'sprawl-edge storage stats' },
      { purpose: 'For a program', line: 'sprawl-edge storage stats --data-dir /var/lib/sprawl --json' },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./storage-stats.js')).runStorageStats(invocation, world),
  },
  {
    name: 'storage verify',
    summary: 'Read every byte of a data folder and name what is damaged.',
    usage: '[OPTIONS]',
    details: [
      'Checks each record, the chain over all of them, the ends of segments, every entry of the database and the snapshots. For each fault it prints the file, the bytes, the positions in the log that are lost and, where the database knows it, which clients wait for them. Changes nothing. Ends with 0 where all is well, with 1 where something is damaged.',
      'While a gateway uses the folder, what it has committed is checked and the database is left out. While a stopped folder is checked no gateway starts on it. It works on a backup as well.',
      WHICH_FOLDER,
    ],
    options: DATA_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      { purpose: 'After a loss of power', line: 'sprawl-edge storage verify --data-dir /var/lib/sprawl' },
      { purpose: 'A backup', line: 'sprawl-edge storage verify --data-dir /mnt/backup' },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) =>
      (await import('./storage-verify.js')).runStorageVerify(invocation, world),
  },
  {
    name: 'storage repair',
    summary: 'Make a damaged data folder one that a gateway starts on.',
    usage: '[OPTIONS]',
    details: [
      'Makes identity.json, headers of segments and the database again from what is left, sets aside what cannot be used under another name, and removes what was never finished. It deletes nothing that was acknowledged. Prints what it did and what is lost. Running it again changes nothing more.',
      `A gateway that starts does most of this by itself; this is for a folder on which it does not start, or for one of which "sprawl-edge storage verify" reports faults. ${STOPPED}`,
      WHICH_FOLDER,
    ],
    options: DATA_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      {
        purpose: 'A gateway that does not start any more',
        line: 'sprawl-edge storage repair --data-dir /var/lib/sprawl',
      },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) =>
      (await import('./storage-repair.js')).runStorageRepair(invocation, world),
  },
  {
    name: 'storage compact',
    summary: 'Make a data folder as small as it may be.',
    usage: '[OPTIONS]',
    details: [
      `Writes a snapshot, removes segments of the log that nobody needs and that storage.keepMaxBytes and storage.keepMaxAgeS do not keep, and writes the database anew. The log is kept back to the second newest snapshot. ${STOPPED}`,
      WHICH_FOLDER,
    ],
    options: DATA_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      {
        purpose: 'Without messages that are kept for look-ups',
        line: 'sprawl-edge storage compact --set storage.keepMaxBytes=0',
      },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) =>
      (await import('./storage-compact.js')).runStorageCompact(invocation, world),
  },
  {
    name: 'backup',
    summary: 'Copy the data folder, also of a running gateway.',
    usage: 'FOLDER [OPTIONS]',
    details: [
      'Copies everything that was acknowledged before it began to FOLDER, which is new, empty, or holds an earlier backup of the same gateway: then only what is new is copied. It reads back what it wrote; backup.json, with checksums, is written last. Run it again where it was interrupted: what is copied stays. How far it is goes to standard error.',
      'Of a gateway in a mesh it has the identity and the swarm key, which are secrets: the files are for their owner alone; keep them so.',
      'The configuration, password and ACL files, and the master key of an encrypted folder, are not in the data folder and not in the backup.',
      WHICH_FOLDER,
    ],
    options: DATA_OPTIONS,
    positionals: ONE_POSITIONAL,
    examples: [
      {
        purpose: 'To another disk, every night from cron',
        line: 'sprawl-edge backup /mnt/backup/gateway --data-dir /var/lib/sprawl',
      },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./backup.js')).runBackup(invocation, world),
  },
  {
    name: 'restore',
    summary: 'Make a data folder from a backup.',
    usage: '{FOLDER | --from-archive} [OPTIONS]',
    details: [
      'Makes the data folder from the backup in FOLDER and checks every file against its checksum. A data folder that holds data is refused, unless --force moves it aside. No gateway starts on a folder that is only half restored; run it again where it was interrupted.',
      'With --from-archive and no FOLDER it makes one from what the gateway archived: the retained messages, as they were archived last, and of the messages of QoS 1 and 2 the newest ones, as far as the gateway keeps them to be looked up by topic and time. Where that was interrupted it begins again. Sessions and what waited for them are in no archive; the gateway begins with a new identity, and joins its mesh again with "sprawl-edge join".',
      'Never run the old gateway and the restored one at the same time: both would answer for the same sessions.',
      WHICH_FOLDER,
    ],
    options: RESTORE_OPTIONS,
    positionals: { min: 0, max: 1 },
    examples: [
      {
        purpose: 'A gateway that burnt down, from its bucket',
        line: 'sprawl-edge restore --from-archive --target s3://plant-archive/edge --origin 7f3a0b12 --data-dir /var/lib/sprawl',
      },
      {
        purpose: 'To a new card',
        line: 'sprawl-edge restore /mnt/backup/gateway --data-dir /media/card/sprawl',
      },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./backup.js')).runRestore(invocation, world),
  },
];
