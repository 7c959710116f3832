/**
 * A run as a publish lane gathers it: the frames of one read, and the messages of those receivers who need them one by one.
 */
import type { Run } from '../delivery/fan-out.js';
import { Message, NEVER } from '../message/message.js';
import { encodedLength, readVariableByteInteger } from '../protocol/variable-byte-integer.js';
import type { Route } from '../routing/router.js';
import type { Session } from '../session/session.js';

const NO_PROPERTIES = new Uint8Array(0);

export class FrameRun implements Run {
  #messages: Message[] | undefined;

  /** @param bytes whole frames of QoS 0, all with the topic of `route`. @param publisher client id */
  constructor(
    readonly bytes: Uint8Array,
    readonly count: number,
    readonly frameMaxBytes: number,
    readonly v5: boolean,
    private readonly route: Route<Session, Message>,
    private readonly publisher: string,
  ) {}

  messages(): readonly Message[] {
    if (this.#messages !== undefined) return this.#messages;
    const messages: Message[] = [];
    const { bytes } = this;
    const { topic, bytes: topicBytes } = this.route;
    for (let at = 0; at < bytes.length;) {
      const remaining = readVariableByteInteger(bytes, at + 1, bytes.length);
      const body = at + 1 + encodedLength(remaining);
      const end = body + remaining;
      // MQTT 5 has the length of the properties behind the topic, here 0.
      const payload = body + topicBytes.length + (this.v5 ? 1 : 0);
      messages.push(
        new Message(topic, topicBytes, bytes, payload, end, NO_PROPERTIES, 0, false, NEVER, this.publisher),
      );
      at = end;
    }
    this.#messages = messages;
    return messages;
  }
}
