/** What people read when two gateways do not come together. */
import { type HostPort, showAddress } from './address.js';
import { OBSERVERS_MIN_COUNT } from './limits.js';

export const Reason = {
  twin: 'another machine uses the identity of this gateway, and is connected there',
  twinThere: 'two machines use its identity, and the other one is connected',
  evicted: 'evicted: the roster of this mesh does not allow it any more',
  evictedThere: 'evicted: the other side says that this gateway was removed from the mesh',
  noAddress: 'no route: no address of it is known',
  stranger: 'refused: the other side does not know this swarm key, or has too many new connections just now',
  proofTimeout: 'timeout: it did not show within 3 s that it knows the swarm key',
  choiceTimeout: 'timeout: the other side did not take up the connection',
  silent: 'timeout: nothing came from it for two seconds',
  replaced: 'replaced by a better connection',
  duplicate: 'there is a connection already',
  stopped: 'the gateway stops',
  malformed: 'it sent something that cannot be read',
  stalled: 'it does not read what is sent to it',
  tooMuchQueued: 'more than 16 MiB wait for it',
  tooLarge: 'a frame is larger than 1 MiB',
  ended: 'the connection ended',
  self: 'this gateway itself answers there',
  aborted: 'not needed any more',
  randomThere:
    'no route yet: a router on one side takes another port for each destination, and the other gateway looks for a way through',
  randomLater:
    'no route yet: a router on one side takes another port for each destination, and a way through is looked for again later',
  randomHere:
    'no route: the router here takes another port for each destination, which only works where that of the other side does not',
} as const;

export function silentAfterReplacement(): string {
  return `${Reason.replaced}: it did not answer within half a second`;
}

const BY_CODE: Readonly<Record<string, (address: string) => string>> = {
  ECONNREFUSED: (address) => `refused: nothing listens at ${address}`,
  EHOSTUNREACH: (address) => `no route to ${address}`,
  ENETUNREACH: (address) => `no route to ${address}`,
  EHOSTDOWN: (address) => `no route to ${address}`,
  EACCES: (address) => `a firewall of this machine forbids ${address}`,
  EPERM: (address) => `a firewall of this machine forbids ${address}`,
  ENOTFOUND: (address) => `the name in ${address} does not exist`,
  EAI_AGAIN: (address) => `the name in ${address} cannot be looked up now`,
  ETIMEDOUT: (address) => `timeout: nothing answers at ${address}`,
  ECONNRESET: (address) => `the connection to ${address} was cut`,
  PEER_NOT_FOUND: (address) =>
    `no answer from ${address}: it is not there, or it does not know this swarm key`,
  PEER_CONNECTION_FAILED: (address) =>
    `no answer from ${address}: it is not there, or it does not know this swarm key`,
};

/** No way was found through the routers between. */
const CLOSED: ReadonlySet<string> = new Set([
  'CANNOT_HOLEPUNCH',
  'HOLEPUNCH_ABORTED',
  'HOLEPUNCH_DOUBLE_RANDOMIZED_NATS',
  'HOLEPUNCH_PROBE_TIMEOUT',
  'REMOTE_ABORTED',
  'REMOTE_NOT_HOLEPUNCHABLE',
  'REMOTE_NOT_HOLEPUNCHING',
]);

/** What a gateway knows of the router before it. */
export interface RouterSeen {
  /** Nodes of the hash table that can tell where they see the gateway. */
  readonly observers: number;
  /** Each sees it at another port. */
  readonly isRandom: boolean;
}

/** Why a connection by the hash table came to nothing. @param where as for `reasonOf` */
export function reasonThroughRouters(
  error: unknown,
  where: HostPort | string,
  { observers, isRandom }: RouterSeen,
): string {
  if (!CLOSED.has(codeOf(error))) return reasonOf(error, where);
  const closed = `no route: the firewalls between do not let ${typeof where === 'string' ? 'it' : showAddress(where)} through`;
  // What fewer have seen tells nothing of the ports.
  if (observers < OBSERVERS_MIN_COUNT)
    return `${closed}; of the ${OBSERVERS_MIN_COUNT} nodes of the DHT that are needed to find out how, ${observers} are known`;
  return isRandom ? Reason.randomHere : closed;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** @param where that was tried: an address, or "the DHT" */
export function reasonOf(error: unknown, where: HostPort | string): string {
  const address = typeof where === 'string' ? where : showAddress(where);
  const known = BY_CODE[codeOf(error)];
  if (known !== undefined) return known(address);
  return error instanceof Error ? `${error.message} (${address})` : `${String(error)} (${address})`;
}
