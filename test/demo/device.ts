/** A device, whatever it is made of. */
export type Qos = 0 | 1 | 2;

export interface DeviceOptions {
  readonly clientId: string;
  readonly port: number;
}

export interface Device {
  /** Resolves when it is connected for the first time; from then on it comes back by itself. */
  start(): Promise<void>;
  /**
   * Resolves when it is acknowledged, over however many connections; at QoS 0 as soon as it is sent.
   * @returns false: it had QoS 0, and there was no connection
   */
  publish(topic: string, payload: string, qos: Qos): Promise<boolean>;
  stop(): Promise<void>;
}
