/** The publishes of a recording client: those that wait, and those that the broker has not finished. */
import type { EventQoS, Mid } from './event.js';

/** As the checker counts it: taken over, refused for certain, or unknown for ever. At QoS 0 always `info`. */
export type PublishOutcome = 'ok' | 'fail' | 'info';

export interface PublishChoices {
  readonly topic: string;
  readonly qos: EventQoS;
  readonly retain?: boolean;
  readonly paddingBytes?: number;
  /** Message Expiry Interval in seconds; MQTT 5. */
  readonly expiryS?: number;
  /** No payload: clears what is retained. */
  readonly empty?: boolean;
}

export interface Publish {
  readonly choices: PublishChoices;
  readonly done: (outcome: PublishOutcome) => void;
}

/** Sent at least once and not finished. */
export interface Inflight extends Publish {
  readonly packetId: number;
  readonly mid: Mid;
  readonly payload: Buffer;
  sends: number;
  state: 'publish' | 'pubrel';
  outcome: PublishOutcome;
}

const PACKET_IDS = 65_535;

export class Outgoing {
  readonly #waiting: Publish[] = [];
  /** By packet id, in the order in which they were sent first [MQTT-4.6.0-1]. */
  readonly #inflight = new Map<number, Inflight>();
  /** Of an earlier connection, and not sent on this one yet. */
  #again: Inflight[] = [];
  /** Packet ids of SUBSCRIBE and UNSUBSCRIBE. */
  readonly #others = new Set<number>();
  #lastId = 0;
  readonly #packetIds: number;

  /** @param packetIds how many it uses: few are used again soon. */
  constructor(packetIds = PACKET_IDS) {
    this.#packetIds = packetIds;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  get inflightCount(): number {
    return this.#inflight.size;
  }

  /** Sent on this connection and not finished. */
  get openCount(): number {
    return this.#inflight.size - this.#again.length;
  }

  wait(publish: Publish): void {
    this.#waiting.push(publish);
  }

  /** A new connection has the session: everything that is in flight goes out again, before anything new. */
  resume(): void {
    this.#again = [...this.#inflight.values()];
  }

  nextAgain(): Inflight | undefined {
    return this.#again.shift();
  }

  nextWaiting(): Publish | undefined {
    return this.#waiting.shift();
  }

  begin(inflight: Inflight): void {
    this.#inflight.set(inflight.packetId, inflight);
  }

  get(packetId: number): Inflight | undefined {
    return this.#inflight.get(packetId);
  }

  finish(inflight: Inflight): void {
    this.#inflight.delete(inflight.packetId);
    inflight.done(inflight.outcome);
  }

  /** The session is gone: nobody will ever know what became of them. */
  forget(): void {
    this.#again = [];
    for (const inflight of [...this.#inflight.values()]) this.finish(inflight);
  }

  takeId(): number {
    do this.#lastId = (this.#lastId % this.#packetIds) + 1;
    while (this.#inflight.has(this.#lastId) || this.#others.has(this.#lastId));
    return this.#lastId;
  }

  /** For SUBSCRIBE and UNSUBSCRIBE. */
  holdId(): number {
    const id = this.takeId();
    this.#others.add(id);
    return id;
  }

  freeId(id: number): void {
    this.#others.delete(id);
  }
}
