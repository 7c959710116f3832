/**
 * The line of a site to the others, as a chain of bytes that can break: what passes stops, and neither end is told, as with a cable that was
 * pulled out. When it is back what was on its way goes on.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

const LOCAL = '127.0.0.1';

export class Uplink {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  /** Connections that were begun while it was cut. */
  readonly #waiting: (() => void)[] = [];
  #isCut = false;

  /** @param target a port of this machine @returns the port where it is reached over this line */
  async open(target: number): Promise<number> {
    const server = createServer({ pauseOnConnect: true, noDelay: true }, (near) => {
      near.on('error', () => undefined);
      const begin = (): void => this.#join(near, target);
      if (this.#isCut) this.#waiting.push(begin);
      else begin();
    });
    this.#servers.push(server);
    await once(server.listen(0, LOCAL), 'listening');
    return (server.address() as AddressInfo).port;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.pause();
  }

  restore(): void {
    this.#isCut = false;
    for (const socket of this.#sockets) socket.resume();
    for (const begin of this.#waiting.splice(0)) begin();
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(near: Socket, target: number): void {
    const far = connect({ host: LOCAL, port: target, noDelay: true });
    this.#pass(near, far);
    this.#pass(far, near);
    near.resume();
  }

  #pass(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('data', (bytes) => {
      if (to.write(bytes)) return;
      from.pause();
      to.once('drain', () => {
        if (!this.#isCut) from.resume();
      });
    });
    from.on('error', () => undefined);
    from.on('close', () => {
      this.#sockets.delete(from);
      // Nobody hears through a cut line that the other end is gone.
      if (this.#isCut) this.#waiting.push(() => to.destroy());
      else to.destroy();
    });
  }
}
