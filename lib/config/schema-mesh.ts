import { isIP } from 'node:net';
import { z } from 'zod';
import { isValidTopicFilter } from '../protocol/topic.js';
import { BYTES_MAX, COUNT_MAX, KIB, MIB } from './bounds.js';
import { derivedInteger, flag, integer, listenHost, note, path, portOrOff } from './field.js';

/** Of both protocols, so that one number goes into a firewall. */
const MESH_PORT = 4430;
const PORT_LIMIT = 'false (off) or a whole number from 0 (any free port) to 65535';
const ADDRESS = /^(?:\[[0-9a-fA-F:.%a-z]+\]|[^\s:[\],]+):(\d{1,5})$/;
const SITE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** Whether `text` is HOST:PORT; an IPv6 address stands in brackets. */
export function isHostAndPort(text: string): boolean {
  const port = Number(ADDRESS.exec(text)?.[1] ?? 0);
  return port >= 1 && port <= 65_535;
}

/** Whoever is told does not look up names. */
function isAddressAndPort(text: string): boolean {
  return isHostAndPort(text) && isIP(text.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')) !== 0;
}

const hostAndPort = z.string().refine(isHostAndPort, {
  message: 'is not HOST:PORT with a port from 1 to 65535 (an IPv6 address stands in brackets)',
});
const bootstrapNode = z.string().refine((text) => text === 'none' || isHostAndPort(text), {
  message: 'is neither HOST:PORT with a port from 1 to 65535 nor "none"',
});
const advertised = z.string().refine((text) => text === 'none' || isAddressAndPort(text), {
  message:
    'is neither an IP address with a port from 1 to 65535 nor "none" (an IPv6 address stands in brackets)',
});
const filters = z.array(
  z.string().refine((filter) => isValidTopicFilter(filter), {
    message: 'is not a topic filter: + stands for one whole level, # for all at the end',
  }),
);
const FILTERS = 'a list of topic filters; a leading wildcard does not match topics that begin with `$`';

/** Who is met, and where. */
const places = {
  enabled: z
    .boolean()
    .optional()
    .meta(
      note({
        description:
          'Whether the gateway takes part in its mesh. True without a swarm key is a mistake: `sprawl-edge join` stores one.',
        defaultText: 'true when there is a swarm key, else false',
      }),
    ),
  site: z
    .string()
    .regex(SITE)
    .optional()
    .meta(
      note({
        description: 'Name of this gateway for people, in the lists of the others.',
        defaultText: 'what `sprawl-edge init` or `join` stored, else the host name',
        limitText: 'up to 63 letters, digits, `.`, `_` and `-`, the first a letter or a digit',
      }),
    ),
  swarmKeyFile: path({
    description:
      'File with the swarm key. Whoever can read it is a member. A relative path is relative to the working directory.',
    defaultText: '`mesh/swarm.key` in `dataDir`, which `sprawl-edge init` and `join` write',
  }),
  host: listenHost(
    'Address where other gateways connect over TCP. `0.0.0.0` is every IPv4 address of the machine. Who does not prove to have the swarm key is hung up on before anything else is said.',
  ),
  tcpPort: portOrOff.default(MESH_PORT).meta(
    note({
      description:
        'TCP port for other gateways, by far the fastest way between two that can reach each other. Off, they meet over UDP.',
      limitText: PORT_LIMIT,
    }),
  ),
  udpPort: portOrOff.default(MESH_PORT).meta(
    note({
      description:
        'UDP port for finding others and for connections through routers. Off, only gateways on the same network and those of `mesh.peers` are met.',
      limitText: PORT_LIMIT,
    }),
  ),
  bootstrap: z
    .array(bootstrapNode)
    .default([])
    .meta(
      note({
        description:
          'Where the search for others begins: nodes of a distributed hash table, as `sprawl-edge bootstrap` runs them for closed networks. `none`: no search beyond `mesh.peers`, the same network and those who were met before.',
        defaultText: 'none given: the public nodes of HyperDHT',
        limitText: 'a list of HOST:PORT, or `none`',
      }),
    ),
  peers: z
    .array(hostAndPort)
    .default([])
    .meta(
      note({
        description: 'Gateways that are dialled in any case, by the address of their `mesh.tcpPort`.',
        limitText: 'a list of HOST:PORT',
      }),
    ),
  advertise: z
    .array(advertised)
    .default([])
    .meta(
      note({
        description:
          'Where others are told to dial this gateway, in place of the addresses of the machine: behind a router that forwards a port, or in a container. `none`: no member is told, and this gateway dials. On the same network multicast tells its ports all the same, unless `mesh.lan` is off.',
        defaultText: 'none given: the addresses of the machine, unless `mesh.host` is on loopback',
        limitText: 'a list of IP:PORT, or `none`',
      }),
    ),
  lan: flag(true, {
    description: 'Whether gateways on the same network find each other without any server.',
  }),
  relay: flag(true, {
    description: 'Whether this gateway passes on what two others that cannot reach each other have to say.',
  }),
};

/** What goes over the links, and how fast. */
const traffic = {
  importFilters: filters.default(['#']).meta(
    note({
      description: 'What clients here may get from other gateways.',
      limitText: FILTERS,
    }),
  ),
  exportFilters: filters.default(['#']).meta(
    note({
      description: 'What clients of other gateways may get from here: what is not in it stays at home.',
      limitText: FILTERS,
    }),
  ),
  linkMaxBytesPerSecond: integer({
    min: 0,
    max: BYTES_MAX,
    default: 0,
    description: 'Bytes that go to one other gateway in a second. 0 is no limit.',
    higher: 'a backlog is gone sooner.',
    lower:
      'more of the line is left to others; a backlog takes longer, and lasts where less is sent than comes in.',
  }),
  creditBytes: integer({
    min: 64 * KIB,
    max: 1024 * MIB,
    default: 4 * MIB,
    description: 'What another gateway may send before this one has it on its disk and says so.',
    higher: 'faster over long ways: it bounds bytes per round trip; more memory for each link.',
    lower: 'less memory; slower over long ways.',
  }),
  interestWaitMs: integer({
    min: 0,
    max: 60_000,
    default: 250,
    description:
      'How long the answer to a SUBSCRIBE waits until other gateways know what is wanted. Those that cannot be reached are not waited for.',
    higher: 'over slow links, too, nothing is missed that is published after the answer.',
    lower: 'clients are answered sooner; what is published on a slow gateway just then may be missed.',
  }),
  peerKeepMaxBytes: derivedInteger({
    min: 0,
    max: BYTES_MAX,
    defaultText: 'a quarter of `limits.diskMaxBytes`',
    description:
      'Log that is kept for gateways that are away. Beyond it the oldest is given up, and the one that missed it is told.',
    higher: 'a gateway may be away for longer.',
    lower: 'less space on the disk.',
  }),
};

/** How it is noticed that another gateway is gone. */
const watching = {
  probePeriodMs: integer({
    min: 50,
    max: 60_000,
    default: 500,
    description: 'Time between two questions whether one of the others is alive.',
    higher: 'less traffic.',
    lower: 'the death of a gateway is noticed sooner; more traffic, and more false alarms on bad lines.',
  }),
  membersMaxCount: integer({
    min: 2,
    max: COUNT_MAX,
    default: 256,
    description: 'Gateways of a mesh, this one included. Further ones are refused.',
    higher: 'a larger mesh; each gateway has a link to each other, and memory for it.',
    lower: 'less memory where somebody with the swarm key makes up gateways.',
  }),
};

export const meshSchema = z.strictObject({ ...places, ...traffic, ...watching });
