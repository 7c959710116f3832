/**
 * Incoming PUBLISH of one connection, from the bytes of a frame to the ingest. The hot path of the product:
 *
 * - the topic is compared with that of the last frame; only another topic costs a look-up, only an unknown one a string
 * - validity and permission of a topic are established once per connection and topic, not per message
 * - consecutive QoS 0 frames of one topic become one Run and are forwarded as the bytes that came in
 */
import { Message, NEVER } from '../message/message.js';
import type { QoS } from '../protocol/packet.js';
import { malformed, protocolError } from '../protocol/frame-reader.js';
import { ProtocolError } from '../protocol/protocol-error.js';
import { ReasonCode } from '../protocol/reason-code.js';
import { isValidTopicName } from '../protocol/topic.js';
import { decodeUtf8, isValidUtf8String } from '../protocol/utf8.js';
import { encodedLength } from '../protocol/variable-byte-integer.js';
import { type Route, RouteState, sameTopic } from '../routing/router.js';
import type { SessionEnvironment, SessionLink } from '../session/environment.js';
import type { Session } from '../session/session.js';
import { exceeds } from '../session/subscription-set.js';
import { count, C } from '../telemetry/counters.js';
import { FrameRun } from './frame-run.js';
import { parsePublishProperties } from './publish-properties.js';
import { refusePublish } from './publish-refusal.js';

type MessageRoute = Route<Session, Message>;

const RETAIN = 0x01;
const DUP = 0x08;
/** Bits of QoS and retain: what has any of them may wait for somebody. */
const KEPT = 0x07;
const QOS0 = 0x30;
const NO_PROPERTIES = new Uint8Array(0);
const RECEIVED_COUNTERS = [C.messagesReceivedQoS0, C.messagesReceivedQoS1, C.messagesReceivedQoS2] as const;
/** Permitted topics remembered per connection; beyond them it begins anew. */
const PERMITTED_MAX_COUNT = 256;

export interface PublishLaneOptions {
  readonly session: Session;
  readonly link: SessionLink;
  /** Largest alias that CONNACK allowed. */
  readonly topicAliasMaximum: number;
}

export class PublishLane {
  readonly #env: SessionEnvironment;
  readonly #session: Session;
  readonly #link: SessionLink;
  readonly #v5: boolean;
  readonly #topicAliasMaximum: number;
  #last: MessageRoute | undefined;
  #lastPermitted = false;
  #permitted: Set<MessageRoute> | undefined;
  #permittedVersion = -1;
  #aliases: (MessageRoute | undefined)[] | undefined;
  // The run that is being gathered: frames [#runStart, #runEnd) of #runBytes.
  #runRoute: MessageRoute | undefined;
  #runBytes: Uint8Array = NO_PROPERTIES;
  #runStart = 0;
  #runEnd = 0;
  #runCount = 0;
  #runFrameMax = 0;

  constructor(env: SessionEnvironment, options: PublishLaneOptions) {
    this.#env = env;
    this.#session = options.session;
    this.#link = options.link;
    this.#v5 = options.link.version === 5;
    this.#topicAliasMaximum = options.topicAliasMaximum;
  }

  /**
   * One whole PUBLISH frame: `bytes[start, end)`, its variable header at `body`. @throws ProtocolError; whatever came
   * before in the same read is then still gathered: the caller calls `flush` first.
   */
  publish(bytes: Uint8Array, start: number, body: number, end: number): void {
    const header = bytes[start] as number;
    const topicStart = body + 2;
    if (topicStart > end) throw malformed('PUBLISH is cut short');
    const topicEnd = topicStart + (((bytes[body] as number) << 8) | (bytes[body + 1] as number));
    if (topicEnd > end) throw malformed('the topic of PUBLISH is longer than the packet');
    const last = this.#last;
    if (
      last === undefined ||
      last.state !== RouteState.fresh ||
      this.#permittedVersion !== this.#env.authorizer.version ||
      !sameTopic(last.bytes, bytes, topicStart, topicEnd)
    ) {
      if (topicEnd > topicStart) this.#select(bytes, topicStart, topicEnd);
      else this.#last = undefined;
    }
    const route = this.#last;
    if (
      header === QOS0 &&
      route !== undefined &&
      this.#lastPermitted &&
      (!this.#v5 || bytes[topicEnd] === 0)
    ) {
      if (this.#v5 && topicEnd >= end) throw malformed('PUBLISH has no properties field');
      if (this.#env.hooks.authorizePublish === undefined && !this.#session.isBridge) {
        this.#gather(bytes, start, end, route);
        return;
      }
    }
    this.flush();
    this.#publishOne(bytes, start, topicEnd, end);
  }

  /** Sends on the gathered run. Called at the end of each read and before anything else of the connection is done. */
  flush(): void {
    const route = this.#runRoute;
    if (route === undefined) return;
    this.#runRoute = undefined;
    const { counters } = this.#env;
    count(counters, C.messagesReceivedQoS0, this.#runCount);
    count(counters, C.messageBytesReceived, this.#runEnd - this.#runStart);
    const bytes = this.#runBytes.subarray(this.#runStart, this.#runEnd);
    this.#runBytes = NO_PROPERTIES;
    const run = new FrameRun(
      bytes,
      this.#runCount,
      this.#runFrameMax,
      this.#v5,
      route,
      this.#session.clientId,
    );
    this.#env.ingest.publishRun(this.#session, run, route);
  }

  #gather(bytes: Uint8Array, start: number, end: number, route: MessageRoute): void {
    if (this.#runRoute !== route || this.#runEnd !== start || this.#runBytes !== bytes) {
      this.flush();
      this.#runRoute = route;
      this.#runBytes = bytes;
      this.#runStart = start;
      this.#runCount = 0;
      this.#runFrameMax = 0;
    }
    this.#runEnd = end;
    this.#runCount++;
    if (end - start > this.#runFrameMax) this.#runFrameMax = end - start;
  }

  /** Makes the topic in `bytes[start, end)` the current one, with its permission. */
  #select(bytes: Uint8Array, start: number, end: number): void {
    const { router } = this.#env;
    const route = router.find(bytes, start, end) ?? this.#resolve(bytes, start, end);
    this.#last = route;
    this.#lastPermitted = this.#mayPublish(route);
  }

  #resolve(bytes: Uint8Array, start: number, end: number): MessageRoute {
    if (!isValidUtf8String(bytes, start, end)) throw malformed('the topic of PUBLISH is not valid UTF-8');
    const topic = decodeUtf8(bytes, start, end);
    if (!isValidTopicName(topic)) {
      throw new ProtocolError(ReasonCode.topicNameInvalid, 'the topic of PUBLISH has wildcards');
    }
    const { topicMaxBytes, topicMaxLevels } = this.#env.limits;
    if (exceeds(topic, topicMaxBytes, topicMaxLevels)) {
      count(this.#env.counters, C.refusedTopicInvalid);
      throw new ProtocolError(
        ReasonCode.topicNameInvalid,
        `the topic of PUBLISH has ${end - start} bytes and ${topic.split('/').length} levels, beyond mqtt.topicMaxBytes ${topicMaxBytes} or mqtt.topicMaxLevels ${topicMaxLevels}`,
      );
    }
    return this.#env.router.resolve(topic);
  }

  #mayPublish(route: MessageRoute): boolean {
    const { authorizer } = this.#env;
    if (this.#permittedVersion !== authorizer.version) {
      this.#permitted = undefined;
      this.#permittedVersion = authorizer.version;
    }
    if (this.#permitted?.has(route) === true) return true;
    if (!authorizer.canPublish(this.#session, route.topic)) return false;
    const permitted = (this.#permitted ??= new Set());
    if (permitted.size >= PERMITTED_MAX_COUNT) permitted.clear();
    permitted.add(route);
    return true;
  }

  #publishOne(bytes: Uint8Array, start: number, topicEnd: number, end: number): void {
    const header = bytes[start] as number;
    const qos = qosOf(header);
    let at = topicEnd;
    let packetId = 0;
    if (qos > 0) {
      if (at + 2 > end) throw malformed('PUBLISH has no packet identifier');
      packetId = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
      if (packetId === 0) throw protocolError('the packet identifier of PUBLISH is 0');
      at += 2;
    }
    let expiresAt = NEVER;
    let properties: Uint8Array = NO_PROPERTIES;
    let utf8 = false;
    if (this.#v5) {
      const length = readLength(bytes, at, end);
      at += encodedLength(length);
      const propertiesEnd = at + length;
      if (propertiesEnd > end) throw malformed('the properties of PUBLISH are longer than the packet');
      if (length > 0) {
        const found = parsePublishProperties(bytes, at, propertiesEnd);
        if (found.alias > 0) this.#useAlias(found.alias);
        if (found.expiryS >= 0) expiresAt = this.#env.clock.now() + found.expiryS * 1000;
        properties = found.forward;
        utf8 = found.utf8;
      }
      at = propertiesEnd;
    }
    const route = this.#last;
    if (route === undefined) throw protocolError('PUBLISH has neither a topic nor a Topic Alias');
    const { counters } = this.#env;
    count(counters, RECEIVED_COUNTERS[qos]);
    count(counters, C.messageBytesReceived, end - start);
    if (utf8 && !isWellFormed(bytes, at, end)) {
      refusePublish(this.#link, counters, {
        qos,
        packetId,
        code: ReasonCode.payloadFormatInvalid,
        text: 'the payload is declared to be UTF-8 and is not',
      });
      return;
    }
    if ((header & RETAIN) !== 0 && !this.#env.limits.retain) {
      throw new ProtocolError(ReasonCode.retainNotSupported, 'a retained message, and mqtt.retain is off');
    }
    const { messageExpiryMaxS } = this.#env.limits;
    if (messageExpiryMaxS > 0 && (header & KEPT) !== 0)
      expiresAt = Math.min(expiresAt, this.#env.clock.now() + messageExpiryMaxS * 1000);
    const message = new Message(
      route.topic,
      route.bytes,
      bytes,
      at,
      end,
      properties,
      qos,
      (header & RETAIN) !== 0,
      expiresAt,
      this.#session.clientId,
    );
    if (this.#session.isBridge) message.fromBridge = true;
    // A repeated QoS 2 message was let in before: it is answered as then, whatever the rules say by now. A refusal would leave its
    // id taken here and free with the client, whose next message under it would be mistaken for this one.
    if (qos === 2 && this.#session.hasInbound(packetId)) this.#accept(message, packetId, route);
    else if (!this.#lastPermitted) this.#notAuthorized(qos, packetId, route.topic);
    else if (this.#env.hooks.authorizePublish === undefined) this.#accept(message, packetId, route);
    else this.#askHook(message, packetId, route);
  }

  #useAlias(alias: number): void {
    if (alias > this.#topicAliasMaximum) {
      throw new ProtocolError(
        ReasonCode.topicAliasInvalid,
        `Topic Alias ${alias} is beyond the maximum of ${this.#topicAliasMaximum} that CONNACK allowed`,
      );
    }
    const aliases = (this.#aliases ??= []);
    const current = this.#last;
    if (current !== undefined) {
      aliases[alias] = current;
      return;
    }
    const known = aliases[alias];
    if (known === undefined) throw protocolError(`Topic Alias ${alias} was not set`);
    // The route may have left the cache since; the topic of an alias was valid when it was set.
    const route = known.state === RouteState.evicted ? this.#env.router.resolve(known.topic) : known;
    aliases[alias] = route;
    this.#last = route;
    this.#lastPermitted = this.#mayPublish(route);
  }

  #accept(message: Message, packetId: number, route: MessageRoute): void {
    const { ingest } = this.#env;
    switch (message.qos) {
      case 0:
        ingest.publishQoS0(this.#session, message, route);
        break;
      case 1:
        this.#checkReceiveMaximum();
        ingest.publishQoS1(this.#session, this.#link, message, packetId, route);
        break;
      case 2:
        if (!this.#session.inbound.ids.has(packetId)) this.#checkReceiveMaximum();
        ingest.publishQoS2(this.#session, this.#link, message, packetId, route);
        break;
    }
  }

  /** Only v5 clients were told a Receive Maximum [MQTT-3.3.4-9]. */
  #checkReceiveMaximum(): void {
    const { inbound } = this.#session;
    const { receiveMaximum } = this.#env.limits;
    if (this.#v5 && inbound.pendingCount + inbound.ids.size - inbound.carriedCount >= receiveMaximum) {
      throw new ProtocolError(
        ReasonCode.receiveMaximumExceeded,
        `more than ${receiveMaximum} publishes without acknowledgement, the Receive Maximum that CONNACK allowed`,
      );
    }
  }

  #askHook(message: Message, packetId: number, route: MessageRoute): void {
    const hook = this.#env.hooks.authorizePublish;
    if (hook === undefined) return;
    this.#link.suspend();
    hook(this.#session, message, (refused, allowed) => {
      if (this.#session.link === this.#link) {
        if (refused === undefined) this.#acceptAllowed(allowed, packetId, route);
        else this.#notAuthorized(message.qos, packetId, message.topic, refused.message);
      }
      this.#link.resume();
    });
  }

  #acceptAllowed(message: Message, packetId: number, route: MessageRoute): void {
    const target = message.topic === route.topic ? route : this.#env.router.resolve(message.topic);
    // The hook may have made another one of it.
    this.#env.ingest.limitLife(message);
    try {
      this.#accept(message, packetId, target);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#link.disconnect({ code: error.reasonCode, counter: C.disconnectedProtocol, text: error.message });
    }
  }

  #notAuthorized(
    qos: QoS,
    packetId: number,
    topic: string,
    text = 'not authorized to publish to this topic',
  ): void {
    const { counters, logger } = this.#env;
    count(counters, C.refusedNotAuthorized);
    logger.debug('a publish was refused', { client: this.#session.clientId, topic });
    if (this.#v5 && qos === 0) return;
    refusePublish(this.#link, counters, { qos, packetId, code: ReasonCode.notAuthorized, text });
  }
}

function qosOf(header: number): QoS {
  const qos = (header >> 1) & 3;
  switch (qos) {
    case 0:
      if ((header & DUP) !== 0) throw malformed('PUBLISH of QoS 0 has DUP set');
      return 0;
    case 1:
      return 1;
    case 2:
      return 2;
    default:
      throw malformed('PUBLISH has QoS 3');
  }
}

/** The Property Length of a frame that is whole. */
function readLength(bytes: Uint8Array, at: number, end: number): number {
  let value = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    if (at >= end) throw malformed('PUBLISH has no properties field');
    const byte = bytes[at++] as number;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      if (byte === 0 && shift > 0)
        throw malformed('the length of the properties is not in its shortest form');
      return value;
    }
  }
  throw malformed('the length of the properties has more than four bytes');
}

/** U+0000 is legal in a payload, unlike in a string. */
function isWellFormed(bytes: Uint8Array, start: number, end: number): boolean {
  for (let from = start; ;) {
    const nul = bytes.indexOf(0, from);
    const to = nul < 0 || nul >= end ? end : nul;
    if (!isValidUtf8String(bytes, from, to)) return false;
    if (to === end) return true;
    from = to + 1;
  }
}
