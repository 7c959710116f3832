/**
 * A device that writes MQTT 3.1.1 packets itself, as firmware does: it keeps what is not acknowledged, and sends it again under the same packet id
 * where a connection was lost.
 */
import { ClientLink, type LinkUser } from '../history/client-link.js';
import * as wire from '../support/wire.js';
import type { Received } from '../support/wire-decode.js';
import type { Device, DeviceOptions, Qos } from './device.js';

interface Pending {
  readonly topic: string;
  readonly payload: string;
  readonly qos: Qos;
  /** QoS 2: the gateway has it, and PUBREL is what is sent again. */
  isReceived: boolean;
  done(isSent: boolean): void;
}

const COME_BACK_AFTER_MS = 250;
const VERSION = 4;
const KEEP_ALIVE_S = 60;
const PACKET_IDS = 65_535;

export class RawDevice implements Device, LinkUser {
  readonly #options: DeviceOptions;
  readonly #pending = new Map<number, Pending>();
  #link: ClientLink | undefined;
  #isConnected = false;
  #isStopped = false;
  #lastId = 0;
  #onConnected: () => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DeviceOptions) {
    this.#options = options;
  }

  start(): Promise<void> {
    return new Promise((resolve) => {
      this.#onConnected = resolve;
      this.#dial();
    });
  }

  publish(topic: string, payload: string, qos: Qos): Promise<boolean> {
    if (qos === 0) {
      if (!this.#isConnected) return Promise.resolve(false);
      this.#link?.send(wire.publish({ version: VERSION, topic, payload, qos }));
      return Promise.resolve(true);
    }
    return new Promise((done) => {
      this.#lastId = (this.#lastId % PACKET_IDS) + 1;
      const pending = { topic, payload, qos, isReceived: false, done };
      this.#pending.set(this.#lastId, pending);
      if (this.#isConnected) this.#send(this.#lastId, pending, false);
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#link?.send(wire.disconnect());
    this.#link?.close();
  }

  opened(link: ClientLink): void {
    const { clientId } = this.#options;
    link.send(wire.connect({ version: VERSION, clientId, clean: false, keepAlive: KEEP_ALIVE_S }));
  }

  packet(link: ClientLink, { type, reasonCode, packetId }: Received): void {
    switch (type) {
      case 'connack':
        if (reasonCode !== 0) throw new Error(`${this.#options.clientId} was refused: ${reasonCode}`);
        this.#isConnected = true;
        for (const [id, pending] of this.#pending) this.#send(id, pending, true);
        this.#onConnected();
        return;
      case 'pubrec': {
        const pending = this.#pending.get(packetId);
        if (pending !== undefined) pending.isReceived = true;
        link.send(wire.ack('pubrel', packetId));
        return;
      }
      case 'puback':
      case 'pubcomp':
        this.#pending.get(packetId)?.done(true);
        this.#pending.delete(packetId);
        return;
      default:
    }
  }

  ended(): void {
    this.#isConnected = false;
    this.#link = undefined;
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => this.#dial(), COME_BACK_AFTER_MS);
  }

  #dial(): void {
    this.#link = new ClientLink({ host: '127.0.0.1', port: this.#options.port, version: VERSION }, this);
  }

  #send(packetId: number, { topic, payload, qos, isReceived }: Pending, dup: boolean): void {
    const bytes = isReceived
      ? wire.ack('pubrel', packetId)
      : wire.publish({ version: VERSION, topic, payload, qos, packetId, dup });
    this.#link?.send(bytes);
  }
}
