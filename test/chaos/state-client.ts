/**
 * A client for very many retained topics: it writes them as fast as they are acknowledged, and keeps what it saw last of each. MQTT 3.1.1. It reads
 * packets by itself, since three of these take processor time that the gateways are measured by.
 */
import { once } from 'node:events';
import { connect as dial, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { Endpoint } from '../history/recording-client.js';
import * as wire from '../support/wire.js';

const WINDOW = 1000;
const PACKET_IDS = 65_535;
const CONNACK = 2;
const PUBLISH = 3;
const PUBACK = 4;
const SUBACK = 9;
const PUBACK_BYTES = 4;

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
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const packetIds: number[] = [];
    let at = 0;
    for (let body = bodyAt(all, at); body !== undefined; body = bodyAt(all, at)) {
      const [from, to] = body;
      const head = all[at] ?? 0;
      const type = head >> 4;
      if (type === PUBACK) this.#open--;
      else if (type === PUBLISH) this.#take(all, head, from, to, packetIds);
      else if (type === CONNACK || type === SUBACK) this.#answer?.();
      at = to;
    }
    this.#rest = all.subarray(at);
    if (packetIds.length > 0) this.#acknowledge(packetIds);
    this.#wake?.();
  }

  #take(all: Buffer, head: number, from: number, to: number, packetIds: number[]): void {
    const topicEnd = from + 2 + all.readUInt16BE(from);
    const topic = all.toString('utf8', from + 2, topicEnd);
    const hasPacketId = (head & 0b110) !== 0;
    if (hasPacketId) packetIds.push(all.readUInt16BE(topicEnd));
    const payload = all.toString('utf8', topicEnd + (hasPacketId ? 2 : 0), to);
    if (payload === '') this.seen.delete(topic);
    else this.seen.set(topic, payload);
    this.heardAtMs = performance.now();
  }

  #acknowledge(packetIds: readonly number[]): void {
    const bytes = Buffer.allocUnsafe(packetIds.length * PUBACK_BYTES);
    packetIds.forEach((packetId, i) =>
      bytes.writeUInt32BE(((PUBACK << 28) | (2 << 16) | packetId) >>> 0, i * PUBACK_BYTES),
    );
    this.#socket.write(bytes);
  }

  #fail(error: Error): void {
    this.#fault ??= error;
    this.#answer?.();
    this.#wake?.();
  }
}

/** Where the body of the packet at `at` is; undefined: it is not all there. */
function bodyAt(bytes: Buffer, at: number): [from: number, to: number] | undefined {
  let length = 0;
  for (let i = at + 1, shift = 0; i < bytes.length; i++, shift += 7) {
    const digit = bytes[i] ?? 0;
    length += (digit & 0x7f) << shift;
    if (digit < 0x80) return i + 1 + length <= bytes.length ? [i + 1, i + 1 + length] : undefined;
  }
  return undefined;
}
