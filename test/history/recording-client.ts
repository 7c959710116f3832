/**
 * A conformant MQTT client that writes down what it does and sees. It comes back after every broken connection, sends again what was
 * not finished, under the same packet ids, and never throws because of the broker or the network: a publish ends as `ok`, `fail` or
 * `info`. What the broker does against the protocol is in `faults`.
 *
 *     idle ──start──▶ dialling ──TCP──▶ connecting ──CONNACK──▶ connected
 *       ▲                ▲ │                │                       │
 *     leave, cut         │ └──────end───────┴──▶ waiting ◀──────────┘
 *                        └──────────────────────────┘
 */
import * as wire from '../support/wire.js';
import { describe, type Received } from '../support/wire-decode.js';
import { ClientLink, type LinkUser } from './client-link.js';
import { ClientSession, type WillChoices } from './client-session.js';
import { EXPIRES_NEVER, type DisconnectEvent, type EventBody, type Mid } from './event.js';
import type { HistorySink } from './history-writer.js';
import type { PublishChoices, PublishOutcome } from './outgoing.js';
import type { SubscriptionChoices } from './subscriptions.js';

export interface Endpoint {
  readonly host?: string;
  readonly port: number;
  /** Name of the node that listens there. */
  readonly node?: string;
}

export interface RecordingClientOptions {
  readonly history: HistorySink;
  /** Of this client alone, also where another one has its client id. */
  readonly actor: string;
  /** Number of this publisher in the run. */
  readonly publisher: number;
  readonly clientId: string;
  readonly endpoint: Endpoint;
  /** Default 5. */
  readonly version?: 4 | 5;
  /** Clean Start of every connection. Default false. */
  readonly clean?: boolean;
  /** Session Expiry Interval, MQTT 5. Default EXPIRES_NEVER. */
  readonly expiryS?: number;
  /** Default 30; 0 is none. */
  readonly keepAliveS?: number;
  /** Publishes in flight; the broker's Receive Maximum may lower it. Default 16. */
  readonly inflightMax?: number;
  /** MQTT 5. */
  readonly receiveMaximum?: number;
  readonly will?: WillChoices;
  readonly username?: string;
  readonly password?: string;
  /** Waiting before the next attempt: from the first to the second, doubling, with jitter. Default 20 and 1000. */
  readonly reconnectMinMs?: number;
  readonly reconnectMaxMs?: number;
  readonly random?: () => number;
  /** Called for every PUBLISH that is recorded; null where the payload names no message. */
  readonly onMessage?: (mid: Mid | null, topic: string) => void;
}

type State =
  | { readonly kind: 'idle' }
  /** CONNECT has not been sent, which leaves no trace. */
  | { readonly kind: 'dialling'; readonly link: ClientLink }
  | { readonly kind: 'connecting'; readonly link: ClientLink }
  | { readonly kind: 'connected'; readonly link: ClientLink }
  | { readonly kind: 'waiting'; readonly timer: NodeJS.Timeout };

const IDLE: State = { kind: 'idle' };
const KEEP_ALIVE_S = 30;

export class RecordingClient implements LinkUser {
  /** What the broker may not do, in the words of a failure message. */
  readonly faults: string[] = [];
  readonly #options: RecordingClientOptions;
  readonly #version: 4 | 5;
  readonly #session: ClientSession;
  #endpoint: Endpoint;
  #state: State = IDLE;
  #attempts = 0;
  #pings: NodeJS.Timeout | undefined;
  #watchers: (() => void)[] = [];

  constructor(options: RecordingClientOptions) {
    this.#options = options;
    this.#version = options.version ?? 5;
    this.#endpoint = options.endpoint;
    this.#session = new ClientSession({
      run: options.history.run,
      publisher: options.publisher,
      version: this.#version,
      inflightMax: options.inflightMax ?? 16,
      write: (body) => this.#write(body),
      fault: (text) => this.#fault(text),
      message: (mid, topic) => options.onMessage?.(mid, topic),
    });
  }

  get connected(): boolean {
    return this.#state.kind === 'connected';
  }

  /** Publishes that have not ended. */
  get pendingCount(): number {
    return this.#session.pendingCount;
  }

  /** Connects, and from now on again after every end. */
  start(): void {
    if (this.#state.kind === 'idle') this.#dial();
  }

  /** Where the next connection goes to. */
  moveTo(endpoint: Endpoint): void {
    this.#endpoint = endpoint;
  }

  /** Resolves when `holds` does; it is asked again whenever something has happened to this client. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#watchers.push(resolve));
  }

  whenConnected(): Promise<void> {
    return this.until(() => this.connected);
  }

  /** Resolves when no publish is waiting or in flight. */
  whenSettled(): Promise<void> {
    return this.until(() => this.pendingCount === 0);
  }

  /** @returns how it ended; at QoS 0 `info` as soon as it is sent. What waits for a connection has not begun. */
  publish(choices: PublishChoices): Promise<PublishOutcome> {
    return this.#session.publish(choices);
  }

  /** @returns the reason code of the first SUBACK. It is subscribed again in every new session. */
  subscribe(filter: string, choices: SubscriptionChoices): Promise<number> {
    return this.#session.ask(filter, choices);
  }

  /** @returns the reason code of the first UNSUBACK; 0 before MQTT 5. */
  unsubscribe(filter: string): Promise<number> {
    return this.#session.ask(filter, undefined);
  }

  /** Ends the connection as a failing network would, and comes back unless told not to. */
  cut({ comeBack = true } = {}): void {
    if ('link' in this.#state) {
      this.#state.link.cut();
      this.#end({ e: 'disc', by: 'net' });
    }
    if (!comeBack) this.#rest();
  }

  /** DISCONNECT, and no connection until `start`. Publishes that have not ended stay. */
  leave({ reasonCode = 0, expiryS }: { reasonCode?: number; expiryS?: number } = {}): void {
    const state = this.#state;
    if (state.kind !== 'connected') {
      this.cut({ comeBack: false });
      return;
    }
    // Before MQTT 5 it carries nothing.
    const rc = this.#version === 5 ? reasonCode : 0;
    const expiry = this.#version === 5 ? expiryS : undefined;
    const plain = rc === 0 && expiry === undefined;
    const properties = expiry === undefined ? {} : { sessionExpiryInterval: expiry };
    state.link.send(plain ? wire.disconnect() : wire.disconnect(rc, properties));
    state.link.close();
    this.#end({ e: 'disc', by: 'client', rc, ...(expiry !== undefined && { expiry }) });
    this.#rest();
  }

  #dial(): void {
    const { host = '127.0.0.1', port } = this.#endpoint;
    this.#state = { kind: 'dialling', link: new ClientLink({ host, port, version: this.#version }, this) };
  }

  /** CONNECT. */
  opened(link: ClientLink): void {
    const { clientId, clean = false, keepAliveS: keepAlive = KEEP_ALIVE_S, receiveMaximum } = this.#options;
    const { username, password } = this.#options;
    const { node = 'n1' } = this.#endpoint;
    const version = this.#version;
    const expiry = this.#expiryS();
    const will = this.#options.will && this.#session.createWill(this.#options.will);
    this.#state = { kind: 'connecting', link };
    this.#write({
      ...{ e: 'conn!', cid: clientId, node, clean, expiry, v: version, keepAlive },
      ...(will && { will: will.event }),
    });
    if (clean) this.#session.forget();
    const properties = {
      ...(expiry > 0 && { sessionExpiryInterval: expiry }),
      ...(receiveMaximum !== undefined && { receiveMaximum }),
    };
    link.send(
      wire.connect({
        ...{ version, clientId, clean, keepAlive, properties },
        ...(will && { will: will.fields }),
        ...(username !== undefined && { username }),
        ...(password !== undefined && { password }),
      }),
    );
  }

  packet(link: ClientLink, packet: Received): void {
    const { kind } = this.#state;
    if (kind === 'connecting' && packet.type === 'connack') {
      this.#onConnack(link, packet);
    } else if (kind !== 'connected') {
      this.#fault(`${describe(packet)} before CONNACK`);
    } else if (packet.type === 'disconnect') {
      link.cut();
      this.#end({ e: 'disc', by: 'broker', rc: packet.reasonCode });
    } else if (packet.type !== 'pingresp') {
      this.#session.packet(link, packet);
    }
    this.#happened();
  }

  ended(_link: ClientLink, by: 'broker' | 'net', fault?: string): void {
    if (fault !== undefined) this.#fault(fault);
    this.#end({ e: 'disc', by });
  }

  #onConnack(link: ClientLink, { reasonCode: rc, sessionPresent: present, properties }: Received): void {
    const { sessionExpiryInterval: expiry } = properties;
    this.#write({ e: 'conn.', present, rc, ...(expiry !== undefined && { expiry }) });
    if (rc !== 0) {
      link.cut();
      this.#end({ e: 'disc', by: 'broker', rc });
      return;
    }
    this.#state = { kind: 'connected', link };
    this.#attempts = 0;
    this.#keepAlive(link, properties.serverKeepAlive ?? this.#options.keepAliveS ?? KEEP_ALIVE_S);
    this.#session.attach(link, present, properties.receiveMaximum);
  }

  /** Silence of 1.5 keep alives is the end for a client too. */
  #keepAlive(link: ClientLink, keepAliveS: number): void {
    if (keepAliveS === 0) return;
    this.#pings = setInterval(() => {
      if (performance.now() - link.heardAtMs > keepAliveS * 1500) this.cut();
      else link.send(wire.PINGREQ);
    }, keepAliveS * 500);
  }

  /** The connection is over, whoever ended it. */
  #end(event: DisconnectEvent): void {
    if (this.#state.kind !== 'dialling') this.#write(event);
    clearInterval(this.#pings);
    this.#session.detach();
    const { reconnectMinMs = 20, reconnectMaxMs = 1000, random = Math.random } = this.#options;
    const waitMs = Math.min(reconnectMaxMs, reconnectMinMs * 2 ** this.#attempts++);
    const timer = setTimeout(() => this.#dial(), waitMs * (0.5 + random() / 2));
    this.#state = { kind: 'waiting', timer };
    this.#happened();
  }

  /** Back to where `start` is needed. */
  #rest(): void {
    if (this.#state.kind === 'waiting') clearTimeout(this.#state.timer);
    this.#state = IDLE;
  }

  #expiryS(): number {
    const { clean = false, expiryS = EXPIRES_NEVER } = this.#options;
    if (this.#version === 5) return expiryS;
    return clean ? 0 : EXPIRES_NEVER;
  }

  #write(body: EventBody): void {
    this.#options.history.write(this.#options.actor, body);
  }

  #fault(text: string): void {
    this.faults.push(`${this.#options.actor}: ${text}`);
  }

  #happened(): void {
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const resume of watchers) resume();
  }
}
