import type { MeshPort } from '../contracts/mesh-port.js';
import { compareVersions, type RetainedVersion } from '../contracts/streams.js';
import type { Message } from '../message/message.js';

/** What decides which of two retained messages of a topic is the newer, see compareVersions. @param message in the log, or of it */
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

/** Which of two messages of a topic is the newer one, as compareVersions. */
export function compareNewness(a: Message, b: Message, mesh: MeshPort): number {
  const order = a.retainedCounter - b.retainedCounter;
  return order === 0 ? compareVersions(versionOf(a, mesh), versionOf(b, mesh)) : order;
}
