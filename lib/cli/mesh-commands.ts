import type { Command } from './command.js';
import { ExitCode } from './exit-code.js';
import {
  BOOTSTRAP_OPTIONS,
  EVICT_OPTIONS,
  INIT_OPTIONS,
  INVITE_OPTIONS,
  JOIN_OPTIONS,
  LEAVE_OPTIONS,
  MESH_STATUS_OPTIONS,
} from './mesh-options.js';

const NO_POSITIONALS = { min: 0, max: 0 } as const;

/** Commands that make gateways one, in the order of the help. */
export const MESH_COMMANDS: readonly Command[] = [
  {
    name: 'init',
    summary: 'Make a mesh, with this gateway as its first member.',
    usage: '[--data-dir DIR] [--site NAME] [OPTIONS]',
    details: [
      'Prints two secrets. The swarm key is what every further gateway joins with: whoever has it is a member. The admin key invites and evicts gateways; it is printed this once and stored nowhere.',
      'The gateway has to be stopped; "sprawl-edge up" starts it in its mesh. A data folder that is in a mesh is refused.',
    ],
    options: INIT_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      { purpose: 'For the first gateway', line: 'sprawl-edge init --site harbour' },
      {
        purpose: 'In another data folder',
        line: 'sprawl-edge init --data-dir /var/lib/sprawl --site harbour',
      },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./init.js')).runInit(invocation, world),
  },
  {
    name: 'join',
    summary: 'Join a mesh and start the gateway.',
    usage: '[SWARM-KEY|-] [--key-file FILE] [OPTIONS]',
    details: [
      'Stores the swarm key in the data folder, readable for its owner alone, and starts the gateway as "up" does, whose options it takes. From then on "sprawl-edge up" is enough; to join again with the same key does no harm.',
      'The key comes from the command line, where other users of the machine can see it, from standard input ("-", asked for without echo on a terminal), from a file, or from the environment variable SPRAWL_SWARM_KEY. An invitation (sprawlinvite1...) is taken in its place.',
      'A mistyped key is found by its checksum, with exit code 2. Whether others answer to a key shows only when the gateway runs: "sprawl-edge peers" lists them.',
    ],
    options: JOIN_OPTIONS,
    positionals: { min: 0, max: 1 },
    examples: [
      { purpose: 'Asked for the key', line: 'sprawl-edge join - --site greenhouse' },
      { purpose: 'From a service', line: 'sprawl-edge join --key-file /etc/sprawl-edge/swarm.key' },
      {
        purpose: 'On a closed network, with one gateway known',
        line: 'sprawl-edge join - --bootstrap none --peer 10.0.0.7:4430',
      },
      { purpose: 'On a copy of the card of another gateway', line: 'sprawl-edge join --new-identity' },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./join.js')).runJoin(invocation, world),
  },
  {
    name: 'invite',
    summary: 'Make an invitation to the mesh, with an end date.',
    usage: '[--days DAYS] [OPTIONS]',
    details: [
      'Signs it with the admin key that "sprawl-edge init" printed; the gateway may run meanwhile, and keeps nothing of it. "sprawl-edge join" takes it in place of the swarm key until its end.',
      'The end date is for honest people: the swarm key can be made from an invitation, and whoever has joined stays a member. "sprawl-edge evict" ends that.',
    ],
    options: INVITE_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [{ purpose: 'For the one who sets up the next site', line: 'sprawl-edge invite --days 2' }],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./invite.js')).runInvite(invocation, world),
  },
  {
    name: 'leave',
    summary: 'Take this gateway out of its mesh.',
    usage: '[OPTIONS]',
    details: [
      'Removes the swarm key and what is known of the other gateways from the data folder; messages, sessions and retained messages stay. A gateway that runs on the folder is asked to leave instead: it tells the others, who keep nothing for it any more, and serves its clients on. Where none runs the others are not told.',
    ],
    options: LEAVE_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [{ purpose: 'The gateway of this folder', line: 'sprawl-edge leave' }],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./leave.js')).runLeave(invocation, world),
  },
  {
    name: 'peers',
    summary: 'List the gateways of the mesh.',
    usage: '[OPTIONS]',
    details: ['Asks the running gateway which others it knows, how they are and how it reaches them.'],
    options: MESH_STATUS_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      { purpose: 'Of the gateway on this machine', line: 'sprawl-edge peers' },
      { purpose: 'With whole ids, for a program', line: 'sprawl-edge peers --json' },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./mesh-status.js')).runPeers(invocation, world),
  },
  {
    name: 'links',
    summary: 'Show what waits for the other gateways, and whether it moves.',
    usage: '[OPTIONS]',
    details: [
      'For each other gateway: messages that wait to be sent to it, how long the oldest on its way has not been acknowledged, what was sent, acknowledged, received and refused. Ends with 1 where a link is stalled or down, for monitoring.',
    ],
    options: MESH_STATUS_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      { purpose: 'Of the gateway on this machine', line: 'sprawl-edge links' },
      { purpose: 'For a program', line: 'sprawl-edge links --json' },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./mesh-status.js')).runLinks(invocation, world),
  },
  {
    name: 'evict',
    summary: 'Say that a gateway is no member any more.',
    usage: 'GATEWAY-ID [--reason TEXT] [OPTIONS]',
    details: [
      'Signs it with the admin key that "sprawl-edge init" printed; every gateway passes it on and ends its connections with the evicted one. The id is that of "sprawl-edge peers"; its first 8 digits do where this gateway has met it.',
      'The evicted gateway knows the swarm key and could come back with another identity: where that is feared, make a new mesh.',
    ],
    options: EVICT_OPTIONS,
    positionals: { min: 1, max: 1 },
    examples: [
      { purpose: 'One that was stolen', line: 'sprawl-edge evict 7f3a0b12 --reason "stolen in June"' },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./evict.js')).runEvict(invocation, world),
  },
  {
    name: 'bootstrap',
    summary: 'Run the meeting point of a closed network.',
    usage: '[--host HOST] [--port PORT]',
    details: [
      'Gateways begin to look for each other there, where the public nodes of HyperDHT cannot be reached. It learns who looks for whom, never a swarm key, and carries no messages. Runs until Ctrl-C or SIGTERM.',
    ],
    options: BOOTSTRAP_OPTIONS,
    positionals: NO_POSITIONALS,
    examples: [
      { purpose: 'On a machine that every gateway can reach', line: 'sprawl-edge bootstrap' },
      { purpose: 'On each gateway', line: 'sprawl-edge join - --bootstrap 10.0.0.1:49737' },
    ],
    usageExitCode: ExitCode.usage,
    run: async (invocation, world) => (await import('./bootstrap.js')).runBootstrapCommand(invocation, world),
  },
];
