import { isLoopback } from './address.js';

/** Counts incoming connections that have not shown yet that they are members'. */
export class UnprovenGate {
  readonly #max: number;
  readonly #perAddressMax: number;
  readonly #byHost = new Map<string, number>();
  #count = 0;
  /** Connections that were turned away. */
  refused = 0;

  constructor(max: number, perAddressMax: number) {
    this.#max = max;
    this.#perAddressMax = perAddressMax;
  }

  get count(): number {
    return this.#count;
  }

  hasRoom(host: string): boolean {
    const ofHost = this.#byHost.get(host) ?? 0;
    return this.#count < this.#max && (ofHost < this.#perAddressMax || isLoopback(host));
  }

  /**
   * One more of `host`. Connections from this machine are under the limit for all alone: a test field of many gateways is one address.
   * @returns to call once when it has shown it, or is gone; undefined: it is one too many
   */
  enter(host: string): (() => void) | undefined {
    if (!this.hasRoom(host)) {
      this.refused++;
      return undefined;
    }
    this.#count++;
    this.#byHost.set(host, (this.#byHost.get(host) ?? 0) + 1);
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      this.#leave(host);
    };
  }

  #leave(host: string): void {
    this.#count--;
    const left = (this.#byHost.get(host) ?? 1) - 1;
    if (left === 0) this.#byHost.delete(host);
    else this.#byHost.set(host, left);
  }
}
