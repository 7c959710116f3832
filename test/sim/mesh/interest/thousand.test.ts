/** A thousand gateways tell each other what they want, over links that lose their connection: how much that is, and that all of it arrives. */
import t from 'tap';
import { gatewayIdOf, type GatewayId } from '../../../../lib/contracts/gateway-id.js';
import {
  decodeInterest,
  InterestReceiver,
  InterestSender,
  LocalInterest,
  RemoteInterest,
} from '../../../../mesh/interest/index.js';
import { Random } from '../../random.js';

const GATEWAYS = 1000;
const LINKS = 16;
const FILTERS = 20;
const ROUNDS = 10;
/** Of the links, in each round. */
const LOST_LINKS = 200;

class Site {
  readonly id: GatewayId;
  readonly local: LocalInterest;
  readonly remote = new RemoteInterest();
  readonly ends: End[] = [];
  readonly wanted = new Set<string>();

  constructor(readonly number: number) {
    const key = new Uint8Array(32);
    new DataView(key.buffer).setUint32(0, number);
    this.id = gatewayIdOf(key);
    this.local = new LocalInterest({ life: number + 1, importFilters: ['#'], exportFilters: ['#'] });
  }

  want(filter: string, isWanted: boolean): void {
    if (isWanted === this.wanted.has(filter)) return;
    if (isWanted) {
      this.wanted.add(filter);
      this.local.add(filter, 1);
    } else {
      this.wanted.delete(filter);
      this.local.remove(filter, 1);
    }
  }
}

/** One side of a link: what it sends arrives in order, if the link lives. */
class End {
  readonly sender: InterestSender;
  readonly receiver: InterestReceiver;
  readonly inbox: Uint8Array[] = [];
  other: End | undefined;

  constructor(
    site: Site,
    readonly peer: Site,
    sent: (bytes: number) => void,
  ) {
    const send = (frame: Uint8Array): boolean => {
      sent(frame.length);
      this.other?.inbox.push(frame);
      return true;
    };
    const nothing = (): void => {};
    this.sender = new InterestSender(site.local, {
      send,
      covered: () => 0,
      acknowledged: nothing,
      refused: nothing,
    });
    this.receiver = new InterestReceiver(peer.id, site.remote, {
      ...{ head: () => 0, send, applied: nothing, refused: nothing },
    });
  }

  take(): void {
    const frame = decodeInterest(this.inbox.shift() ?? new Uint8Array(0));
    if (frame.kind === 'update') this.receiver.updated(frame);
    else this.sender.answered(frame);
  }
}

t.test('a thousand gateways with a few links each learn all that their neighbours want', async (t) => {
  const random = new Random(1, 'interest');
  const sites = Array.from({ length: GATEWAYS }, (_, number) => new Site(number));
  const ends: End[] = [];
  let [frames, bytes] = [0, 0];
  const sent = (length: number): void => {
    frames++;
    bytes += length;
  };
  for (const [number, site] of sites.entries())
    for (let step = 1; step <= LINKS / 2; step++) {
      const peer = sites[(number + step * step) % GATEWAYS] as Site;
      const [here, there] = [new End(site, peer, sent), new End(peer, site, sent)];
      here.other = there;
      there.other = here;
      site.ends.push(here);
      peer.ends.push(there);
      ends.push(here, there);
    }
  /** In any order between links. */
  const settle = (): void => {
    for (let busy = ends.filter(({ inbox }) => inbox.length > 0); busy.length > 0;) {
      for (const end of busy) if (random.chance(0.5)) end.take();
      busy = ends.filter(({ inbox }) => inbox.length > 0);
    }
  };
  for (const { number, local, wanted } of sites)
    for (let n = 0; n < FILTERS; n++) {
      const filter = `site/${number}/+/sensor ${n}`;
      wanted.add(filter);
      local.add(filter, 1);
    }
  for (const { local } of sites) local.flush();
  for (const { sender, receiver } of ends) sender.start(receiver.image);
  settle();
  t.comment(
    `${GATEWAYS} gateways with ${LINKS} links begin: ${frames / GATEWAYS} messages, ${(bytes / GATEWAYS / 1000).toFixed(1)} kB per gateway`,
  );
  t.equal(frames / GATEWAYS, 2 * LINKS, 'the whole set over each link, and its answer');

  [frames, bytes] = [0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    for (let n = 0; n < LOST_LINKS; n++) {
      const end = ends[random.integer(0, ends.length - 1)] as End;
      const other = end.other as End;
      // What was on its way is lost, and both begin again from what the other has.
      for (const one of [end, other]) {
        one.inbox.length = 0;
        one.sender.stop();
        one.receiver.unlinked();
      }
      end.sender.start(other.receiver.image);
      other.sender.start(end.receiver.image);
    }
    for (const site of sites) {
      site.want(`site/${site.number}/more/${round}`, true);
      if (round > 0) site.want(`site/${site.number}/more/${round - 1}`, random.chance(0.5));
      if (site.local.flush()) for (const { sender } of site.ends) sender.changed();
    }
    if (round % 2 === 1) settle();
  }
  settle();
  const changes = frames / GATEWAYS / ROUNDS;
  t.comment(
    `a change at each of them: ${changes.toFixed(1)} messages, ${(bytes / GATEWAYS / ROUNDS / 1000).toFixed(2)} kB per gateway`,
  );
  t.ok(changes < 2.2 * LINKS, 'the change over each link, its answer, and what lost links cost');
  t.ok(bytes / frames < 100, `${bytes / frames} bytes each: what changed, and not everything`);
  const wrong: string[] = [];
  for (const { number, remote, ends: own } of sites)
    for (const { receiver, peer } of own) {
      const known = [...remote.filtersOf(peer.id)].sort();
      if (known.join() !== [...peer.wanted].sort().join() || receiver.image?.version !== peer.local.version)
        wrong.push(`${number} does not know what ${peer.number} wants`);
    }
  t.same(wrong, []);
  t.ok(Math.max(...sites.map(({ wanted }) => wanted.size)) > FILTERS + 2);
});
