/** A gateway that archives through others, with links that a test breaks, threads that are none, and time that passes when nothing else happens. */
import type { LinkedGateway } from '../../lib/contracts/peer-channel.js';
import type { Clock, TimerHandle, Timers } from '../../lib/contracts/clock.js';
import { type GatewayId, gatewayIdOf } from '../../lib/contracts/gateway-id.js';
import { bodyOf, type ObjectStore } from '../../bridge/archive/object-store.js';
import type { AskStore } from '../../bridge/archive/relay/object-request.js';
import { RelayClient } from '../../bridge/archive/relay/relay-client.js';
import { RelayServer } from '../../bridge/archive/relay/relay-server.js';
import { RelayedObjectStore } from '../../bridge/archive/relay/relayed-object-store.js';
import { servedStore } from '../../bridge/archive/relay/served-store.js';
import { StoreAnswerer, StoreAsker } from '../../bridge/archive/relay/store-calls.js';
import { allTurns } from '../sim/scheduler.js';
import { nullLogger } from './null-logger.js';

export class IdleTime implements Clock, Timers {
  #now = 1000;
  #waiting: { readonly at: number; readonly fire: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  wall(): number {
    return 1_800_000_000_000 + this.#now;
  }

  after(delayMs: number, fire: () => void): TimerHandle {
    const one = { at: this.#now + delayMs, fire };
    this.#waiting.push(one);
    return { cancel: () => void (this.#waiting = this.#waiting.filter((other) => other !== one)) };
  }

  get isWaited(): boolean {
    return this.#waiting.length > 0;
  }

  /** To the next that is waited for. */
  next(): void {
    const [first] = [...this.#waiting].sort((a, b) => a.at - b.at);
    if (first === undefined) return;
    this.#waiting = this.#waiting.filter((one) => one !== first);
    this.#now = Math.max(this.#now, first.at);
    first.fire();
  }

  /** What is resolved in the end, where time passes only while nothing happens. */
  async settle<T>(promise: Promise<T>): Promise<T> {
    let isOver = false;
    const over = (): void => void (isOver = true);
    promise.then(over, over);
    for (await allTurns(); !isOver; await allTurns()) this.next();
    return promise;
  }
}

/** One asks, the other one does it, in another thread as it were. */
export function asIfInThread(ask: AskStore): AskStore {
  const asker = new StoreAsker((call) => queueMicrotask(() => answerer.told(structuredClone(call))));
  const answerer = new StoreAnswerer((call) => queueMicrotask(() => asker.told(structuredClone(call))), ask);
  return asker.ask;
}

export const idOf = (number: number): GatewayId => gatewayIdOf(new Uint8Array(32).fill(number));
export const SELF = idOf(1);

const PIECE_BYTES = 100_000;

/** The same store, which takes what is created in it piece by piece, as a real one does. */
function inPieces(store: ObjectStore): ObjectStore {
  const create: ObjectStore['create'] = async (key, body) => {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < body.length; at += PIECE_BYTES)
      pieces.push(await body.read(at, Math.min(PIECE_BYTES, body.length - at)));
    return store.create(key, bodyOf(Buffer.concat(pieces)));
  };
  return {
    ...{ name: store.name, create },
    createsOnce: () => store.createsOnce(),
    read: (key, range) => store.read(key, range),
    stat: (key) => store.stat(key),
    list: (prefix, after) => store.list(prefix, after),
    remove: (key) => store.remove(key),
  };
}

interface Hub {
  readonly server: RelayServer;
  readonly gateway: LinkedGateway;
  /** Frames on their way: a link that breaks loses them. */
  readonly toHub: Uint8Array[];
  readonly toSelf: Uint8Array[];
  isLinked: boolean;
}

export interface RelayWorldOptions {
  readonly wanted?: string;
  readonly frameMaxBytes?: number;
}

export class RelayWorld {
  readonly time = new IdleTime();
  readonly client: RelayClient;
  readonly store: RelayedObjectStore;
  readonly hubs = new Map<GatewayId, Hub>();
  readonly log: string[] = [];
  readonly closed: string[] = [];
  /** Asked for each frame that arrives: whether the link breaks before it. */
  breaks: () => boolean = () => false;
  #identities = 0;
  readonly #frameMaxBytes: number;

  constructor({ wanted = '', frameMaxBytes = 10_000 }: RelayWorldOptions = {}) {
    this.#frameMaxBytes = frameMaxBytes;
    this.client = new RelayClient(
      {
        ...{ timers: this.time, random: () => 0, frameMaxBytes },
        logger: { ...nullLogger, info: (message, fields) => this.log.push(`${message} ${fields?.['site']}`) },
        send: (to, frame) => this.#send(to, 'toHub', frame),
      },
      wanted,
    );
    this.store = new RelayedObjectStore('mesh', asIfInThread(this.client.ask));
  }

  /** A gateway that archives for others. */
  hub(number: number, store: ObjectStore, { isRelayed = false } = {}): Hub {
    const id = idOf(number);
    const randomBytes = (size: number): Uint8Array => new Uint8Array(size).fill(++this.#identities);
    const server = new RelayServer(
      {
        ...{ clock: this.time, timers: this.time, frameMaxBytes: this.#frameMaxBytes },
        ask: asIfInThread(servedStore(inPieces(store), randomBytes)),
        send: (_to, frame) => this.#send(id, 'toSelf', frame),
      },
      { pieceMaxBytes: PIECE_BYTES },
    );
    const gateway = { id, site: `hub${number}`, isRelayed };
    const hub = { server, gateway, toHub: [], toSelf: [], isLinked: false };
    this.hubs.set(id, hub);
    return hub;
  }

  link(hub: Hub): void {
    hub.isLinked = true;
    this.client.linked(hub.gateway);
    hub.server.linked({ id: SELF, site: 'mill', isRelayed: false });
  }

  unlink(hub: Hub): void {
    if (!hub.isLinked) return;
    hub.isLinked = false;
    hub.toHub.length = 0;
    hub.toSelf.length = 0;
    this.client.unlinked(hub.gateway.id);
    hub.server.unlinked(SELF);
  }

  #send(id: GatewayId, way: 'toHub' | 'toSelf', frame: Uint8Array): boolean {
    const hub = this.hubs.get(id);
    if (hub?.isLinked !== true) return false;
    hub[way].push(frame);
    queueMicrotask(() => this.#arrive(hub, way));
    return true;
  }

  #arrive(hub: Hub, way: 'toHub' | 'toSelf'): void {
    if (hub[way].length > 0 && this.breaks()) this.unlink(hub);
    const frame = hub[way].shift();
    if (frame === undefined) return;
    const refusal =
      way === 'toHub' ? hub.server.onFrame(SELF, frame) : this.client.onFrame(hub.gateway.id, frame);
    if (refusal === undefined) return;
    this.closed.push(refusal);
    this.unlink(hub);
  }
}
