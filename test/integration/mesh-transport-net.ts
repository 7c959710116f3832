/** What lies between two gateways in the tests: it can be listened to, stopped and cut. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { HostPort } from '../../mesh/transport/index.js';
import { type Cleaner, LOCAL } from './mesh-transport.js';

export class TcpProxy {
  readonly address: HostPort;
  /** What the first connection sent to the target, as far as it was kept. */
  readonly sent: Buffer[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server;

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server;
    const { port } = server.address() as AddressInfo;
    this.address = { host: LOCAL, port };
  }

  static async start(t: Cleaner, target: () => HostPort): Promise<TcpProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, LOCAL, resolve));
    const proxy = new TcpProxy(server);
    server.on('connection', (from) => proxy.#join(from, target()));
    t.teardown(() => proxy.cut());
    return proxy;
  }

  #join(from: Socket, target: HostPort): void {
    const to = connect({ ...target, noDelay: true });
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const) {
      this.#sockets.add(one);
      one.on('error', () => {});
      one.on('close', () => other.destroy());
      one.pipe(other);
    }
    from.on('data', (bytes: Buffer) => {
      if (this.sent.length < 16) this.sent.push(bytes);
    });
  }

  /** Nothing passes any more, and nobody is told: as when the other process is stopped. */
  freeze(): void {
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.removeAllListeners('data');
      socket.pause();
    }
  }

  /** Both ends see the connection end, and no new one is taken. */
  cut(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

export class UdpProxy {
  readonly address: HostPort;
  /** Datagrams to the target, the first ones. */
  readonly sent: Buffer[] = [];
  readonly answered: Buffer[] = [];
  isFrozen = false;
  readonly #back: UdpSocket;
  readonly #target: HostPort;
  #client: HostPort | undefined;

  private constructor(front: UdpSocket, back: UdpSocket, target: HostPort) {
    this.#back = back;
    this.#target = target;
    this.address = { host: LOCAL, port: front.address().port };
    front.on('message', (bytes, { address, port }) => {
      this.#client = { host: address, port };
      if (this.sent.length < 64) this.sent.push(bytes);
      if (!this.isFrozen) back.send(bytes, target.port, target.host);
    });
    back.on('message', (bytes) => {
      if (this.answered.length < 64) this.answered.push(bytes);
      if (!this.isFrozen && this.#client !== undefined) {
        front.send(bytes, this.#client.port, this.#client.host);
      }
    });
  }

  static async start(t: Cleaner, target: HostPort): Promise<UdpProxy> {
    const sockets = [createSocket('udp4'), createSocket('udp4')] as const;
    for (const socket of sockets) {
      t.teardown(() => socket.close());
      // eslint-disable-next-line no-await-in-loop
      await new Promise<void>((resolve) => socket.bind(0, LOCAL, resolve));
    }
    return new UdpProxy(...sockets, target);
  }

  /** Once more to the target. */
  replay(datagram: Buffer): void {
    this.#back.send(datagram, this.#target.port, this.#target.host);
  }

  /** Requests of the hash table that carry a first packet of a handshake. They are larger than all others. */
  handshakes(): Buffer[] {
    return this.sent.filter((bytes) => bytes[0] === REQUEST && bytes.length > HANDSHAKE_LEAST_BYTES);
  }

  /** Bytes that came back in answer to those. */
  handshakeAnswerBytes(): number {
    const asked = new Set(this.handshakes().map(transactionOf));
    const answers = this.answered.filter((bytes) => bytes[0] === RESPONSE && asked.has(transactionOf(bytes)));
    return answers.reduce((sum, bytes) => sum + bytes.length, 0);
  }
}

/** First byte of a datagram of dht-rpc; the transaction's number follows after the flags. */
const REQUEST = 0b0000_0011;
const RESPONSE = 0b0001_0011;
const HANDSHAKE_LEAST_BYTES = 120;

function transactionOf(bytes: Buffer): number {
  return bytes.readUInt16LE(2);
}
