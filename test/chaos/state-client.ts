/**
 * A client for very many retained topics: it writes them as fast as they are acknowledged, and keeps what it saw last of each. MQTT 3.1.1.
 */
import { once } from 'node:events';
import { connect as dial, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { Endpoint } from '../history/recording-client.js';
import * as wire from '../support/wire.js';
import { decode } from '../support/wire-decode.js';

const WINDOW = 1000;
const PACKET_IDS = 65_535;

export class StateClient {
  /** Of each topic the payload that came last; a removed one has none. */
  readonly seen = new Map<string, string>();
  /** When something came last. */
  heardAtMs = 0;
  readonly #socket: Socket;
  #rest: Buffer = Buffer.alloc(0);
  #open = 0;
  #sent = 0;
  #wake: (() => void) | undefined;
  #answer: (() => void) | undefined;
  #fault: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (bytes) => this.#read(bytes));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the gateway closed the connection')));
  }

  static async connect({ host = '127.0.0.1', port }: Endpoint, clientId: string): Promise<StateClient> {
    const socket = dial({ host, port });
    await once(socket, 'connect');
    const client = new StateClient(socket);
    await client.#ask(wire.connect({ version: 4, clientId }));
    return client;
  }

  async subscribe(filter: string): Promise<void> {
    await this.#ask(wire.subscribe(1, [{ filter, qos: 1 }], { version: 4 }));
  }

  /** @param states topic and payload; an empty one removes. Resolves when all of them are acknowledged. */
  async write(states: Iterable<readonly [topic: string, payload: string]>): Promise<void> {
    for (const [topic, payload] of states) {
      while (this.#open >= WINDOW) await this.#acknowledged();
      this.#open++;
      const packetId = (this.#sent++ % PACKET_IDS) + 1;
      this.#socket.write(wire.publish({ version: 4, topic, payload, qos: 1, retain: true, packetId }));
    }
    while (this.#open > 0) await this.#acknowledged();
  }

  leave(): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }

  #acknowledged(): Promise<void> {
    if (this.#fault !== undefined) throw this.#fault;
    return new Promise((resolve) => (this.#wake = resolve));
  }

  async #ask(bytes: Buffer): Promise<void> {
    this.#socket.write(bytes);
    await new Promise<void>((resolve) => (this.#answer = resolve));
    if (this.#fault !== undefined) throw this.#fault;
  }

  #read(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const acks: Buffer[] = [];
    for (let packet = decode(this.#rest, 4); packet !== undefined; packet = decode(this.#rest, 4)) {
      this.#rest = this.#rest.subarray(packet.bytes.length);
      if (packet.type === 'puback') this.#open--;
      else if (packet.type === 'publish') {
        if (packet.qos > 0) acks.push(wire.ack('puback', packet.packetId));
        if (packet.payload === '') this.seen.delete(packet.topic);
        else this.seen.set(packet.topic, packet.payload);
        this.heardAtMs = performance.now();
      } else if (packet.type === 'connack' || packet.type === 'suback') this.#answer?.();
    }
    if (acks.length > 0) this.#socket.write(Buffer.concat(acks));
    this.#wake?.();
  }

  #fail(error: Error): void {
    this.#fault ??= error;
    this.#answer?.();
    this.#wake?.();
  }
}
