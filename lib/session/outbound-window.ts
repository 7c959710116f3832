/**
 * The ACK tracker: QoS 1 and 2 messages on their way to one client, by packet id. Ids grow and a slot is `id & mask`,
 * so sending and acknowledging allocate nothing; the arrays appear with the first message and grow to the window.
 *
 *     free ──send──▶ publish ──PUBACK──────────────▶ free                     QoS 1
 *                    publish ──PUBREC──▶ pubrel ──PUBCOMP──▶ free             QoS 2
 */
import type { DeliveryFlags, LogPosition } from '../contracts/store.js';
import type { Message } from '../message/message.js';

export const SlotState = { free: 0, publish: 1, pubrel: 2 } as const;
export type SlotState = (typeof SlotState)[keyof typeof SlotState];

const INITIAL_SLOTS = 8;

/** Shared by all windows that have not sent anything: most sessions of a gateway are such. */
const NO_U16 = new Uint16Array(0);
const NO_U8 = new Uint8Array(0);
const NO_F64 = new Float64Array(0);
const NOTHING: undefined[] = [];

export class OutboundWindow {
  #mask = -1;
  #ids = NO_U16;
  #states = NO_U8;
  #attempts = NO_U8;
  #flags = NO_U8;
  #order = NO_F64;
  #sentAt = NO_F64;
  #positions = NO_F64;
  #messages: (Message | undefined)[] = NOTHING;
  #identifiers: (readonly number[] | undefined)[] = NOTHING;
  #nextId = 1;
  #sequence = 0;
  #used = 0;
  /** Ids that were given up while their client may still hold them. */
  #burned: Set<number> | undefined;

  /** Messages without their last acknowledgement. */
  get used(): number {
    return this.#used;
  }

  /**
   * Takes the next free packet id for a message. Ids are never used twice at a time [MQTT-2.2.1-3]; the caller keeps `used`
   * below 65535.
   */
  allocate(message: Message, flags: number, identifiers: readonly number[] | undefined, now: number): number {
    if (this.#used > this.#mask) this.#grow();
    let id = this.#nextId;
    let tried = 0;
    while (this.#states[id & this.#mask] !== SlotState.free || this.#burned?.has(id) === true) {
      id = id === 65535 ? 1 : id + 1;
      // All ids of the slots that are free were given up: better one of them than none.
      if (++tried === 65535) this.#burned = undefined;
    }
    this.#nextId = id === 65535 ? 1 : id + 1;
    const slot = id & this.#mask;
    this.#ids[slot] = id;
    this.#states[slot] = SlotState.publish;
    this.#attempts[slot] = 1;
    this.#flags[slot] = flags;
    this.#order[slot] = ++this.#sequence;
    this.#sentAt[slot] = now;
    this.#positions[slot] = message.position;
    this.#messages[slot] = message;
    this.#identifiers[slot] = identifiers;
    this.#used++;
    return id;
  }

  /** A packet of before a restart, behind those that were restored before it; its message is missing. One that is there goes. */
  restore(
    id: number,
    state: typeof SlotState.publish | typeof SlotState.pubrel,
    flags: number,
    identifiers: readonly number[] | undefined,
    position: LogPosition,
  ): void {
    if (this.stateOf(id) !== SlotState.free) this.free(id);
    while (this.#mask < 0 || this.#states[id & this.#mask] !== SlotState.free) this.#grow();
    const slot = id & this.#mask;
    this.#ids[slot] = id;
    this.#states[slot] = state;
    this.#attempts[slot] = 1;
    this.#flags[slot] = flags;
    this.#order[slot] = ++this.#sequence;
    this.#sentAt[slot] = 0;
    this.#positions[slot] = position;
    this.#messages[slot] = undefined;
    this.#identifiers[slot] = identifiers;
    this.#used++;
    this.#nextId = id === 65535 ? 1 : id + 1;
  }

  /** The message of a packet that was restored. */
  supply(id: number, message: Message): void {
    this.#messages[id & this.#mask] = message;
  }

  /** `free` where the id is not in use. */
  stateOf(id: number): SlotState {
    const slot = id & this.#mask;
    return this.#mask >= 0 && this.#ids[slot] === id ? (this.#states[slot] as SlotState) : SlotState.free;
  }

  messageOf(id: number): Message | undefined {
    return this.#messages[id & this.#mask];
  }

  /** Where the log has the message; 0: nowhere. */
  positionOf(id: number): LogPosition {
    return this.#positions[id & this.#mask] as number;
  }

  flagsOf(id: number): DeliveryFlags {
    return this.#flags[id & this.#mask] as number;
  }

  identifiersOf(id: number): readonly number[] | undefined {
    return this.#identifiers[id & this.#mask];
  }

  attemptsOf(id: number): number {
    return this.#attempts[id & this.#mask] as number;
  }

  sentAtOf(id: number): number {
    return this.#sentAt[id & this.#mask] as number;
  }

  /** Counts one more try (at most 255) and restarts the clock of the packet. */
  retried(id: number, now: number): void {
    const slot = id & this.#mask;
    this.#attempts[slot] = Math.min(255, (this.#attempts[slot] as number) + 1);
    this.#sentAt[slot] = now;
  }

  /** PUBREC arrived: the message itself is no longer needed, only its id. */
  toPubrel(id: number, now: number): void {
    const slot = id & this.#mask;
    this.#states[slot] = SlotState.pubrel;
    this.#messages[slot] = undefined;
    this.#identifiers[slot] = undefined;
    this.#sentAt[slot] = now;
  }

  free(id: number): void {
    const slot = id & this.#mask;
    this.#states[slot] = SlotState.free;
    this.#messages[slot] = undefined;
    this.#identifiers[slot] = undefined;
    this.#used--;
  }

  /**
   * Frees a QoS 2 id that its client may still hold: it is not used again until the client shows that it has let go of
   * it, or a new message under it would be taken for a repetition. Beyond half of all ids the oldest are used again.
   */
  burn(id: number): void {
    this.free(id);
    const burned = (this.#burned ??= new Set());
    burned.add(id);
    const [oldest] = burned;
    if (burned.size > 32768 && oldest !== undefined) burned.delete(oldest);
  }

  burned(): number[] {
    return this.#burned === undefined ? [] : [...this.#burned];
  }

  /** An id that was given up before a restart. */
  restoreBurned(id: number): void {
    (this.#burned ??= new Set()).add(id);
  }

  /** The client answered for the id to the end. */
  settle(id: number): void {
    this.#burned?.delete(id);
  }

  /** Ids in use in the order in which they were first sent. */
  idsInOrder(): number[] {
    const slots: number[] = [];
    for (let slot = 0; slot <= this.#mask; slot++)
      if (this.#states[slot] !== SlotState.free) slots.push(slot);
    slots.sort((a, b) => (this.#order[a] as number) - (this.#order[b] as number));
    return slots.map((slot) => this.#ids[slot] as number);
  }

  /** Copies what waits for an acknowledgement out of read buffers. */
  detachMessages(): void {
    for (const message of this.#messages) message?.detach();
  }

  #grow(): void {
    const ids = this.#mask < 0 ? [] : this.idsInOrder();
    const old = {
      mask: this.#mask,
      states: this.#states,
      attempts: this.#attempts,
      flags: this.#flags,
      order: this.#order,
      sentAt: this.#sentAt,
      positions: this.#positions,
      messages: this.#messages,
      identifiers: this.#identifiers,
    };
    // A larger table has a place for each id that is in use: ids that differ modulo n differ modulo 2n.
    const capacity = this.#mask < 0 ? INITIAL_SLOTS : (this.#mask + 1) * 2;
    this.#mask = capacity - 1;
    this.#ids = new Uint16Array(capacity);
    this.#states = new Uint8Array(capacity);
    this.#attempts = new Uint8Array(capacity);
    this.#flags = new Uint8Array(capacity);
    this.#order = new Float64Array(capacity);
    this.#sentAt = new Float64Array(capacity);
    this.#positions = new Float64Array(capacity);
    this.#messages = new Array<Message | undefined>(capacity).fill(undefined);
    this.#identifiers = new Array<undefined>(capacity).fill(undefined);
    for (const id of ids) {
      const from = id & old.mask;
      const to = id & this.#mask;
      this.#ids[to] = id;
      this.#states[to] = old.states[from] as number;
      this.#attempts[to] = old.attempts[from] as number;
      this.#flags[to] = old.flags[from] as number;
      this.#order[to] = old.order[from] as number;
      this.#sentAt[to] = old.sentAt[from] as number;
      this.#positions[to] = old.positions[from] as number;
      this.#messages[to] = old.messages[from];
      this.#identifiers[to] = old.identifiers[from];
    }
  }
}
