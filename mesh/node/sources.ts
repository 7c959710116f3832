/** One object for each life of a gateway, for as long as it is asked for now and then. */
import type { Epoch } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { MessageSource } from '../../lib/contracts/streams.js';
import { SOURCES_MAX_COUNT } from './limits.js';

export class Sources {
  readonly #known = new Map<string, MessageSource>();

  of(origin: GatewayId, { counter, nonce }: Epoch): MessageSource {
    const key = `${origin} ${counter} ${nonce}`;
    let source = this.#known.get(key);
    if (source === undefined) {
      source = { origin, epoch: { counter, nonce } };
      this.#known.set(key, source);
      const [oldest] = this.#known.keys();
      if (oldest !== undefined && this.#known.size > SOURCES_MAX_COUNT) this.#known.delete(oldest);
    }
    return source;
  }
}
