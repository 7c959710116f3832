import type { MeshPort } from '../contracts/mesh-port.js';
import type { RetainedVersion } from '../contracts/streams.js';
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
