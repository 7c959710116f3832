import { ARCHIVE_COMMANDS } from './archive-commands.js';
import type { Command } from './command.js';
import { PUB_OPTIONS, SUB_OPTIONS } from './client/client-options.js';
import { CONFIG_OPTIONS } from './config-options.js';
import { ExitCode } from './exit-code.js';
import { IMPORT_OPTIONS } from './import/import-options.js';
import { MESH_COMMANDS } from './mesh-commands.js';
import { PASSWD_OPTIONS } from './passwd-options.js';
import { STATUS_OPTIONS } from './status-options.js';
import { STORAGE_COMMANDS } from './storage-commands.js';

const NO_POSITIONALS = { min: 0, max: 0 } as const;

const CLIENT_EXIT_CODES =
  'Exit codes: 0 done; 1 no connection, or a wrong command line; otherwise the code with which the broker refused the connection, the publish or the subscription (MQTT 3.1.1: 1 to 5, and 128 for a subscription; MQTT 5: 128 to 162, e.g. 135 for "not authorized").';
const RECONNECTS = 'A connection that breaks later is made again every second until it works.';

/** Every command, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  {
    name: 'up',
    summary: 'Start a gateway.',
    usage: '[OPTIONS]',
    details: [
      'Without options the gateway serves programs on this machine: MQTT on port 1883, MQTT over WebSocket on 8083 (path /mqtt), health and metrics over HTTP on 8880. It runs until Ctrl-C or SIGTERM, which gives clients time to take what is in flight; a second one ends it at once. SIGHUP reads the password, ACL, encryption key and TLS files again.',
      'To let devices of the network in, say who may connect (--password-file) or that everybody may (--allow-anonymous), and open an address (--listen).',
      'Flags win over SPRAWL_SECTION__KEY environment variables, those over the file, the file over defaults. docs/configuration.md describes every key; "sprawl-edge config show" prints the effective ones.',
    ],
    options: CONFIG_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      { purpose: 'For programs on this machine', line: 'sprawl-edge up' },
      {
        purpose: 'For every device of the network, without passwords: for a try-out',
        line: 'sprawl-edge up --listen 0.0.0.0 --allow-anonymous',
      },
      {
        purpose: 'With passwords and permissions',
        line: 'sprawl-edge up --listen 0.0.0.0 --password-file passwords --acl-file acl',
      },
      {
        purpose: 'From a file, with one key changed',
        line: 'sprawl-edge up --config sprawl.yaml --set log.format=json',
      },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./up.js')).runUp(invocation, world),
  },
  {
    name: 'status',
    summary: 'Ask a running gateway how it is.',
    usage: '[OPTIONS]',
    details: [
      'Prints in short whether the gateway is ready, who is connected, what waits, what it has on disk, how long a memory card will last under it, and how its mesh is. Ends with 0 where it is ready, with 1 where it is not or does not answer.',
      'The life of a card is an order of magnitude: what the gateway has written since it started, at the same rate, to a card whose cells take 500 writes, with a journal and the moving of blocks by the card counted as twice as much. Look after a day, not after a minute.',
      'With --mesh it lists every gateway of the mesh, this one first, with what each says of itself: any one can be asked for all. "sprawl-edge peers" and "links" say more of the ways to them.',
    ],
    options: STATUS_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      { purpose: 'Of the gateway on this machine', line: 'sprawl-edge status' },
      { purpose: 'And of all others of its mesh', line: 'sprawl-edge status --mesh' },
      { purpose: 'For a program', line: 'sprawl-edge status --json' },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./status.js')).runStatus(invocation, world),
  },
  {
    name: 'doctor',
    summary: 'Look at this machine: can a gateway run here, and be reached?',
    usage: '[--json] [OPTIONS]',
    details: [
      'Says for each check ok, warn, fail or skip, what was measured, and what to do: Node.js and the system, the packages with machine code, the data folder with its free space and the speed of its disk, the clock, the ports, the mesh and its key files, whether others reach this machine through its router, each --peer, and whether the archive answers. It needs no gateway that runs, and no root; it changes nothing, prints no secret and ends within ten seconds.',
      'The disk is measured with up to 100 writes of 4 KiB to a file that is removed again. The hash table is asked only where a gateway with this configuration would use it: never where mesh.bootstrap is "none", and its public nodes only by a member of a mesh. Takes the options of "up". Ends with 1 where a check failed, else with 0.',
    ],
    options: [...CONFIG_OPTIONS, { long: 'json', description: 'Print it for programs.' }],
    positionals: NO_POSITIONALS,
    examples: [
      { purpose: 'Before the first start', line: 'sprawl-edge doctor' },
      {
        purpose: 'Why does it not meet the others?',
        line: 'sprawl-edge doctor --config sprawl.yaml --peer 10.0.0.7:4430',
      },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./doctor/doctor.js')).runDoctor(invocation, world),
  },
  ...MESH_COMMANDS,
  {
    name: 'config check',
    summary: 'Check the configuration without starting anything.',
    usage: '[OPTIONS]',
    details: [
      'Prints "configuration ok" and ends with 0, or prints the first mistake with its file and line and ends with 2. The files that the configuration names (passwords, ACL, certificates, keys) are read, too, and a certificate that ends within two weeks is warned of on standard error: run it as the user of the gateway. Takes the options of "up".',
    ],
    options: CONFIG_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [{ purpose: 'Before a restart', line: 'sprawl-edge config check --config sprawl.yaml' }],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./config-command.js')).runConfigCheck(invocation, world),
  },
  {
    name: 'config show',
    summary: 'Print every key with its value and where that came from.',
    usage: '[OPTIONS]',
    details: ['The output is a file that --config takes. Takes the options of "up". Secrets are masked.'],
    options: CONFIG_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      {
        purpose: 'What would this start?',
        line: 'sprawl-edge config show --config sprawl.yaml --mqtt-port 1884',
      },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./config-command.js')).runConfigShow(invocation, world),
  },
  {
    name: 'config schema',
    summary: 'Print the JSON Schema of the configuration file.',
    usage: '',
    details: ['Editors use it to complete and check the file.'],
    options: [],
    positionals: NO_POSITIONALS,
    examples: [{ purpose: 'For an editor', line: 'sprawl-edge config schema > sprawl.schema.json' }],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) =>
      (await import('./config-command.js')).runConfigSchema(invocation, world),
  },
  {
    name: 'import',
    summary: 'Make a configuration from a mosquitto.conf.',
    usage: 'FILE [--out FILE] [--force] [--json]',
    details: [
      'Reads a mosquitto.conf with what its include_dir names, and prints a configuration file that says as comments what became of each line: taken over, not needed, or not supported and what to do instead. What somebody has to look at is on standard error. Nothing is opened for clients that mosquitto kept out: where that cannot be said with our keys, a listener is left out.',
      'Password and ACL files are used as they are; they are read, and what would stop the gateway is reported with its line. Ends with 0 where nothing needs attention, with 1 where something does, with 2 where a file cannot be read or written. docs/moving-from-mosquitto.md has the whole way.',
    ],
    options: IMPORT_OPTIONS,
    positionals: { min: 1, max: 1 },
    examples: [
      { purpose: 'What would become of it?', line: 'sprawl-edge import /etc/mosquitto/mosquitto.conf' },
      {
        purpose: 'Into a file',
        line: 'sprawl-edge import /etc/mosquitto/mosquitto.conf --out sprawl-edge.yaml',
      },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./import/import.js')).runImport(invocation, world),
  },
  {
    name: 'passwd',
    summary: 'Set or delete a password in a password file.',
    usage: '[-c] [-b] [--scram] FILE USER [PASSWORD], or -D FILE USER',
    details: [
      'The file has the format of mosquitto_passwd. The password is asked for twice without echo, or read from standard input where that is not a terminal. A running gateway reads the file again at SIGHUP.',
    ],
    options: PASSWD_OPTIONS,
    positionals: { min: 2, max: 3 },
    examples: [
      { purpose: 'A new file with a first user', line: 'sprawl-edge passwd -c passwords alice' },
      { purpose: 'From a script', line: 'printf %s "$SECRET" | sprawl-edge passwd passwords sensor-7' },
      { purpose: 'Away with a user', line: 'sprawl-edge passwd -D passwords sensor-7' },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./passwd.js')).runPasswd(invocation, world),
  },
  ...STORAGE_COMMANDS,
  ...ARCHIVE_COMMANDS,
  {
    name: 'pub',
    summary: 'Publish messages, with the habits of mosquitto_pub.',
    usage: '-t TOPIC {-m TEXT | -f FILE | -n | -s | -l} [OPTIONS]',
    details: [`Works with any MQTT broker. ${RECONNECTS}`, CLIENT_EXIT_CODES],
    options: PUB_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      { purpose: 'One message', line: 'sprawl-edge pub -t greeting -m hello' },
      {
        purpose: 'Kept for later subscribers, acknowledged',
        line: 'sprawl-edge pub -t site/door -m open -r -q 1',
      },
      {
        purpose: 'Each line of a program as a message',
        line: 'vmstat 1 | sprawl-edge pub -t site/vmstat -l',
      },
      {
        purpose: 'MQTT 5 with properties',
        line: "sprawl-edge pub -V 5 -t t -m '{}' -D publish content-type application/json -D publish user-property unit C",
      },
      {
        purpose: 'With a password that ps does not show',
        line: 'SPRAWL_PASSWORD=secret sprawl-edge pub -h gateway.local -u alice -t t -m hi',
      },
    ],
    usageExitCode: ExitCode.failed,
    run: async (invocation, world) => (await import('./client/pub.js')).runPub(invocation, world),
  },
  {
    name: 'sub',
    summary: 'Subscribe and print messages, with the habits of mosquitto_sub.',
    usage: '-t FILTER... [OPTIONS]',
    details: [
      `Works with any MQTT broker. Runs until Ctrl-C, -C, -W or -E ends it. ${RECONNECTS}`,
      `${CLIENT_EXIT_CODES} The time of -W is over: 27.`,
    ],
    options: SUB_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      { purpose: 'Every topic, with its name', line: "sprawl-edge sub -v -t '#'" },
      {
        purpose: 'The next message, or none within ten seconds',
        line: 'sprawl-edge sub -t site/door -C 1 -W 10',
      },
      { purpose: 'As JSON lines', line: "sprawl-edge sub -t 'site/#' -F %j" },
      { purpose: 'What is retained, then end', line: "sprawl-edge sub -v -t '#' --retained-only -W 1" },
    ],
    usageExitCode: ExitCode.failed,
    run: async (invocation, world) => (await import('./client/sub.js')).runSub(invocation, world),
  },
];
