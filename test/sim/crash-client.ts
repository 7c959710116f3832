/**
 * A conformant client that outlives the gateway's crashes: the session of the recording client, with its packet ids and what it wants to
 * be subscribed to, over simulated links. Everything that it does and sees is written down for the checker of histories.
 */
import { ClientSession, type WillChoices } from '../history/client-session.js';
import { EXPIRES_NEVER, type DisconnectEvent, type EventBody, type NodeId } from '../history/event.js';
import type { PublishChoices } from '../history/outgoing.js';
import type { SubscriptionChoices } from '../history/subscriptions.js';
import { decode, type Received } from '../support/wire-decode.js';
import * as wire from '../support/wire.js';
import type { CrashClientProfile } from './crash-plan.js';
import type { Scheduler } from './scheduler.js';
import type { Link, LinkClient } from './link.js';
import type { Random } from './random.js';

const KEEP_ALIVE_S = 3;

/** What a client needs of the world that it lives in, at the gateway where it is at home. */
export interface ClientWorld {
  readonly run: string;
  readonly node: NodeId;
  readonly scheduler: Scheduler;
  readonly isHealing: boolean;
  readonly canDial: boolean;
  random(stream: string): Random;
  dial(client: LinkClient, name: string): Link;
  fail(invariant: string, text: string): void;
  write(actor: string, body: EventBody): void;
  /** Every packet that comes, then those that are for the session. */
  observe(packet: Received): void;
  accepted(client: CrashClient, present: boolean): void;
  seen(client: CrashClient, packet: Received): void;
}

/** One connection, from the client's side. */
class ClientLink implements LinkClient {
  link: Link | undefined;
  accepted = false;
  isOver = false;
  /** Session Expiry Interval in force. */
  expiryS: number;
  #rest: Buffer = Buffer.alloc(0);

  constructor(
    private readonly client: CrashClient,
    expiryS: number,
  ) {
    this.expiryS = expiryS;
  }

  send(bytes: wire.Bytes): void {
    this.link?.send(Uint8Array.from(bytes));
  }

  data(bytes: Uint8Array): void {
    let rest = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes]);
    while (!this.isOver) {
      const packet = decode(rest, this.client.profile.version);
      if (packet === undefined) break;
      rest = rest.subarray(packet.bytes.length);
      this.client.packet(this, packet);
    }
    this.#rest = rest;
  }

  ended(): void {
    if (!this.isOver) this.client.ended(this);
  }
}

export class CrashClient {
  readonly profile: CrashClientProfile;
  readonly #world: ClientWorld;
  readonly #random: Random;
  readonly #session: ClientSession;
  #link: ClientLink | undefined;
  /** It has thrown its state away: until a CONNECT without it is accepted, a session that is present would be one that it does not know [MQTT-3.2.2-4]. */
  #mustStartClean = false;
  /** Filters that it has asked for. */
  readonly filters = new Set<string>();
  /** The connection whose DISCONNECT is on its way: another one would overtake it. */
  #leaving: Link | undefined;

  constructor(world: ClientWorld, profile: CrashClientProfile, number: number) {
    this.#world = world;
    this.profile = profile;
    this.#random = world.random(`client ${profile.id}`);
    this.#session = new ClientSession({
      ...{ run: world.run, publisher: number, version: profile.version },
      ...{ inflightMax: profile.inflightMax, packetIds: profile.packetIds },
      write: (body) => this.#write(body),
      fault: (text) => world.fail('a client sees only what MQTT allows', `${profile.id}: ${text}`),
      message: () => {},
    });
  }

  get isConnected(): boolean {
    return this.#link?.accepted === true;
  }

  get isIdle(): boolean {
    return this.#link === undefined && this.#leaving?.serverClosed !== false;
  }

  get isDurable(): boolean {
    return this.profile.expiryS > 0;
  }

  get pendingCount(): number {
    return this.#session.pendingCount;
  }

  /** Where the gateway can be reached; else nothing happens. */
  connect({ clean, will }: { readonly clean: boolean; readonly will?: WillChoices }): void {
    if (!this.isIdle || !this.#world.canDial) return;
    const { id, version, receiveMaximum } = this.profile;
    const cleanStart = clean || !this.isDurable || this.#mustStartClean;
    const expiry = version === 5 ? this.profile.expiryS : cleanStart ? 0 : EXPIRES_NEVER;
    // A will that ends with its connection is lost with the gateway.
    const created = will === undefined || expiry === 0 ? undefined : this.#session.createWill(will);
    const link = new ClientLink(this, expiry);
    this.#link = link;
    link.link = this.#world.dial(link, `${id} ${this.#random.u32()}`);
    this.#write({
      ...{
        e: 'conn!',
        cid: id,
        node: this.#world.node,
        clean: cleanStart,
        expiry,
        v: version,
        keepAlive: KEEP_ALIVE_S,
      },
      ...(created && { will: created.event }),
    });
    if (cleanStart) {
      this.#forget();
      this.filters.clear();
    }
    const properties = {
      ...(expiry > 0 && { sessionExpiryInterval: expiry }),
      ...(receiveMaximum !== undefined && { receiveMaximum }),
    };
    link.send(
      wire.connect({
        ...{ version, clientId: id, clean: cleanStart, keepAlive: KEEP_ALIVE_S, properties },
        ...(created && { will: created.fields }),
      }),
    );
    this.#keepAlive(link);
    if (this.profile.slow) this.#dawdle(link);
  }

  publish(choices: PublishChoices): void {
    void this.#session.publish(choices);
  }

  subscribe(filter: string, choices: SubscriptionChoices): void {
    this.filters.add(filter);
    void this.#session.ask(filter, choices);
  }

  unsubscribe(filter: string): void {
    this.filters.delete(filter);
    void this.#session.ask(filter, undefined);
  }

  /** RST. */
  cut(): void {
    const link = this.#link;
    if (link === undefined) return;
    link.link?.reset();
    this.#end(link, { e: 'disc', by: 'net' });
  }

  /** It is gone without a word. */
  vanish(): void {
    const link = this.#link;
    if (link === undefined) return;
    link.link?.vanish();
    this.#end(link, { e: 'disc', by: 'net' });
  }

  /** DISCONNECT and FIN. */
  leave(reasonCode: number, expiryS: number | undefined): void {
    const link = this.#link;
    if (link === undefined || !link.accepted) return;
    const v5 = this.profile.version === 5;
    const rc = v5 ? reasonCode : 0;
    const expiry = v5 ? expiryS : undefined;
    const plain = rc === 0 && expiry === undefined;
    const properties = expiry === undefined ? {} : { sessionExpiryInterval: expiry };
    link.send(plain ? wire.disconnect() : wire.disconnect(rc, properties));
    link.link?.close();
    this.#leaving = link.link;
    if (expiry !== undefined) link.expiryS = expiry;
    this.#end(link, { e: 'disc', by: 'client', rc, ...(expiry !== undefined && { expiry }) });
  }

  // What comes.

  packet(link: ClientLink, packet: Received): void {
    if (link !== this.#link) return;
    this.#world.observe(packet);
    if (packet.type === 'connack') {
      this.#onConnack(link, packet);
    } else if (packet.type === 'disconnect') {
      link.link?.close();
      this.#end(link, { e: 'disc', by: 'broker', rc: packet.reasonCode });
    } else if (packet.type !== 'pingresp') {
      this.#world.seen(this, packet);
      this.#session.packet(link, packet);
    }
  }

  ended(link: ClientLink): void {
    if (link === this.#link) this.#end(link, { e: 'disc', by: 'net' });
  }

  startReading(): void {
    this.#link?.link?.startReading();
  }

  #onConnack(link: ClientLink, { reasonCode: rc, sessionPresent: present, properties }: Received): void {
    const { sessionExpiryInterval: expiry } = properties;
    this.#write({ e: 'conn.', present, rc, ...(expiry !== undefined && { expiry }) });
    if (rc !== 0) {
      link.link?.close();
      this.#end(link, { e: 'disc', by: 'broker', rc });
      return;
    }
    link.accepted = true;
    this.#mustStartClean = false;
    if (!present) this.filters.clear();
    this.#world.accepted(this, present);
    this.#session.attach(link, present, properties.receiveMaximum);
  }

  #end(link: ClientLink, event: DisconnectEvent): void {
    link.isOver = true;
    this.#link = undefined;
    this.#write(event);
    this.#session.detach();
    // It has ended with its connection, on this side too.
    if (link.expiryS === 0) this.#forget();
  }

  #forget(): void {
    this.#session.forget();
    this.#mustStartClean = true;
  }

  #keepAlive(link: ClientLink): void {
    this.#world.scheduler.after(KEEP_ALIVE_S * 500, 'keep alive', () => {
      if (link.isOver) return;
      if (link.accepted) link.send(wire.PINGREQ);
      this.#keepAlive(link);
    });
  }

  /** Stops reading now and then. */
  #dawdle(link: ClientLink): void {
    this.#world.scheduler.after(this.#random.delay(1000), 'stops reading', () => {
      if (link.isOver || this.#world.isHealing) return;
      link.link?.stopReading();
      this.#world.scheduler.after(this.#random.delay(1500), 'reads again', () => {
        link.link?.startReading();
        this.#dawdle(link);
      });
    });
  }

  #write(body: EventBody): void {
    this.#world.write(this.profile.id, body);
  }
}
