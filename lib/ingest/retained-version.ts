/**
 * Which of two retained messages of a topic is the newer. In a mesh it is a matter of their versions, see RetainedVersion; without one, of
 * where they are in the log.
 */
import type { Epoch } from '../contracts/epoch.js';
import type { MeshPort } from '../contracts/mesh-port.js';
import type { RetainedVersion } from '../contracts/streams.js';
import type { Message } from '../message/message.js';

export function versionOf(message: Message, mesh: MeshPort): RetainedVersion {
  const { source, retainedCounter, position } = message;
  const { origin, epoch } = source ?? mesh.sourceAt(position);
  return {
    counter: retainedCounter,
    origin,
    epoch,
    sequence: source === undefined ? position : message.sequence,
  };
}

/** Below 0: `a` is the older; 0: they are one. */
export function compareVersions(a: RetainedVersion, b: RetainedVersion): number {
  if (a.counter !== b.counter) return a.counter - b.counter;
  if (a.origin !== b.origin) return a.origin < b.origin ? -1 : 1;
  return compareEpochs(a.epoch, b.epoch) || a.sequence - b.sequence;
}

function compareEpochs(a: Epoch, b: Epoch): number {
  if (a.counter !== b.counter) return a.counter - b.counter;
  if (a.nonce === b.nonce) return 0;
  return a.nonce < b.nonce ? -1 : 1;
}
