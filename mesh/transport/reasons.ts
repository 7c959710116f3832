/** What people read when two gateways do not come together. */
import { type HostPort, showAddress } from './address.js';

export const Reason = {
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
  HOLEPUNCH_ABORTED: (address) => `no route: the firewalls between do not let ${address} through`,
  CANNOT_HOLEPUNCH: (address) => `no route: the firewalls between do not let ${address} through`,
  REMOTE_NOT_HOLEPUNCHABLE: (address) => `no route: the firewalls between do not let ${address} through`,
  REMOTE_ABORTED: (address) => `no route: the firewalls between do not let ${address} through`,
  HOLEPUNCH_DOUBLE_RANDOMIZED_NATS: (address) =>
    `no route: the firewalls of both sides do not let ${address} through`,
};

/** @param where that was tried: an address, or "the DHT" */
export function reasonOf(error: unknown, where: HostPort | string): string {
  const address = typeof where === 'string' ? where : showAddress(where);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const known = BY_CODE[code];
  if (known !== undefined) return known(address);
  return error instanceof Error ? `${error.message} (${address})` : `${String(error)} (${address})`;
}
