/** Ports for servers that are told theirs: that come back under it, or whose others have to know it beforehand. */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below those that the system gives to connections and to port 0 (32,768 and up), and that others take in between. */
const FROM = 12_000;
const TO = 32_000;
const TRIES = 100;

/** @returns a TCP port of loopback that nobody listens on, and that nobody gets by chance until it is used */
export function freePort(): Promise<number> {
  return portWhere(isFree);
}

/** @returns the same of UDP */
export function freeUdpPort(): Promise<number> {
  return portWhere(isFreeForUdp);
}

async function portWhere(free: (port: number) => Promise<boolean>): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const port = randomInt(FROM, TO);
    // One after the other, until one is free.
    // eslint-disable-next-line no-await-in-loop
    if (await free(port)) return port;
  }
  throw new Error(`of ${TRIES} ports from ${FROM} to ${TO} none is free`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
    return true;
  } catch {
    return false;
  }
}

async function isFreeForUdp(port: number): Promise<boolean> {
  const socket = createSocket('udp4');
  try {
    socket.bind(port, '127.0.0.1');
    await once(socket, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    await new Promise<void>((resolve) => socket.close(resolve));
  }
}
