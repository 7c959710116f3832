import { createSocket } from 'node:dgram';
import type { HostPort } from './address.js';
import { listenFailed } from './tcp-port.js';

/** What people know the port of a gateway by. */
export const UDP_PORT = 'UDP, mesh.udpPort';

/** The same of a bootstrap node. */
export const BOOTSTRAP_PORT = 'UDP, --port';

/**
 * Tries a UDP port before a DHT node is made on it: hyperdht takes 0 for its usual port, where others may be, and a node that could
 * not open its port cannot be destroyed (it fails half-way, and what it watches keeps the process alive).
 *
 * @param address port 0: any free one
 * @param name what people know the port by
 * @returns the port
 * @throws SprawlError LISTEN_FAILED
 */
export function requireUdpPort(address: HostPort, name = UDP_PORT): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    socket.once('error', (cause) => reject(listenFailed(address, name, cause)));
    socket.bind({ address: address.host, port: address.port, exclusive: true }, () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}
