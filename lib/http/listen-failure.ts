import { SprawlError } from '../contracts/errors.js';

function parseNodeCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
}

const ANOTHER_PORT = 'choose another port with http.port (--http-port; 0 is any free one, false is no HTTP)';

function wayOut(code: string, port: number): string {
  switch (code) {
    case 'EADDRINUSE':
      return `the port is in use: stop what holds it ("ss -ltnp sport = :${port}" shows it), or ${ANOTHER_PORT}`;
    case 'EACCES':
      return `this user may not open the port: ${ANOTHER_PORT}, or give the process the capability CAP_NET_BIND_SERVICE`;
    case 'EADDRNOTAVAIL':
      return 'it is not an address of this machine: set http.host to one that "ip address" lists';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'the name has no address: set http.host to an IP address';
    default:
      return `${code}: ${ANOTHER_PORT}, or another address with http.host`;
  }
}

/** What a user is told when the HTTP listener cannot be opened: LISTEN_FAILED. */
export function listenFailure(host: string, port: number, cause: unknown): SprawlError {
  const code = parseNodeCode(cause);
  return new SprawlError(
    'LISTEN_FAILED',
    `HTTP cannot listen on ${host}, port ${port}: ${wayOut(code, port)}`,
    {
      details: { listener: 'http', host, port, code },
      cause,
    },
  );
}
