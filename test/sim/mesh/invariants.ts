/**
 * What must hold while a mesh runs, besides the history of its clients, and when it has come to rest. Further rules for all gateways
 * together, such as equal views of the members or equal retained messages, are added to `WHILE_RUNNING` and `AT_REST`.
 */
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import { compareVersions } from '../../../lib/contracts/streams.js';
import { REBORN, REPLACED } from '../../../mesh/node/link-end.js';
import type { StreamSender } from '../../../mesh/forward/stream-sender.js';
import type { Peer } from '../../../mesh/node/peer.js';
import type { MeshGateway } from './mesh-gateway.js';
import type { LedgerEntry } from './mesh-ledger.js';
import type { MeshWorld } from './mesh-world.js';

type Rule = (world: MeshWorld) => void;

/** The largest message, in a frame: one that is larger than any limit goes alone. */
const LARGEST_FRAME_BYTES = 8000;
const SMALLEST_RECORD_BYTES = 30;
const STALLED = 'it takes messages and acknowledges none';
const EXPECTED: ReadonlySet<string> = new Set([
  REBORN,
  'it did not say who it is in time',
  'there is a direct link',
]);

const WHILE_RUNNING: readonly Rule[] = [creditIsNotExceeded, memoryIsBounded, nothingIsCoveredThatIsNotThere];
const AT_REST: readonly Rule[] = [retainedMessagesAreEqual];

/** Every few milliseconds. */
export function checkWhileRunning(world: MeshWorld): void {
  for (const rule of WHILE_RUNNING) rule(world);
}

/** Healed, and nothing moves. */
export function checkAtRest(world: MeshWorld): void {
  for (const rule of AT_REST) rule(world);
}

/** What one conformant gateway sends another one accepts. */
export function linkClosed(
  world: MeshWorld,
  from: GatewayId,
  to: GatewayId,
  reason: string,
  underWay: number,
): void {
  const { situations } = world;
  const names = `${world.gatewayOf(from)?.node} closes the link with ${world.gatewayOf(to)?.node}: ${reason}`;
  world.log(names);
  if (reason === REPLACED) {
    if (underWay > 0) situations.saw('link replaced while frames were on their way');
  } else if (reason === STALLED) situations.saw('link rebuilt because it stalled');
  else if (!EXPECTED.has(reason)) world.fail('a gateway takes what another one sends', names);
}

export interface Pair {
  readonly gateway: MeshGateway;
  readonly peer: Peer;
  readonly sender: StreamSender;
  readonly other: MeshGateway;
}

export function* pairs(world: MeshWorld): Iterable<Pair> {
  for (const gateway of world.gateways)
    for (const peer of gateway.mesh?.peers ?? []) {
      const other = world.gatewayOf(peer.gateway);
      const { sender } = peer;
      if (other !== undefined && sender !== undefined) yield { gateway, peer, other, sender };
    }
}

function creditIsNotExceeded(world: MeshWorld): void {
  const { creditBytes = Infinity } = world.plan.forward;
  for (const {
    gateway,
    sender,
    other,
    peer: { receiver },
  } of pairs(world)) {
    const { unackedBytes } = sender.status;
    if (unackedBytes > Math.max(creditBytes, LARGEST_FRAME_BYTES))
      world.fail(
        'credit is not exceeded',
        `${gateway.node} to ${other.node}: ${unackedBytes} bytes on their way`,
      );
    const { heldBytes } = receiver.status;
    if (heldBytes < 0 || heldBytes > Math.max(creditBytes, LARGEST_FRAME_BYTES))
      world.fail('credit is not exceeded', `${gateway.node} holds ${heldBytes} bytes of ${other.node}`);
  }
}

/** More than any workload has. */
const RETAINED_TOPICS = 32;

function memoryIsBounded(world: MeshWorld): void {
  const { forward } = world.plan;
  const { liveMaxBytes = Infinity, liveMaxCount = Infinity, haveMax = Infinity, readBytes = 0 } = forward;
  for (const {
    gateway,
    sender,
    other,
    peer: { receiver },
  } of pairs(world)) {
    const { mode, pendingMessages, pendingBytes, unackedBytes, aheadCount } = sender.status;
    const name = `${gateway.node} to ${other.node}`;
    // Those that were read last are live when the newest one is among them.
    if (mode === 'live' && pendingMessages > 2 * liveMaxCount + readBytes / SMALLEST_RECORD_BYTES)
      world.fail('memory is bounded', `${name}: ${pendingMessages} live messages wait`);
    // What is live, what waits to join it, and what was read for main and for a backfill.
    const most = 2 * liveMaxBytes + 2 * readBytes + 4 * LARGEST_FRAME_BYTES;
    if (pendingBytes - unackedBytes > most)
      world.fail('memory is bounded', `${name}: ${pendingBytes - unackedBytes} bytes wait`);
    // What came by comparing retained messages is known besides: at most one for each topic that retains, or did.
    const noted = RETAINED_TOPICS;
    if (aheadCount > haveMax + noted)
      world.fail('memory is bounded', `${name}: ${aheadCount} messages ahead`);
    if (receiver.status.aheadCount > haveMax + noted)
      world.fail(
        'memory is bounded',
        `${gateway.node} has ${receiver.status.aheadCount} of ${other.node} ahead`,
      );
  }
}

function nothingIsCoveredThatIsNotThere(world: MeshWorld): void {
  if (world.mayLose) return;
  for (const {
    gateway,
    other,
    peer: { receiver },
  } of pairs(world)) {
    const { covered } = receiver.status;
    const { committed } = other.ledger;
    if (covered > committed)
      world.fail(
        'only what is committed is covered',
        `${gateway.node} has everything of ${other.node} up to ${covered}, which has committed ${committed}`,
      );
  }
}

/** Every gateway retains the same: of each topic the newest version that anybody has. */
function retainedMessagesAreEqual(world: MeshWorld): void {
  if (world.plan.retained === 'none') return;
  const newest = newestRetained(world);
  for (const { node, process } of world.gateways) {
    if (process === undefined) continue;
    const { retained } = process.store;
    let count = 0;
    retained.forEach(({ topic }) => {
      if (topic.startsWith('$')) return;
      count++;
      if (newest.get(topic)?.isEmpty !== false)
        world.fail('every gateway retains the newest', `${node} retains ${topic}, which is cleared`);
    });
    let expected = 0;
    for (const [topic, entry] of newest) {
      if (entry.isEmpty) continue;
      expected++;
      const kept = retained.get(topic);
      const origin = kept?.source?.origin ?? world.gateways.find((one) => one.node === node)?.id;
      const sequence = kept?.source === undefined ? (kept?.position ?? 0) : kept.sequence;
      const wanted = versionIn(world, entry);
      if (kept === undefined || origin !== wanted.origin || sequence !== wanted.sequence)
        world.fail(
          'every gateway retains the newest',
          `${node} retains of ${topic} ${sequence} of ${origin?.slice(0, 2)}, and ${wanted.sequence} of ${wanted.origin.slice(0, 2)} is the newest`,
        );
    }
    if (count !== expected)
      world.fail('every gateway retains the newest', `${node}: ${count} and not ${expected}`);
  }
}

const owners = new WeakMap<LedgerEntry, MeshGateway>();

function versionIn(world: MeshWorld, entry: LedgerEntry): ReturnType<MeshGateway['ledger']['versionOf']> {
  const owner = owners.get(entry) ?? world.gateways[0];
  if (owner === undefined) throw new Error('a mesh without gateways');
  return owner.ledger.versionOf(entry);
}

/** By topic, of everything that was committed anywhere. */
function newestRetained(world: MeshWorld): Map<string, LedgerEntry> {
  const newest = new Map<string, LedgerEntry>();
  for (const gateway of world.gateways) {
    for (const entry of gateway.ledger.entries) {
      if (!entry.retain || entry.topic.startsWith('$')) continue;
      owners.set(entry, gateway);
      const known = newest.get(entry.topic);
      if (known === undefined) {
        newest.set(entry.topic, entry);
        continue;
      }
      const [one, other] = [versionIn(world, known), versionIn(world, entry)];
      if (one.counter === other.counter && one.origin !== other.origin)
        world.situations.saw('retained conflict decided');
      if (compareVersions(one, other) < 0) newest.set(entry.topic, entry);
    }
  }
  return newest;
}
