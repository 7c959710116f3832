/** The epochs of this gateway, and which of its messages belong to which. */
import type { EpochStart, Lineage } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { MessageSource } from '../../lib/contracts/streams.js';

/** Before the first start in a mesh: only messages of this gateway are compared with each other then. */
const BEFORE_ANY = { counter: 0, nonce: '0000000000000000' };

interface Life extends MessageSource {
  readonly after: LogPosition;
}

export class OwnLineage {
  readonly self: GatewayId;
  #lineage: EpochStart[];
  readonly #lives: Life[] = [];
  readonly #beforeAny: MessageSource;

  constructor(self: GatewayId, lineage: Lineage) {
    this.self = self;
    this.#lineage = [...lineage];
    this.#beforeAny = { origin: self, epoch: BEFORE_ANY };
    for (const start of lineage) this.#remember(start);
  }

  get all(): Lineage {
    return this.#lineage;
  }

  /** The present one. */
  get present(): EpochStart {
    const last = this.#lineage.at(-1);
    if (last === undefined) throw new Error('the gateway has not begun an epoch');
    return last;
  }

  /** A life begins; it is durable. @param lineage with it as its last */
  begin(lineage: Lineage): void {
    this.#lineage = [...lineage];
    this.#remember(this.present);
  }

  /** One object for each epoch. */
  sourceAt(position: LogPosition): MessageSource {
    const lives = this.#lives;
    for (let i = lives.length - 1; i >= 0; i--) {
      const life = lives[i];
      if (life !== undefined && (position > life.after || i === 0)) return life;
    }
    return this.#beforeAny;
  }

  #remember({ counter, nonce, after }: EpochStart): void {
    this.#lives.push({ origin: this.self, epoch: { counter, nonce }, after });
  }
}
