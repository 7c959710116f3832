/** Who has left for good, as they say themselves, and is not back: nothing is kept for them. Frames of the channel `departures` are those of `frame`. */
import { type Epoch, isSameEpoch } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import {
  decodeDepartures,
  type Departure,
  DEPARTURES_MAX_COUNT,
  encodeDepartures,
  isSignedDeparture,
} from '../identity/departure.js';
import { MalformedFrame } from '../wire/bytes.js';

export interface DeparturesPorts {
  /** The life of it that is known last, and whether it is there; undefined: none is. */
  present(id: GatewayId): { readonly epoch: Epoch; readonly isLinked: boolean } | undefined;
  /** It is to be there after a restart. */
  save(frame: Uint8Array): void;
}

export class Departures {
  readonly #ports: DeparturesPorts;
  readonly #departures = new Map<GatewayId, Departure>();

  /** @param saved what `save` was given last */
  constructor(ports: DeparturesPorts, saved: Uint8Array | undefined) {
    this.#ports = ports;
    for (const departure of saved === undefined ? [] : departuresIn(saved))
      this.#departures.set(departure.gateway, departure);
  }

  has(id: GatewayId): boolean {
    return this.#departures.has(id);
  }

  /** undefined: nobody has left. */
  get frame(): Uint8Array | undefined {
    return this.#departures.size === 0 ? undefined : encodeDepartures([...this.#departures.values()]);
  }

  /** @throws MalformedFrame @returns what of it is news */
  merge(frame: Uint8Array): Departure[] {
    const news = decodeDepartures(frame).filter((departure) => this.#isNews(departure));
    for (const departure of news) {
      this.#departures.delete(departure.gateway);
      this.#departures.set(departure.gateway, departure);
    }
    for (const oldest of this.#departures.keys()) {
      if (this.#departures.size <= DEPARTURES_MAX_COUNT) break;
      this.#departures.delete(oldest);
    }
    if (news.length > 0) this.#save();
    return news;
  }

  /** It is there, in this life. @returns false: that is the one in which it left */
  arrives(id: GatewayId, epoch: Epoch): boolean {
    const departure = this.#departures.get(id);
    if (departure === undefined) return true;
    if (isSameEpoch(departure.epoch, epoch)) return false;
    this.#departures.delete(id);
    this.#save();
    return true;
  }

  #isNews(departure: Departure): boolean {
    const { gateway, epoch } = departure;
    const known = this.#departures.get(gateway);
    if (known !== undefined && known.epoch.counter >= epoch.counter) return false;
    const present = this.#ports.present(gateway);
    if (present !== undefined && !isSameEpoch(present.epoch, epoch)) {
      // It has come back since; or it is another process with the same key that has left.
      if (present.isLinked || present.epoch.counter > epoch.counter) return false;
    }
    return isSignedDeparture(departure);
  }

  #save(): void {
    this.#ports.save(encodeDepartures([...this.#departures.values()]));
  }
}

/** Others tell again what cannot be read. */
function departuresIn(frame: Uint8Array): Departure[] {
  try {
    return decodeDepartures(frame);
  } catch (error) {
    if (error instanceof MalformedFrame) return [];
    throw error;
  }
}
