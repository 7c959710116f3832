import { SprawlError } from '../contracts/errors.js';

interface SystemFault {
  readonly code: string;
  readonly address: string;
  readonly port: number | undefined;
}

/** The first error of node:net in a chain of causes. */
function parseSystemFault(error: unknown): SystemFault | undefined {
  if (!(error instanceof Error)) return undefined;
  if ('syscall' in error && 'code' in error && typeof error.code === 'string') {
    const address = 'address' in error && typeof error.address === 'string' ? error.address : 'the address';
    const port = 'port' in error && typeof error.port === 'number' ? error.port : undefined;
    return { code: error.code, address, port };
  }
  return parseSystemFault(error.cause);
}

function wayOut({ code, address, port }: SystemFault): string | undefined {
  switch (code) {
    case 'EADDRINUSE':
      return `port ${port} on ${address} is in use: stop what holds it ("ss -ltnp sport = :${port}" shows it), or choose another port (--mqtt-port, --ws-port, --http-port; 0 is any free one)`;
    case 'EACCES':
      return `port ${port} on ${address} is not allowed to this user: choose one from 1024 on, or give the process the capability CAP_NET_BIND_SERVICE`;
    case 'EADDRNOTAVAIL':
      return `${address} is not an address of this machine: choose one that "ip address" lists (--listen)`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${address} cannot be resolved to an address: give an IP address (--listen)`;
    default:
      return undefined;
  }
}

/** What a user is told when a gateway does not start: bare faults of sockets with the way out, everything else as it is. */
export function startFailure(error: unknown): unknown {
  if (error instanceof SprawlError) return error;
  const fault = parseSystemFault(error);
  const message = fault === undefined ? undefined : wayOut(fault);
  if (message === undefined) return error;
  return new SprawlError('LISTEN_FAILED', message, { details: { ...fault }, cause: error });
}
