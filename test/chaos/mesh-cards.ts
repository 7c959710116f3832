/** What operators do to data folders: copies that run beside the original, old ones that are put back; and gateways that are evicted. */
import { cpSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../sim/random.js';
import { Recording } from './judgement.js';
import { MeshFleet } from './mesh-fleet.js';
import { MeshFormation, runTool } from './mesh-formation.js';
import { StateClient } from './state-client.js';
import { MeshGateway, within } from './mesh-gateway.js';
import type { ProofReport } from './report.js';
import { freePort } from '../support/free-port.js';

const SOON_MS = 15_000;
const CLONE = 'also used by another machine';
const PUBLISH_EVERY_MS = 100;
/** Said by who is copied, put back or evicted, and by who meets it. */
const EXPECTED = [
  /also used by another machine/,
  /two machines use the identity/,
  /put back|older|old image|rolled back/,
];

type Card = (cards: Cards) => Promise<void>;

class Cards {
  readonly failures: string[] = [];
  readonly figures: Record<string, number | string> = {};

  constructor(
    readonly recording: Recording,
    readonly formation: MeshFormation,
    readonly fleet: MeshFleet,
    /** The one that it is done to; clients of the fleet are at home at the others. */
    readonly odd: MeshGateway,
  ) {}

  get rest(): MeshGateway[] {
    return this.formation.gateways.filter((one) => one !== this.odd);
  }

  async soon(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
    const tookMs = await within(SOON_MS, holds);
    if (tookMs === undefined) this.failures.push(`not within ${SOON_MS} ms: ${what}`);
    else this.figures[`${what}, ms`] = Math.round(tookMs);
  }

  async isStopped(one: MeshGateway): Promise<boolean> {
    return (await one.status())?.self.state === 'stopped';
  }

  /** Who of the rest has a link to the odd one. */
  async hasLinks(): Promise<boolean> {
    const all = await Promise.all(this.rest.map((one) => one.status()));
    return all.some((status) => status?.peers.some(({ id, state }) => id === this.odd.id && state === 'up'));
  }

  copyOdd(to: string): void {
    cpSync(this.odd.options.dataDir, to, { recursive: true });
  }
}

/** Resolves when the odd gateway retains what another one does. */
async function retainsAsOthers(cards: Cards): Promise<void> {
  const {
    odd,
    rest: [other],
  } = cards;
  if (other === undefined) throw new Error('nobody is left');
  const watchers = await Promise.all(
    [odd, other].map((one) => StateClient.connect(one.endpoint, `state-${one.name}`)),
  );
  const [here, there] = watchers as [StateClient, StateClient];
  await Promise.all(watchers.map((one) => one.subscribe('r/#')));
  await Promise.all(watchers.map((one) => one.subscribe('m/#')));
  await cards.soon(
    'it retains what the others do',
    () =>
      // What is retained comes behind the SUBACK.
      there.seen.size > 0 &&
      here.seen.size === there.seen.size &&
      [...there.seen].every(([topic, text]) => here.seen.get(topic) === text),
  );
  for (const one of watchers) one.leave();
}

const CARDS: Readonly<Record<string, Card>> = {
  /** The copy of a folder is started beside the original. */
  clone: async (cards) => {
    const { odd, recording, formation } = cards;
    await odd.stop();
    const dataDir = join(recording.folder, 'copy');
    cards.copyOdd(dataDir);
    await odd.start();
    await formation.whenLinked(SOON_MS);
    const place = formation.network.places.at(-1);
    if (place === undefined) throw new Error('no place for the copy');
    const isAlone = formation.network.cannotCut === undefined;
    const ports = isAlone
      ? odd.options.ports
      : { mqtt: await freePort(), http: await freePort(), mesh: await freePort() };
    const copy = new MeshGateway({
      ...odd.options,
      place: isAlone ? place : odd.options.place,
      dataDir,
      ports,
    });
    try {
      await copy.start();
      await cards.soon('the original says that it is copied', () => odd.told(CLONE) > 0);
      await cards.soon('the copy says so', () => copy.told(CLONE) > 0);
      await cards.soon(
        'both mesh no more',
        async () => (await cards.isStopped(odd)) && cards.isStopped(copy),
      );
      await cards.soon('the others have no link to it', async () => !(await cards.hasLinks()));
      cards.failures.push(...copy.complaints(EXPECTED));
    } finally {
      await copy.stop();
    }
  },
  /** An old copy of a folder takes its place. */
  restore: async (cards) => {
    const { odd, recording, formation } = cards;
    await odd.stop();
    const old = join(recording.folder, 'old');
    cards.copyOdd(old);
    await odd.start();
    await formation.whenLinked(SOON_MS);
    const later = new MeshFleet({
      history: recording.history,
      gateways: [odd],
      random: new Random(7, 'lost'),
      name: 'lost',
      number: 100,
    });
    await later.start();
    later.load(50);
    await within(SOON_MS, () => later.settledCount > 30);
    await later.drain();
    await formation.rest();
    later.leave();
    await odd.kill();
    rmSync(odd.options.dataDir, { recursive: true });
    renameSync(old, odd.options.dataDir);
    await odd.start();
    await cards.soon('linked again', async () => (await formation.unlinked()) === '');
    await cards.soon('all of them say what has happened', () =>
      formation.gateways.every((one) =>
        one.lives.some(({ errors }) => errors.some(({ message }) => EXPECTED[2]?.test(message))),
      ),
    );
    const [line] = odd.process?.errors ?? [];
    cards.figures['what it says'] = line?.message ?? 'nothing';
    // What it had retained and lost comes back by comparison: to whoever is subscribed by then it is news.
    await retainsAsOthers(cards);
    const anew = new MeshFleet({
      history: recording.history,
      gateways: [odd],
      random: new Random(8, 'new'),
      name: 'new',
      number: 200,
    });
    await anew.start();
    anew.load(50);
    await within(SOON_MS, () => anew.settledCount > 30);
    await anew.drain();
    await formation.rest();
    anew.leave();
  },
  evict: async (cards) => {
    const { odd, rest, formation } = cards;
    const [by] = rest;
    if (by === undefined) throw new Error('nobody is left');
    const { dataDir, ports } = by.options;
    // Only a program on its own machine may ask for it.
    const url = `http://127.0.0.1:${ports.http}`;
    runTool(
      [
        'evict',
        odd.id,
        '--data-dir',
        dataDir,
        '--admin-key-file',
        formation.adminKeyFile,
        '--url',
        url,
        '--reason',
        'chaos',
      ],
      by.options.place.within,
    );
    await cards.soon('the others have no link to it', async () => !(await cards.hasLinks()));
    await cards.soon('it meshes no more', () => cards.isStopped(odd));
    await odd.kill();
    await odd.start();
    await cards.soon('it is refused after a restart', async () => {
      const status = await odd.status();
      return status !== undefined && status.peers.every(({ state }) => state !== 'up');
    });
    await within(3000, () => false);
    if (await cards.hasLinks()) cards.failures.push('it is linked again after a restart');
  },
};

/** @param only names of cards */
export async function meshCards(
  gateways: number,
  seed: number,
  only?: readonly string[],
): Promise<ProofReport> {
  const reports: [string, ProofReport][] = [];
  for (const [name, card] of Object.entries(CARDS)) {
    if (only !== undefined && !only.includes(name)) continue;
    reports.push([
      name,
      // eslint-disable-next-line no-await-in-loop
      await play(name, card, gateways, seed).catch((error: unknown) => ({
        figures: {},
        failures: [`it could not be played: ${String(error)}`],
      })),
    ]);
  }
  return {
    figures: Object.fromEntries(
      reports.flatMap(([name, { figures }]) =>
        Object.entries(figures).map(([what, figure]) => [`${name}: ${what}`, figure]),
      ),
    ),
    failures: reports.flatMap(([name, { failures }]) => failures.map((text) => `${name}: ${text}`)),
  };
}

async function play(name: string, card: Card, count: number, seed: number): Promise<ProofReport> {
  const recording = new Recording(`${name}-${seed}`);
  // One place more than gateways: for a copy.
  const formation = new MeshFormation({ folder: recording.folder, count, spare: 1 });
  let failed = true;
  let fleet: MeshFleet | undefined;
  try {
    await formation.start();
    const odd = formation.gateways.at(-1) as MeshGateway;
    const homes = formation.gateways.filter((one) => one !== odd);
    fleet = new MeshFleet({ history: recording.history, gateways: homes, random: new Random(seed, name) });
    await fleet.start();
    fleet.load(PUBLISH_EVERY_MS);
    const cards = new Cards(recording, formation, fleet, odd);
    await card(cards);
    await fleet.drain();
    await formation.rest(homes);
    const { figures, failures } = await recording.judge(fleet, {}, 1250, {
      elsewhereMs: 1e9,
      // Clients come and read while the others go on: a value of another gateway may be under way.
      retainedElsewhereFromMs: Infinity,
      ...JUDGED_HERE,
    });
    const complaints = formation.gateways.flatMap((one) => one.complaints(EXPECTED));
    const all = [...cards.failures, ...failures, ...complaints];
    failed = all.length > 0;
    const short = {
      'publishes acknowledged': figures['publishes acknowledged'] ?? 0,
      'acknowledged losses': figures['acknowledged losses'] ?? 0,
    };
    return {
      figures: { ...cards.figures, ...short, ...(failed && { 'kept in': recording.folder }) },
      failures: all,
    };
  } finally {
    fleet?.leave();
    await formation.close();
    recording.close({ keep: failed });
  }
}

/** Sessions at the odd one end with what is done to it. */
const JUDGED_HERE = { judgedShareMin: 0.5, okShareMin: 0.5 };
