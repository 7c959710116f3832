/** A device that uses MQTT.js and MQTT 5, as most of those that are programs on a computer. */
import { connect, type MqttClient } from 'mqtt';
import type { Device, DeviceOptions, Qos } from './device.js';

const COME_BACK_AFTER_MS = 250;
const SESSION_S = 600;

export class MqttJsDevice implements Device {
  readonly #client: MqttClient;

  constructor({ clientId, port }: DeviceOptions) {
    this.#client = connect({
      ...{ host: '127.0.0.1', port, clientId, protocolVersion: 5, clean: false, manualConnect: true },
      ...{ reconnectPeriod: COME_BACK_AFTER_MS, queueQoSZero: false, reschedulePings: true },
      properties: { sessionExpiryInterval: SESSION_S },
    });
    // It comes back by itself.
    this.#client.on('error', () => undefined);
  }

  start(): Promise<void> {
    return new Promise((resolve) => {
      this.#client.once('connect', () => resolve());
      this.#client.connect();
    });
  }

  async publish(topic: string, payload: string, qos: Qos): Promise<boolean> {
    if (qos === 0 && !this.#client.connected) return false;
    await this.#client.publishAsync(topic, payload, { qos });
    return true;
  }

  async stop(): Promise<void> {
    await this.#client.endAsync();
  }
}
