/** Histories as somebody tells them: each call is one step of one client, a millisecond after the one before. */
import {
  EXPIRES_NEVER,
  type ConnectEvent,
  type DisconnectEvent,
  type EventBody,
  type EventQoS,
  type HistoryEvent,
  type Mid,
  type PublishEvent,
  type ReceiveEvent,
  type SubscribeEvent,
} from './event.js';

const NS_PER_MS = 1e6;

export class HandMade {
  readonly events: HistoryEvent[] = [];
  /** What was published, by publisher and sequence number. */
  readonly published = new Map<string, PublishEvent>();
  #nowMs = 0;
  #publishers = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  wait(ms: number): void {
    this.#nowMs += ms;
  }

  write(p: string, body: EventBody): void {
    this.#nowMs += 1;
    const t = BigInt(Math.round(this.#nowMs * NS_PER_MS));
    this.events.push({ t, run: 'hand-made', p, i: this.events.length, ...body });
  }

  client(name: string, changes: Partial<ConnectEvent> = {}): HandMadeClient {
    return new HandMadeClient(this, name, this.#publishers++, changes);
  }

  fault(what: string, nodes: string[] = ['n1']): void {
    this.write('nemesis', { e: 'fault', what, nodes });
  }
  heal(what: string, nodes: string[] = ['n1']): void {
    this.write('nemesis', { e: 'heal', what, nodes });
  }

  /** Nothing more comes. */
  drain(waitMs = 10_000): void {
    this.write('harness', { e: 'drain!' });
    this.wait(waitMs);
    this.write('harness', { e: 'drain.' });
  }
}

export interface HandMadePublish {
  readonly retain?: boolean;
  readonly empty?: boolean;
  readonly expiry?: number;
  /** Reason code of PUBACK or PUBREC; null: it never comes. Default 0. */
  readonly rc?: number | null;
}

export class HandMadeClient {
  #pid = 1;
  #seq = 0;
  #will: (() => ConnectEvent['will']) | undefined;

  constructor(
    readonly history: HandMade,
    readonly name: string,
    readonly publisher: number,
    readonly connect: Partial<ConnectEvent>,
  ) {}

  /** The same client at another actor. */
  twin(name: string, changes: Partial<ConnectEvent> = {}): HandMadeClient {
    return this.history.client(name, { cid: this.name, ...this.connect, ...changes });
  }

  withWill(topic: string, delay = 0, q: EventQoS = 1): this {
    this.#will = () => ({ m: this.#nextMid(), topic, q, retain: false, delay });
    return this;
  }

  /** CONNECT and CONNACK. */
  on(present = false, changes: Partial<ConnectEvent> = {}): void {
    this.ask(changes);
    this.write({ e: 'conn.', present, rc: 0 });
  }

  /** CONNECT alone. */
  ask(changes: Partial<ConnectEvent> = {}): void {
    const will = this.#will?.();
    this.write({
      e: 'conn!',
      ...{
        cid: this.name,
        node: 'n1',
        clean: false,
        expiry: EXPIRES_NEVER,
        v: 5,
        ...this.connect,
        ...changes,
      },
      ...(will && { will }),
    });
  }

  off(by: DisconnectEvent['by'] = 'client', rc?: number): void {
    this.write({ e: 'disc', by, ...(rc === undefined ? by === 'client' && { rc: 0 } : { rc }) });
  }

  subscribe(f: string, q: EventQoS = 1, more: Partial<SubscribeEvent> = {}, rc: number = q): void {
    this.subscribing(f, q, more)(rc);
  }

  /** SUBSCRIBE alone. @returns what writes its SUBACK. */
  subscribing(f: string, q: EventQoS = 1, more: Partial<SubscribeEvent> = {}): (rc?: number) => void {
    const pid = this.#pid++;
    this.write({ e: 'sub!', f, q, pid, ...more });
    return (rc = q) => this.write({ e: 'sub.', f, pid, rc });
  }

  unsubscribe(f: string): void {
    const pid = this.#pid++;
    this.write({ e: 'unsub!', f, pid });
    this.write({ e: 'unsub.', f, pid, rc: 0 });
  }

  publish(topic: string, q: EventQoS = 1, { rc = 0, retain = false, ...more }: HandMadePublish = {}): Mid {
    const m = this.#nextMid();
    const pid = this.#pid++;
    const event: PublishEvent = {
      ...{ e: 'pub!', m, topic, q, retain, dup: false },
      ...(q > 0 && { pid }),
      ...more,
    };
    this.history.published.set(`${m.pub}/${m.seq}`, event);
    this.write(event);
    if (q > 0 && rc !== null) this.acknowledge(m, rc);
    return m;
  }

  /** The same message once more. */
  publishAgain(m: Mid, rc: number | null = 0): void {
    const event = this.history.published.get(`${m.pub}/${m.seq}`);
    if (event === undefined) throw new RangeError(`message ${m.seq} was not published`);
    this.write({ ...event, dup: true });
    if (rc !== null) this.acknowledge(m, rc);
  }

  acknowledge(m: Mid, rc = 0): void {
    const q = this.history.published.get(`${m.pub}/${m.seq}`)?.q ?? 1;
    this.write({ e: 'pub.', m, how: q === 1 ? 'PUBACK' : 'PUBREC', rc });
    if (q === 2 && rc < 0x80) this.write({ e: 'pub.', m, how: 'PUBCOMP', rc: 0 });
  }

  /** A PUBLISH; at QoS 2 with its PUBREL, unless the packet id is given. */
  receive(m: Mid, changes: Partial<ReceiveEvent> = {}): void {
    const event = this.history.published.get(`${m.pub}/${m.seq}`);
    const q = changes.q ?? event?.q ?? 1;
    const pid = changes.pid ?? this.#pid++;
    this.write({
      ...{ e: 'recv', m, topic: event?.topic ?? 'will', q, retain: false, dup: false, bytesOk: true },
      ...(q > 0 && { pid }),
      ...changes,
    });
    if (q === 2 && changes.pid === undefined) this.release(pid);
  }

  release(pid: number): void {
    this.write({ e: 'rel', pid });
  }

  write(body: EventBody): void {
    this.history.write(this.name, body);
  }

  #nextMid(): Mid {
    return { pub: this.publisher, seq: this.#seq++ };
  }
}
