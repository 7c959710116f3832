/**
 * Finds a gateway that archives for this one, stays with it for as long as it is there and does what it is asked for, and goes on through
 * another one that has the same store.
 *
 *     linked ── offer ──▶ candidate ── identify ──▶ the store that it is to be ──▶ in use ── link gone, store fails ──▶ the next one
 */
import type { ArchiveWay } from '../../../lib/contracts/archive-status.js';
import { type GatewayId, shortId } from '../../../lib/contracts/gateway-id.js';
import type { Logger } from '../../../lib/contracts/logger.js';
import type { ChannelUser, LinkedGateway } from '../../../lib/contracts/peer-channel.js';
import { ObjectFault } from '../object-store.js';
import { OFFER_WITHIN_MS } from './limits.js';
import {
  type BodyReader,
  faultAnswerOf,
  interrupted,
  type ObjectAnswer,
  type ObjectRequest,
} from './object-request.js';
import { nameOf, PendingRequests, type RequestPorts } from './pending-requests.js';
import { decodeFrame, RELAY_VERSION } from './relay-frames.js';

export interface ClientPorts extends RequestPorts {
  readonly logger: Logger;
  /** From 0 to below 1. */
  readonly random: () => number;
}

/** A gateway with a link, until that ends. */
interface Neighbour extends LinkedGateway {
  offers: boolean;
  /** Which store it has; undefined: it was not asked. */
  store: { readonly identity: string; readonly name: string } | undefined;
}

/** Shorter ones may be names. */
const ID_START_MIN = 8;
const NO_BODY: BodyReader = () => Promise.reject(new Error('nothing is created'));

export class RelayClient implements ChannelUser {
  readonly #ports: ClientPorts;
  readonly #wanted: string;
  readonly #neighbours = new Map<GatewayId, Neighbour>();
  readonly #requests: PendingRequests;
  #current: Neighbour | undefined;
  /** Its store failed last: others first. */
  #avoided: GatewayId | undefined;
  /** Of whom the log says that it goes through it. */
  #told: GatewayId | undefined;
  /** The store that it is; undefined: not known yet. */
  #identity: string | undefined;
  #bound: ((identity: string) => void) | undefined;
  #choosing: Promise<Neighbour> | undefined;
  /** Whoever looks for a gateway looks again. */
  #wake: () => void = () => undefined;
  #isOver = false;

  /** @param wanted name of a gateway, or the beginning of its id; empty: any */
  constructor(ports: ClientPorts, wanted: string) {
    this.#ports = ports;
    this.#requests = new PendingRequests(ports);
    this.#wanted = wanted;
  }

  /**
   * @param remembered the store to which this gateway archived last. Where no gateway was named, no other one is taken
   * @param bound called once, with the store that it is, before the first request is made
   */
  begin(remembered: string | undefined, bound: (identity: string) => void): void {
    if (this.#wanted === '') this.#identity = remembered;
    this.#bound = bound;
  }

  /** Through which gateway it goes; null: none at the moment. */
  get way(): ArchiveWay | null {
    const { store, id, site } = this.#current ?? {};
    return store === undefined || id === undefined
      ? null
      : { gateway: id, site: site ?? '', target: store.name };
  }

  /** Nothing is asked any more. */
  close(): void {
    this.#isOver = true;
    for (const id of [...this.#neighbours.keys()]) this.unlinked(id);
    this.#wake();
  }

  readonly ask = async (request: ObjectRequest, read: BodyReader): Promise<ObjectAnswer> => {
    try {
      const to = await this.#choose();
      const answer = await this.#request(to, request, read);
      if (answer.kind === 'fault' && answer.fault !== 'busy') this.#leave(to);
      return answer;
    } catch (error) {
      return faultAnswerOf(error);
    }
  };

  linked(gateway: LinkedGateway): void {
    this.unlinked(gateway.id);
    this.#neighbours.set(gateway.id, { ...gateway, offers: false, store: undefined });
  }

  unlinked(id: GatewayId): void {
    const gone = this.#neighbours.get(id);
    if (gone === undefined) return;
    this.#neighbours.delete(id);
    if (this.#current === gone) this.#current = undefined;
    this.#requests.unlinked(gone);
  }

  onFrame(from: GatewayId, bytes: Uint8Array): string | undefined {
    const neighbour = this.#neighbours.get(from);
    const frame = decodeFrame(bytes);
    if (neighbour === undefined || frame === undefined) return undefined;
    if (typeof frame === 'string') return frame;
    if (frame.kind === 'offer') {
      neighbour.offers = frame.numbers[0] === RELAY_VERSION;
      this.#wake();
      return undefined;
    }
    return this.#requests.received(neighbour, frame);
  }

  // Which gateway it is.

  #choose(): Promise<Neighbour> {
    if (this.#current !== undefined) return Promise.resolve(this.#current);
    this.#choosing ??= this.#find().finally(() => (this.#choosing = undefined));
    return this.#choosing;
  }

  /** Each that offers its archive, until one fits; those that come up meanwhile are looked at as well. */
  async #find(): Promise<Neighbour> {
    let isLate = this.#isOver;
    const patience = this.#ports.timers.after(OFFER_WITHIN_MS, () => {
      isLate = true;
      this.#wake();
    });
    const failures = new Map<Neighbour, ObjectFault>();
    try {
      for (;;) {
        for (const candidate of this.#candidates()) {
          if (failures.has(candidate)) continue;
          // oxlint-disable-next-line no-await-in-loop -- the first that fits is taken
          const failure = await this.#fits(candidate);
          if (failure === undefined) {
            this.#use(candidate);
            return candidate;
          }
          failures.set(candidate, failure);
        }
        if (isLate || this.#isOver) throw [...failures.values()][0] ?? this.#nobody();
        // oxlint-disable-next-line no-await-in-loop -- until something has changed
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      patience.cancel();
    }
  }

  /** Those that offer it: direct ones first, the one that failed last. */
  #candidates(): Neighbour[] {
    const rankOf = ({ id, isRelayed }: Neighbour): number =>
      (id === this.#avoided ? 2 : 0) + (isRelayed ? 1 : 0);
    return [...this.#neighbours.values()]
      .filter((one) => one.offers && this.#isWanted(one))
      .map((one) => ({ one, rank: rankOf(one) + this.#ports.random() }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ one }) => one);
  }

  #isWanted({ id, site }: Neighbour): boolean {
    const wanted = this.#wanted;
    return wanted === '' || site === wanted || (wanted.length >= ID_START_MIN && id.startsWith(wanted));
  }

  /** @returns why it is not to be used; undefined: it is */
  async #fits(candidate: Neighbour): Promise<ObjectFault | undefined> {
    if (candidate.store === undefined) {
      const answer = await this.#request(candidate, { kind: 'identify' }, NO_BODY);
      if (answer.kind === 'fault') return new ObjectFault(answer.fault, answer.text);
      if (answer.kind !== 'identity')
        return new ObjectFault('other', `${nameOf(candidate)} does not say which archive it has`);
      candidate.store = { identity: answer.identity, name: answer.name };
    }
    const { identity, name } = candidate.store;
    if (this.#identity !== undefined && identity !== this.#identity)
      return new ObjectFault(
        'unreachable',
        `${nameOf(candidate)} has another archive (${name}) than the one that this gateway archived to: ` +
          `archive.target: mesh:${candidate.site === '' ? shortId(candidate.id) : candidate.site} and a restart begin anew there`,
      );
    return undefined;
  }

  #use(candidate: Neighbour): void {
    const { store } = candidate;
    if (store === undefined || this.#neighbours.get(candidate.id) !== candidate) return;
    this.#identity = store.identity;
    this.#bound?.(store.identity);
    this.#bound = undefined;
    this.#current = candidate;
    if (this.#told === candidate.id) return;
    this.#told = candidate.id;
    this.#ports.logger.info('messages are archived through another gateway', {
      ...{ gateway: candidate.id, site: candidate.site, target: store.name },
    });
  }

  /** Its store does not do what it is asked for: another one may. */
  #leave(neighbour: Neighbour): void {
    this.#avoided = neighbour.id;
    if (this.#current === neighbour) this.#current = undefined;
  }

  #nobody(): ObjectFault {
    return new ObjectFault('unreachable', this.#nobodyText());
  }

  #nobodyText(): string {
    if (this.#wanted === '')
      return 'no member of the mesh offers its archive: set archive.forPeers on one that has a way to its archive';
    const there = [...this.#neighbours.values()].find((one) => this.#isWanted(one));
    return there === undefined
      ? `there is no link to ${this.#wanted}, which archive.target names: "sprawl-edge peers" shows who is there`
      : `${nameOf(there)} does not offer its archive: set archive.forPeers there`;
  }

  async #request(to: Neighbour, request: ObjectRequest, read: BodyReader): Promise<ObjectAnswer> {
    // What broke meanwhile, and may be there again, knows nothing of what was before.
    if (this.#neighbours.get(to.id) !== to) return interrupted(request, `the link to ${nameOf(to)} broke`);
    return this.#requests.ask(to, request, read);
  }
}
