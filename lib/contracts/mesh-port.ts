/** What the lanes of a gateway need of the mesh that it is in, and what the mesh needs of them. */
import type { Run } from '../delivery/fan-out.js';
import type { Message } from '../message/message.js';
import type { QoS } from '../protocol/packet.js';
import type { GatewayId } from './gateway-id.js';
import type { LogPosition, RetainedView } from './store.js';
import type { MessageSource, RetainedVersion } from './streams.js';

/** Another gateway that wants the messages of a topic. */
export interface RemoteTarget {
  readonly gateway: GatewayId;
  /** The highest that its clients have asked for. */
  readonly qos: QoS;
}

/** The gateway as its mesh sees it. */
export interface MeshHost {
  /**
   * A message of QoS 1 or 2, or one that is retained, of another gateway; its source, sequence and retained counter are set and its bytes
   * are its own. It is for the clients of this gateway, when it is committed. @returns where it is in the log; 0: in none
   */
  publishForwarded(message: Message): LogPosition;
  /** Whether messages of other gateways are to be taken in now: else their senders are to wait. After `publishForwarded` none is refused. */
  hasRoom(): boolean;
  /** One that is in no log. */
  publishPassing(message: Message): void;
  /**
   * Frames of QoS 0 as a client of another gateway sent them. @param frames nobody changes them any more
   * @param mayCome asked once for the topic of all of them: where not, nobody gets them
   * @returns how many messages they are; 0 where they are no such frames
   */
  publishRun(frames: Uint8Array, v5: boolean, publisher: string, mayCome: (topic: string) => boolean): number;

  readonly retained: RetainedView;
  /** What is known of a topic has changed; set by the mesh. `newest`: a message, or its removal; undefined: nothing is known any more. */
  onRetainedChange: ((topic: string, newest: Message | undefined) => void) | undefined;
  /**
   * Takes the place of what the topic retains: not from a stream, but because the two compared what they have. Its version is set and its
   * bytes are its own; an empty one removes. Subscribers get it when it is committed, but for one that is ahead of its stream.
   * @param isDelivered its stream has brought this very message, which is stored and was delivered
   */
  mergeRetained(message: Message, isDelivered: boolean): void;
  /** What the topic retains, or its removal, is ahead of its stream and is not to be waited for there any longer: subscribers get it now. */
  deliverAhead(topic: string): void;
  /** The topic has nothing any more, not even a tombstone. */
  discardRetained(topic: string): void;
  versionOf(message: Message): RetainedVersion;
  /** Calls back when everything that was handed in is committed, and a record at `position`, the newest; also at once. */
  whenCommitted(done: () => void, position?: LogPosition): void;
}

export interface MeshPort {
  readonly self: GatewayId;
  /** This gateway in the life in which it took in what stands at this position of its log. */
  sourceAt(position: LogPosition): MessageSource;

  // What clients here want. `filter` is without `$share/<group>/`.

  subscribed(filter: string, qos: QoS): void;
  unsubscribed(filter: string, qos: QoS): void;
  /** Calls back, at once or a little later, when the others know what was subscribed so far, or have had their time. */
  whenKnown(answer: () => void): void;

  // What clients elsewhere want.

  /** Who wants the topic; asked once for each route, until `onRemoteChange` names a filter that matches it. */
  targets(topic: string): readonly RemoteTarget[];
  /** Set by the lanes: what others want of this filter has changed. */
  onRemoteChange: ((filter: string) => void) | undefined;
  /**
   * A message that this gateway took in: committed, where it is in the log, and in the order of the log. One that is retained goes to
   * all, whatever they want.
   */
  forward(message: Message, targets: readonly RemoteTarget[]): void;
  /** QoS 0. */
  forwardRun(run: Run, topicBytes: Uint8Array, targets: readonly RemoteTarget[]): void;
  /** A message that may have been removed was delivered: a comparison is to say whether it stands. */
  doubted(message: Message): void;
  /** There was no room to retain a message that was delivered: it is not to come again. */
  notRetained(message: Message): void;
  /** No counter of a retained version begins below it: higher ones were forgotten. */
  readonly retainedFloor: number;
  /** Everything up to here is committed, and was forwarded. @param passedCount of the store */
  committed(position: LogPosition, passedCount: number): void;
}
