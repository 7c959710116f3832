/** The lives of other gateways, as each of them told when it was met last: as they are known, and as they are written down. */
import type { EpochStart, Epoch, Lineage } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { MeshHost } from '../../lib/contracts/mesh-port.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import { lineageHas } from '../identity/lineage.js';

export class LivesOfOthers {
  readonly #host: Pick<MeshHost, 'whenCommitted'>;
  readonly #save: (lineages: ReadonlyMap<GatewayId, Lineage>) => void;
  readonly #known: Map<GatewayId, Lineage>;
  readonly #written: Map<GatewayId, Lineage>;

  /** @param written what `save` was given last */
  constructor(
    host: Pick<MeshHost, 'whenCommitted'>,
    written: ReadonlyMap<GatewayId, Lineage>,
    save: (lineages: ReadonlyMap<GatewayId, Lineage>) => void,
  ) {
    this.#host = host;
    this.#save = save;
    this.#known = new Map(written);
    this.#written = new Map(written);
  }

  /** All that were ever met and are not forgotten. */
  gateways(): Iterable<GatewayId> {
    return this.#known.keys();
  }

  /** undefined: it was never met. */
  of(id: GatewayId): Lineage | undefined {
    return this.#known.get(id);
  }

  /** The life in which it was met last. */
  lastOf(id: GatewayId): EpochStart | undefined {
    return this.#known.get(id)?.at(-1);
  }

  /** Whether the gateway remembers this life, or may come to it: a life between is of another branch of its data folder. */
  mayCome(id: GatewayId, epoch: Epoch): boolean {
    return lineageHas(this.#known.get(id) ?? [], epoch) || epoch.counter > (this.lastOf(id)?.counter ?? 0);
  }

  /** It has told them. @param position of the log: where that is lost, these lives must not be known either */
  told(id: GatewayId, lineage: Lineage, position: LogPosition): void {
    this.#known.set(id, lineage);
    this.#host.whenCommitted(() => this.#write(id, lineage), position);
  }

  forget(id: GatewayId): void {
    if (this.#known.delete(id)) this.#host.whenCommitted(() => this.#write(id, undefined));
  }

  /** Of one gateway at a time: what is known of another one may wait for its own record. */
  #write(id: GatewayId, lineage: Lineage | undefined): void {
    if (lineage === undefined) this.#written.delete(id);
    else this.#written.set(id, lineage);
    this.#save(this.#written);
  }
}
