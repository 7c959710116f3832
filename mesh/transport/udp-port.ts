import { createSocket } from 'node:dgram';
import type { HostPort } from './address.js';
import { listenFailed } from './tcp-port.js';

/**
 * Tries a UDP port before a DHT node is made on it: hyperdht takes 0 for its usual port, where others may be, and a node that could
 * not open its port cannot be destroyed (it fails half-way, and what it watches keeps the process alive).
 *
 * @param address port 0: any free one
 * @returns the port
 * @throws SprawlError LISTEN_FAILED
 */
export function requireUdpPort(address: HostPort): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    socket.once('error', (cause) => reject(listenFailed(address, cause)));
    socket.bind({ address: address.host, port: address.port, exclusive: true }, () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}
