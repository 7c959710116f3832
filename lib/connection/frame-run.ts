/**
 * A run as a publish lane gathers it: the frames of one read, and the messages of those receivers who need them one by one.
 */
import type { Run } from '../delivery/fan-out.js';
import { Message, NEVER } from '../message/message.js';
import { encodedLength, readVariableByteInteger } from '../protocol/variable-byte-integer.js';
import { isValidTopicName } from '../protocol/topic.js';
import { decodeUtf8, isValidUtf8String } from '../protocol/utf8.js';
import { type Route, type Router, sameTopic } from '../routing/router.js';
import type { Session } from '../session/session.js';

const NO_PROPERTIES = new Uint8Array(0);
const QOS0 = 0x30;

export class FrameRun implements Run {
  #messages: Message[] | undefined;

  /** @param bytes whole frames of QoS 0, all with the topic of `route`. @param publisher client id */
  constructor(
    readonly bytes: Uint8Array,
    readonly count: number,
    readonly frameMaxBytes: number,
    readonly v5: boolean,
    private readonly route: Route<Session, Message>,
    readonly publisher: string,
  ) {}

  messages(): readonly Message[] {
    if (this.#messages !== undefined) return this.#messages;
    const messages: Message[] = [];
    const { bytes, publisher } = this;
    const { topic, bytes: topicBytes } = this.route;
    this.forEachPayload((start, end) => {
      messages.push(
        new Message(topic, topicBytes, bytes, start, end, NO_PROPERTIES, 0, false, NEVER, publisher),
      );
    });
    this.#messages = messages;
    return messages;
  }

  forEachPayload(visit: (start: number, end: number) => void): void {
    const { bytes } = this;
    // MQTT 5 has the length of the properties behind the topic, here 0.
    const beforePayload = this.route.bytes.length + (this.v5 ? 1 : 0);
    for (let at = 0; at < bytes.length;) {
      const remaining = readVariableByteInteger(bytes, at + 1, bytes.length);
      const body = at + 1 + encodedLength(remaining);
      const end = body + remaining;
      visit(body + beforePayload, end);
      at = end;
    }
  }
}

/** A run with who receives it. */
export interface RoutedRun {
  readonly run: Run;
  readonly route: Route<Session, Message>;
}

/**
 * A run as another gateway sent it. @param bytes nobody changes them any more
 * @returns undefined where they are not whole frames of QoS 0 with one valid topic and without properties
 */
export function parseRun(
  bytes: Uint8Array,
  v5: boolean,
  publisher: string,
  router: Router<Session, Message>,
): RoutedRun | undefined {
  let route: Route<Session, Message> | undefined;
  let count = 0;
  let frameMaxBytes = 0;
  for (let at = 0; at < bytes.length; count++) {
    const remaining = readVariableByteInteger(bytes, at + 1, bytes.length);
    if (bytes[at] !== QOS0 || remaining < 0) return undefined;
    const body = at + 1 + encodedLength(remaining);
    const end = body + remaining;
    const topicEnd = body + 2 + (((bytes[body] ?? 0) << 8) | (bytes[body + 1] ?? 0));
    if (end > bytes.length || topicEnd > end || (v5 && (topicEnd === end || bytes[topicEnd] !== 0)))
      return undefined;
    route ??= routeOf(bytes, body + 2, topicEnd, router);
    if (route === undefined || !sameTopic(route.bytes, bytes, body + 2, topicEnd)) return undefined;
    frameMaxBytes = Math.max(frameMaxBytes, end - at);
    at = end;
  }
  if (route === undefined) return undefined;
  return { run: new FrameRun(bytes, count, frameMaxBytes, v5, route, publisher), route };
}

function routeOf(
  bytes: Uint8Array,
  start: number,
  end: number,
  router: Router<Session, Message>,
): Route<Session, Message> | undefined {
  const known = router.find(bytes, start, end);
  if (known !== undefined) return known;
  if (!isValidUtf8String(bytes, start, end)) return undefined;
  const topic = decodeUtf8(bytes, start, end);
  return isValidTopicName(topic) ? router.resolve(topic) : undefined;
}
