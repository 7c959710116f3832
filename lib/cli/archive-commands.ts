import {
  ARCHIVE_CAT_OPTIONS,
  ARCHIVE_FINISH_OPTIONS,
  ARCHIVE_LIFECYCLE_OPTIONS,
  ARCHIVE_COMPACT_OPTIONS,
  ARCHIVE_LS_OPTIONS,
  ARCHIVE_REPLAY_OPTIONS,
  ARCHIVE_VERIFY_OPTIONS,
} from './archive-options.js';
import type { Command } from './command.js';
import { ExitCode } from './exit-code.js';
import { MESH_STATUS_OPTIONS } from './mesh-options.js';

const NO_POSITIONALS = { min: 0, max: 0 } as const;
const WHICH_ARCHIVE =
  'The archive is that of --target, or archive.target of the configuration; for s3:// credentials come from the environment, ~/.aws, or the role of the machine; keys of encrypted files are those of archive.encryptionKeyFile. No gateway has to run. docs/archive.md explains what is in it.';

/** Commands for the archive, in the order of the help. */
export const ARCHIVE_COMMANDS: readonly Command[] = [
  {
    name: 'archive status',
    summary: 'Ask a running gateway how far its archive is.',
    usage: '[OPTIONS]',
    details: [
      'Prints where the archive is, through which other gateway it goes where the target is mesh, whether it works and why not, what waits in the log and for how long, and what was archived since the gateway started; what it archives for other gateways; and of each gateway that is kept for up to where its archive could be finished. Ends with 1 where the archive cannot be reached or has no room for more.',
    ],
    options: MESH_STATUS_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      { purpose: 'Of the gateway on this machine', line: 'sprawl-edge archive status' },
      { purpose: 'For a program', line: 'sprawl-edge archive status --json' },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) =>
      (await import('./archive-status.js')).runArchiveStatus(invocation, world),
  },
  {
    name: 'archive ls',
    summary: 'Show what an archive holds.',
    usage: '[OPTIONS]',
    details: [
      'Prints for each gateway that has archived something: its id, manifest entries, objects, messages, bytes, the first and the last day, and the position of its log up to which everything is archived. Where files are encrypted, also the ids of the keys that are needed. Only manifests are read. Times and filters choose objects by their folders: some messages in them may be others.',
      WHICH_ARCHIVE,
    ],
    options: ARCHIVE_LS_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      { purpose: 'Of the gateway whose data folder this is', line: 'sprawl-edge archive ls' },
      {
        purpose: 'The files of the last three days of a bucket',
        line: 'sprawl-edge archive ls --target s3://plant-archive/edge --from -3d --objects',
      },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./archive-ls.js')).runArchiveLs(invocation, world),
  },
  {
    name: 'archive cat',
    summary: 'Print archived messages.',
    usage: '[-t FILTER...] [--from TIME] [--to TIME] [OPTIONS]',
    details: [
      'Prints a line of JSON for each message: time, site, origin, epoch, sequence, topic, qos, retain, properties where it has some, and the payload as json where it is JSON, as text where it is UTF-8, else as base64. With -v, -F and --payload-only it prints what "sprawl-edge sub" prints.',
      'The order is by gateway, then as it was archived, file by file. Each file is checked against its checksum before the first message of it is printed: one that is missing or was changed ends it with 1.',
      WHICH_ARCHIVE,
    ],
    options: ARCHIVE_CAT_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      {
        purpose: 'What did the door say yesterday?',
        line: "sprawl-edge archive cat -t 'site/door/#' --from -2d --to -1d -v",
      },
      {
        purpose: 'With time and topic, as CSV of a sort',
        line: "sprawl-edge archive cat -t 'site/+/temperature' -F '%I,%t,%p'",
      },
      { purpose: 'The first ten', line: 'sprawl-edge archive cat --limit 10' },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./archive-cat.js')).runArchiveCat(invocation, world),
  },
  {
    name: 'archive verify',
    summary: 'Prove that an archive is complete, or name what is missing.',
    usage: '[--deep] [--log] [OPTIONS]',
    details: [
      'Checks the manifest of each gateway: numbers without a gap, each entry with the hash of the one before, positions that follow each other, pages that are the same as the entries; and that every object which is named is there with its length. With --deep it reads every object: its SHA-256, how many rows, each position within its entry and once. Names every fault; positions that a log had lost before they were archived, as the manifests tell; and as a note objects that no manifest names (litter: see docs/archive.md), those that a merge has replaced, and encrypted ones whose rows it could not look at, since their key is not configured. Merges are checked as entries are, and what they replaced may be gone.',
      'With --log it also compares the archive of one gateway with its log, as far as the log still has what was archived: each message of archived topics is in one row, with the same topic, QoS, retain flag, time, properties and payload, and there is no other row. It names each that is missing, twice, or differs, and each row that the log knows nothing of, by position, life and topic. The log is that of the data folder (--data-dir): of a gateway that runs it is asked for over HTTP, a little at a time, and only on its own machine; a folder that is not in use is read, and no gateway starts on it meanwhile. What waits to be archived is a note.',
      'Changes nothing. Ends with 0 where all is well, with 1 where something is not. How far it is goes to standard error.',
      WHICH_ARCHIVE,
    ],
    options: ARCHIVE_VERIFY_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      { purpose: 'Is everything there?', line: 'sprawl-edge archive verify' },
      {
        purpose: 'And is it what was written?',
        line: 'sprawl-edge archive verify --deep --target s3://plant-archive/edge',
      },
      {
        purpose: 'Does it have all that this gateway took in?',
        line: 'sprawl-edge archive verify --log --data-dir /var/lib/sprawl',
      },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) =>
      (await import('./archive-verify.js')).runArchiveVerify(invocation, world),
  },
  {
    name: 'archive compact',
    summary: 'Merge the small objects of an archive, and remove what was replaced.',
    usage: '[OPTIONS]',
    details: [
      'Makes one object of the small ones of each folder, up to --target-bytes, in files below the folder for temporary files (TMPDIR). What it wrote it reads back, row by row, before a merge record says that it replaces the old objects: those stay for --grace, and a later run removes them, and litter. Entries of manifests stay for ever.',
      'Gateways may archive, and others read or compact, at the same time. It may be interrupted anywhere: run it again. Where anything is damaged or missing it ends with 1, and removes nothing.',
      'How far it is goes to standard error. It has to write and to remove objects. ' + WHICH_ARCHIVE,
    ],
    options: ARCHIVE_COMPACT_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      { purpose: 'Once a day', line: 'sprawl-edge archive compact --target s3://plant-archive/edge' },
      { purpose: 'What would it do?', line: 'sprawl-edge archive compact --dry-run' },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) =>
      (await import('./archive-compact.js')).runArchiveCompact(invocation, world),
  },
  {
    name: 'archive finish',
    summary: 'Finish the archive of a gateway that is gone.',
    usage: 'GATEWAY [OPTIONS]',
    details: [
      'Asks a running gateway that keeps copies for GATEWAY (archive.standbyFor) to bring what is not archived yet into the archive of that gateway: a site, or the first characters of an id. It goes on in the background: "sprawl-edge archive status" shows how far it is. "sprawl-edge evict" begins the same by itself at every gateway that keeps for it.',
      'Nothing is claimed that is not known: the archive ends where the copies do. A gateway that comes back after all goes on behind that, and nothing is archived twice.',
    ],
    options: ARCHIVE_FINISH_OPTIONS,
    positionals: { min: 1, max: 1 },
    examples: [
      {
        purpose: 'The gateway of the mill has burnt',
        line: 'sprawl-edge archive finish mill --give-up-rest',
      },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) =>
      (await import('./archive-finish.js')).runArchiveFinish(invocation, world),
  },
  {
    name: 'archive replay',
    summary: 'Publish archived messages again.',
    usage: '[-t FILTER...] [--from TIME] [--to TIME] [--speed SPEED] [OPTIONS]',
    details: [
      'Publishes to any MQTT broker, with the QoS that the messages had and, with -V 5, their properties; topics get "replay/" before them, so that they are not taken for new ones. The order is that in which each gateway took its messages in, and between gateways by time.',
      'Publish to a gateway that does not archive replay/#, or the archive grows by itself. Ctrl-C waits up to two seconds for what is in flight, a second one does not, and prints the time to go on from: that of the first message which was not acknowledged.',
      'Exit codes are those of "sprawl-edge pub", but 2 for a wrong command line, 130 after Ctrl-C, and 143 after SIGTERM.',
      WHICH_ARCHIVE,
    ],
    options: ARCHIVE_REPLAY_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      {
        purpose: 'Yesterday once more, in a tenth of the time, for a test',
        line: "sprawl-edge archive replay -t 'site/#' --from -2d --to -1d --speed 10 -h test.local",
      },
      {
        purpose: 'Under the old topics, as fast as the broker takes it',
        line: 'sprawl-edge archive replay --from -1h --prefix "" --speed max -V 5',
      },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) =>
      (await import('./archive-replay.js')).runArchiveReplay(invocation, world),
  },
  {
    name: 'archive lifecycle',
    summary: 'Show, check or set the rules of the bucket that an archive is in.',
    usage: '[show|check|set] [OPTIONS]',
    details: [
      'show (which is the default) prints the lifecycle rules of the bucket that are about the archive, whether it has versions, and uploads that were begun and never finished. check tells what is dangerous or missing and ends with 1 where something is: rules that remove manifests, or archived data before --keep-days; rules that move manifests where they cannot be read at once; no rule that aborts unfinished uploads; versions that are kept for ever. What may be meant is a warning, and ends with 0.',
      'set writes rules of its own beside those of others, which stay as they are: one that aborts unfinished uploads, and what the options ask for. Rules that an earlier set wrote for this archive and that are not asked for any more go. Their ids begin with sprawl-edge-. Nobody else should write rules at the same time: S3 lets the last one win.',
      'A folder (file://) has no rules: it says so and ends with 0.',
      WHICH_ARCHIVE,
    ],
    options: ARCHIVE_LIFECYCLE_OPTIONS,
    positionals: { min: 0, max: 1 },
    examples: [
      {
        purpose: 'Do the rules of the bucket leave an archive of five years alone?',
        line: 'sprawl-edge archive lifecycle check --keep-days 1826 --target s3://plant-archive/edge',
      },
      {
        purpose: 'Unfinished uploads go after a week, data is cheaper after a quarter of a year',
        line: 'sprawl-edge archive lifecycle set --transition GLACIER_IR:90',
      },
      {
        purpose: 'Unfinished uploads of a store that has no rules',
        line: 'sprawl-edge archive lifecycle --abort-older-than 2',
      },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) =>
      (await import('./archive-lifecycle.js')).runArchiveLifecycle(invocation, world),
  },
];
