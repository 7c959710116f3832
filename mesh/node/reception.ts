/**
 * Who is met, and what the two are to each other: which links are taken, what is said first on them, and what follows from what the other
 * side says first.
 */
import type { LogPosition } from '../../lib/contracts/store.js';
import type { ReceiverGreeting } from '../forward/frames.js';
import { epochText, presentOf } from '../identity/lineage.js';
import { judge, type Verdict, type WeAreRolledBack } from '../identity/meeting.js';
import { meetingText } from '../identity/meeting-text.js';
import type { PeerLink } from '../link/peer-link.js';
import type { Admission } from './admission.js';
import type { FormerMembers } from './former-members.js';
import { encodeHello, HELLO_VERSION, type Hello } from './hello.js';
import { PEERS_MAX_COUNT } from './limits.js';
import { REBORN } from './link-end.js';
import type { LivesOfOthers } from './lives-of-others.js';
import type { MeshNodeOptions } from './node-options.js';
import type { NodeParts } from './node-parts.js';
import type { Peer } from './peer.js';
import type { Peers } from './peers.js';
import type { Rebirth } from './rebirth.js';
import { sharedUpTo } from './shared-log.js';

export interface ReceptionParts {
  readonly node: Pick<NodeParts, 'lineage' | 'logger' | 'store'>;
  readonly options: Pick<MeshNodeOptions, 'site' | 'software' | 'addresses'>;
  readonly admission: Admission;
  readonly peers: Peers;
  readonly lives: LivesOfOthers;
  readonly former: FormerMembers;
  readonly rebirth: Rebirth;
}

/** The two go on with each other. */
export interface Welcome {
  /** Where the log here was put back to, of what the peer has; undefined: it was not. */
  readonly rolledBackTo: LogPosition | undefined;
}

const HAS_LEFT = 'it has left the mesh';

export class Reception {
  readonly #parts: ReceptionParts;
  /** Peers, and which later life each of them knows. */
  readonly #saidWeAreBack = new Set<string>();

  constructor(parts: ReceptionParts) {
    this.#parts = parts;
  }

  /** Greets at the other end of the link, or closes it with the reason. */
  linkUp(link: PeerLink): void {
    const refusal = this.#refusalOf(link);
    if (refusal !== undefined) {
      link.close(refusal);
      return;
    }
    const peer = this.#parts.peers.of(link.peer);
    peer.linkUp(link, (greeting) => this.#hello(peer, greeting));
  }

  #refusalOf({ peer: id, path }: PeerLink): string | undefined {
    const { peers, rebirth } = this.#parts;
    if (rebirth.isUnderWay) return REBORN;
    const peer = peers.get(id);
    if (peer === undefined && peers.isFull)
      return `it knows ${PEERS_MAX_COUNT} gateways, which is the limit: evict those that will not come back`;
    // A link of its own is better than one through another gateway.
    return path === 'relayed' && peer?.direct !== undefined ? 'there is a direct link' : undefined;
  }

  #hello(peer: Peer, greeting: ReceiverGreeting): Uint8Array {
    const { node, options, admission } = this.#parts;
    const { site, software, addresses } = options;
    return encodeHello({
      version: HELLO_VERSION,
      ...{ software, site, addresses: addresses(), greeting },
      lineage: node.lineage.all,
      head: node.store.committed,
      knownEpoch: peer.receiver.image?.epoch,
      interest: peer.interestImage,
      rosterVersion: admission.version,
      admin: admission.admin,
    });
  }

  /** The other side has said who it is. @returns why the link has to be closed, as text; else its stream here is where it has to go on */
  greeted(peer: Peer, hello: Hello): Welcome | string {
    const { admission, peers, lives, former, rebirth } = this.#parts;
    const { gateway } = peer;
    admission.learnAdmin(hello.admin);
    if (admission.isEvicted(gateway)) return `evicted: ${admission.reasonOf(gateway)}`;
    const verdict = this.#judge(peer, hello);
    const weAreBack = verdict.kind === 'weAreRolledBack' ? verdict : undefined;
    // Now or never: the other may take this life for what we are, and find nothing wrong with the next one.
    if (weAreBack !== undefined) this.#sayWeAreBack(peer, weAreBack);
    if (rebirth.isUnderWay) return REBORN;
    if (!former.arrives(gateway, presentOf(hello.lineage))) {
      // It has not closed yet what it has.
      peer.close(HAS_LEFT);
      peers.remove(gateway);
      return HAS_LEFT;
    }
    // The two meet again when it has begun; what follows is for that meeting.
    if (weAreBack !== undefined && rebirth.heardOf(weAreBack.known)) return REBORN;
    const standing = weAreBack?.other ?? verdict;
    // Where it was put back, that is in the log before its new lives are known: with them alone nobody could tell any more where.
    const resetAt =
      standing.kind === 'rolledBack' ? peer.receiver.reset(standing.covered, standing.present) : 0;
    lives.told(gateway, hello.lineage, resetAt);
    const text = weAreBack === undefined ? this.#say(peer, verdict) : undefined;
    if (verdict.kind === 'clone' && text !== undefined) return text;
    return { rolledBackTo: weAreBack && sharedUpTo(weAreBack) };
  }

  #judge(peer: Peer, { lineage, head, knownEpoch, greeting }: Hello): Verdict {
    const { node, lives } = this.#parts;
    const { covered } = greeting;
    const theirImage =
      knownEpoch === undefined || covered === undefined ? undefined : { epoch: knownEpoch, covered };
    return judge({
      own: { id: node.lineage.self, lineage: node.lineage.all, head: node.store.committed },
      other: { id: peer.gateway, lineage, head },
      ...{ image: peer.receiver.image, theirImage, remembered: lives.of(peer.gateway) },
      ...{ liveEpochs: [], isOldAlive: false },
    });
  }

  #say(peer: Peer, verdict: Verdict): string | undefined {
    const text = meetingText(verdict, { other: peer.gateway, address: peer.link?.remoteAddress ?? '' });
    if (text !== undefined) this.#parts.node.logger.error(text, { gateway: peer.gateway });
    return text;
  }

  /** Once for what a peer knows: the same is found again in the life that begins because of it. */
  #sayWeAreBack(peer: Peer, verdict: WeAreRolledBack): void {
    const what = `${peer.gateway} ${epochText(verdict.known)}`;
    if (this.#saidWeAreBack.has(what)) return;
    this.#saidWeAreBack.add(what);
    this.#say(peer, verdict);
  }
}
