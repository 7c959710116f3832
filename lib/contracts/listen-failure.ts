import { SprawlError } from './errors.js';

/** A port that a gateway opens, and the keys of the configuration that say where. */
export interface ListenPlace {
  readonly listener: string;
  readonly host: string;
  readonly port: number;
  readonly hostKey: string;
  /** With its flag, where there is one. */
  readonly portKey: string;
}

function parseNodeCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
}

function wayOut(code: string, { hostKey, portKey }: ListenPlace): string {
  switch (code) {
    case 'EACCES':
      return `this user may not open it: choose one from 1024 on with ${portKey}, or give the process the capability CAP_NET_BIND_SERVICE`;
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
      return `it is not an address of this machine: set ${hostKey} to one that "ip address" lists`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the name has no address: set ${hostKey} to an IP address`;
    default:
      return `${code}: choose another port with ${portKey}, or another address with ${hostKey}`;
  }
}

/** What a user is told when a port cannot be opened: LISTEN_FAILED. */
export function listenFailure(place: ListenPlace, cause: unknown): SprawlError {
  const { listener, host, port, portKey } = place;
  const code = parseNodeCode(cause);
  const message =
    code === 'EADDRINUSE'
      ? `port ${port} on ${host} is in use; stop the other program ("ss -ltnp sport = :${port}" shows it), or choose another port with ${portKey}; 0 is any free one, false is off`
      : `cannot listen on ${host}, port ${port}: ${wayOut(code, place)}`;
  return new SprawlError('LISTEN_FAILED', message, { details: { listener, host, port, code }, cause });
}
