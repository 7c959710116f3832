/** The epochs of this gateway, and which of its messages belong to which. */
import type { EpochStart, Lineage } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { LogPosition, Store } from '../../lib/contracts/store.js';
import type { MessageSource } from '../../lib/contracts/streams.js';
import { LIVES_MAX_COUNT } from './limits.js';

/** Before the first start in a mesh: only messages of this gateway are compared with each other then. */
const BEFORE_ANY = { counter: 0, nonce: '0000000000000000' };

/** What the store keeps of them: more than others are told of. */
const NOTE = 'lives';

interface Life extends MessageSource {
  readonly after: LogPosition;
}

export class OwnLineage {
  readonly self: GatewayId;
  #lineage: EpochStart[];
  readonly #lives: Life[] = [];
  readonly #ofThisProcess: EpochStart[] = [];
  readonly #store: Pick<Store, 'note' | 'setNote'>;
  #isRecalled = false;
  readonly #beforeAny: MessageSource;

  /** @param store has lives that the lineage does not tell any more; asked once, when it is open */
  constructor(self: GatewayId, lineage: Lineage, store: Pick<Store, 'note' | 'setNote'>) {
    this.self = self;
    this.#store = store;
    this.#lineage = [...lineage];
    this.#beforeAny = { origin: self, epoch: BEFORE_ANY };
    for (const start of lineage) this.#remember(start);
  }

  get all(): Lineage {
    return this.#lineage;
  }

  /** Also those that others are not told of any more: the messages that were retained in them are still theirs. */
  get known(): Lineage {
    this.#recall();
    return this.#lives.map(({ epoch, after }) => ({ ...epoch, after }));
  }

  /** Those that began in this process, the present one last. */
  get ofThisProcess(): Lineage {
    return this.#ofThisProcess;
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
    this.#ofThisProcess.push(this.present);
    // With the next checkpoint is soon enough: the newest 64 are in a file of their own, each before it begins.
    const lives = this.known.slice(-LIVES_MAX_COUNT);
    this.#store.setNote(NOTE, Buffer.from(JSON.stringify(lives), 'utf8'));
  }

  /** One object for each epoch. */
  sourceAt(position: LogPosition): MessageSource {
    this.#recall();
    const lives = this.#lives;
    for (let i = lives.length - 1; i >= 0; i--) {
      const life = lives[i];
      if (life !== undefined && (position > life.after || i === 0)) return life;
    }
    return this.#beforeAny;
  }

  #recall(): void {
    if (this.#isRecalled) return;
    this.#isRecalled = true;
    const note = this.#store.note(NOTE);
    if (note === undefined) return;
    const earlier = JSON.parse(Buffer.from(note).toString('utf8')) as Lineage;
    const first = this.#lives[0]?.epoch.counter ?? Infinity;
    const own = { origin: this.self };
    const lost = earlier.filter(({ counter }) => counter < first);
    this.#lives.unshift(
      ...lost.map(({ counter, nonce, after }) => ({ ...own, epoch: { counter, nonce }, after })),
    );
  }

  #remember({ counter, nonce, after }: EpochStart): void {
    this.#lives.push({ origin: this.self, epoch: { counter, nonce }, after });
  }
}
