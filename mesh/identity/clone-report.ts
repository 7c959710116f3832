/**
 * Two live processes with one key: the card of a gateway was copied. Who sees both tells every member, and the two find out that they
 * are meant. Both stop meshing and say why; the clients of each are served on.
 *
 * Each life in a report is signed by the gateway itself, which says it on each connection. So nobody can make another gateway stop with
 * lives that it did not have. What is left: whoever has met a gateway and keeps what it said may show a life that was lost when the data folder
 * was put back to an old image; that alone looks like a copy.
 */
import { type Epoch, isSameEpoch, type Lineage } from '../../lib/contracts/epoch.js';
import {
  gatewayIdOf,
  type GatewayId,
  PUBLIC_KEY_BYTES,
  publicKeyOf,
} from '../../lib/contracts/gateway-id.js';
import { type ByteReader, type ByteWriter, MalformedFrame } from '../wire/bytes.js';
import { readEpochCounter } from '../wire/log-numbers.js';
import { SIGNATURE_BYTES } from './ed25519.js';
import { isLifeOf, type SignedLife } from './signed-life.js';
import { epochText, isEpoch, lineageHas } from './lineage.js';

export interface CloneReport {
  readonly id: GatewayId;
  /** Both alive when they were seen; the lower first. */
  readonly epochs: readonly [Epoch, Epoch];
}

/** As it goes from gateway to gateway. */
export interface SignedCloneReport extends CloneReport {
  readonly epochs: readonly [SignedLife, SignedLife];
}

const NONCE_BYTES = 8;

export function cloneReportOf(id: GatewayId, left: Epoch, right: Epoch): CloneReport {
  const bare = ({ counter, nonce }: Epoch): Epoch => ({ counter, nonce });
  return { id, epochs: inOrder(bare(left), bare(right)) };
}

export function signedCloneReportOf(id: GatewayId, left: SignedLife, right: SignedLife): SignedCloneReport {
  return { id, epochs: inOrder(left, right) };
}

function inOrder<T extends Epoch>(left: T, right: T): readonly [T, T] {
  const isInOrder = left.counter !== right.counter ? left.counter < right.counter : left.nonce <= right.nonce;
  return isInOrder ? [left, right] : [right, left];
}

/** Whether the gateway has had both lives, as it says itself. */
export function isProven({ id, epochs }: SignedCloneReport): boolean {
  return epochs.every((life) => isLifeOf(id, life));
}

/** For whoever passes reports on: two with the same key say the same. */
export function cloneReportKey({ id, epochs: [left, right] }: CloneReport): string {
  return `${id} ${left.counter}:${left.nonce} ${right.counter}:${right.nonce}`;
}

/**
 * What a report means to the gateway that hears it:
 *
 *     another gateway                                          `other`   passed on
 *     this one: a life of this process, and one that it does not know  `clone`   stop meshing
 *     this one: two of its own                                 `stale`   that connection was a dead one, or the copy is stopping
 *     this one: a life of this process, and one before all it remembers  `stale`  the same, as far as anybody knows
 *     this one: but no life of this process                    `stale`   it is over: the gateway was started anew since
 *
 * A process has several lives where it heard of one of its own that it does not know: of a copy, too, perhaps before the report came.
 *
 * @param ofThisProcess the last ones of `ownLineage`
 */
export function judgeCloneReport(
  { id, epochs }: CloneReport,
  ownId: GatewayId,
  ownLineage: Lineage,
  ofThisProcess: Lineage = ownLineage.slice(-1),
): 'other' | 'clone' | 'stale' {
  if (id !== ownId) return 'other';
  if (!epochs.some((epoch) => lineageHas(ofThisProcess, epoch))) return 'stale';
  const [oldest] = ownLineage;
  const isEarlier = (epoch: Epoch): boolean =>
    lineageHas(ownLineage, epoch) || (oldest !== undefined && epoch.counter < oldest.counter);
  return epochs.every(isEarlier) ? 'stale' : 'clone';
}

/** @param address of the other machine, as far as anybody knows */
export function cloneText({ id, epochs: [left, right] }: CloneReport, address: string): string {
  return (
    `this gateway's identity ${id.slice(0, 8)} is also used by another machine (${address}): starts ${epochText(left)} and ${epochText(right)} are both alive, ` +
    'so this gateway takes part in the mesh no more; its own clients are served on. On the machine whose data folder is a copy, ' +
    'stop the gateway and run "sprawl-edge join --new-identity", then start the other one again'
  );
}

export function writeCloneReport(writer: ByteWriter, { id, epochs }: SignedCloneReport): void {
  writer.raw(publicKeyOf(id));
  for (const { counter, nonce, signature } of epochs)
    writer.varint(counter).raw(Buffer.from(nonce, 'hex')).raw(signature);
}

/** @throws MalformedFrame. Whether it is proven is another question. */
export function readCloneReport(reader: ByteReader): SignedCloneReport {
  const id = gatewayIdOf(reader.raw(PUBLIC_KEY_BYTES));
  const left = readLife(reader);
  const right = readLife(reader);
  if (isSameEpoch(left, right)) throw new MalformedFrame('a clone report with one life');
  return signedCloneReportOf(id, left, right);
}

function readLife(reader: ByteReader): SignedLife {
  const epoch = {
    counter: readEpochCounter(reader),
    nonce: Buffer.from(reader.raw(NONCE_BYTES)).toString('hex'),
    signature: Uint8Array.from(reader.raw(SIGNATURE_BYTES)),
  };
  if (!isEpoch(epoch)) throw new MalformedFrame('an epoch with the counter 0');
  return epoch;
}
