/** Who published what, who has it, and whether all sums are right. Nothing in here knows a broker. */
import { type Site, SITES } from './readings.js';
import type { Qos } from './device.js';

export const QOS: readonly Qos[] = [0, 1, 2];

/** How often each message came. */
class Seen {
  readonly times = new Map<string, number>();

  add(id: string): void {
    this.times.set(id, (this.times.get(id) ?? 0) + 1);
  }

  get distinct(): number {
    return this.times.size;
  }

  get repeated(): number {
    let sum = 0;
    for (const times of this.times.values()) sum += times - 1;
    return sum;
  }

  /** How many of these it has not. */
  missing(ids: Iterable<string>): number {
    let count = 0;
    for (const id of ids) if (!this.times.has(id)) count++;
    return count;
  }

  /** How many it has that are not among these. */
  strangers(ids: ReadonlySet<string>): number {
    let count = 0;
    for (const id of this.times.keys()) if (!ids.has(id)) count++;
    return count;
  }
}

class Entry {
  readonly published = new Set<string>();
  readonly acknowledged = new Set<string>();
  readonly delivered = new Map<Site, Seen>();
  archived = new Seen();
}

/** One line of the account: of what was published at one site with one QoS. */
export interface AccountRow {
  readonly site: Site;
  readonly qos: Qos;
  readonly published: number;
  /** Sent, with QoS 0. */
  readonly acknowledged: number;
  /** At each other site, in the order of SITES. */
  readonly delivered: readonly { readonly at: Site; readonly distinct: number; readonly repeated: number }[];
  readonly archived: number;
  readonly archivedTwice: number;
}

export interface Totals {
  readonly published: number;
  readonly acknowledged: number;
  readonly delivered: number;
}

export class Account {
  readonly #entries = new Map<string, Entry>();
  #totals = { published: 0, acknowledged: 0, delivered: 0 };

  get totals(): Totals {
    return { ...this.#totals };
  }

  published(site: Site, qos: Qos, id: string): void {
    this.#entry(site, qos).published.add(id);
    this.#totals.published++;
  }

  acknowledged(site: Site, qos: Qos, id: string): void {
    this.#entry(site, qos).acknowledged.add(id);
    this.#totals.acknowledged++;
  }

  /** @param at the site of the subscriber */
  delivered(at: Site, site: Site, qos: Qos, id: string): void {
    const { delivered } = this.#entry(site, qos);
    let seen = delivered.get(at);
    if (seen === undefined) delivered.set(at, (seen = new Seen()));
    seen.add(id);
    this.#totals.delivered++;
  }

  /** What was said of the archive is forgotten: it is read anew. */
  beginArchive(): void {
    for (const { entry } of this.#each()) entry.archived = new Seen();
  }

  archived(site: Site, qos: Qos, id: string): void {
    this.#entry(site, qos).archived.add(id);
  }

  /** How many messages of a site with QoS 1 and 2 are acknowledged, and have not come to each other site yet. */
  waiting(site: Site): { readonly at: Site; readonly count: number }[] {
    const entries = QOS.filter((qos) => qos > 0).map((qos) => this.#entry(site, qos));
    return others(site).map((at) => ({
      at,
      count: entries.reduce(
        (sum, entry) => sum + (entry.delivered.get(at) ?? new Seen()).missing(entry.acknowledged),
        0,
      ),
    }));
  }

  /** @returns whether what is acknowledged of a site by now has come to each other site by then */
  owed(site: Site): () => boolean {
    const owed = QOS.filter((qos) => qos > 0).map((qos) => {
      const entry = this.#entry(site, qos);
      return { entry, ids: [...entry.acknowledged] };
    });
    return () =>
      owed.every(({ entry, ids }) =>
        others(site).every((at) => (entry.delivered.get(at) ?? new Seen()).missing(ids) === 0),
      );
  }

  /** Whether every acknowledged message has come to every other site. */
  get isDelivered(): boolean {
    return this.#each().every(
      ({ site, qos, entry }) =>
        qos === 0 ||
        others(site).every((at) => (entry.delivered.get(at) ?? new Seen()).missing(entry.acknowledged) === 0),
    );
  }

  /** Whether every acknowledged message was found in the archive. */
  get isArchived(): boolean {
    return this.#each().every(
      ({ qos, entry }) => qos === 0 || entry.archived.missing(entry.acknowledged) === 0,
    );
  }

  rows(): AccountRow[] {
    return this.#each().map(({ site, qos, entry }) => ({
      ...{ site, qos, published: entry.published.size, acknowledged: entry.acknowledged.size },
      delivered: others(site).map((at) => {
        const { distinct, repeated } = entry.delivered.get(at) ?? new Seen();
        return { at, distinct, repeated };
      }),
      ...{ archived: entry.archived.distinct, archivedTwice: entry.archived.repeated },
    }));
  }

  /**
   * What is not as it has to be, for people; empty: every sum is right. QoS 1 and 2: all that was published is acknowledged, and has come to every other
   * site and into the archive; QoS 2: once. QoS 0 may be lost where something breaks, and comes once at most.
   */
  faults(): string[] {
    const faults: string[] = [];
    for (const { site, qos, entry } of this.#each()) {
      const of = `${site}, QoS ${qos}`;
      const say = (count: number, what: string): void => {
        if (count > 0) faults.push(`${of}: ${count} ${what}`);
      };
      const { published, acknowledged, archived } = entry;
      if (published.size === 0) faults.push(`${of}: nothing was published`);
      const owed = qos === 0 ? [] : published;
      if (qos > 0) say(published.size - acknowledged.size, 'published and not acknowledged');
      for (const at of others(site)) {
        const seen = entry.delivered.get(at) ?? new Seen();
        say(seen.missing(owed), `acknowledged and not delivered at ${at}`);
        say(seen.strangers(published), `delivered at ${at} that nobody published`);
        if (qos !== 1) say(seen.repeated, `delivered more than once at ${at}`);
      }
      say(archived.missing(owed), 'acknowledged and not archived');
      say(archived.strangers(published), 'archived that nobody published');
      if (qos !== 1) say(archived.repeated, 'archived more than once');
    }
    return faults;
  }

  #entry(site: Site, qos: Qos): Entry {
    const key = `${site} ${qos}`;
    let entry = this.#entries.get(key);
    if (entry === undefined) this.#entries.set(key, (entry = new Entry()));
    return entry;
  }

  #each(): { readonly site: Site; readonly qos: Qos; readonly entry: Entry }[] {
    return SITES.flatMap((site) => QOS.map((qos) => ({ site, qos, entry: this.#entry(site, qos) })));
  }
}

function others(site: Site): Site[] {
  return SITES.filter((one) => one !== site);
}
