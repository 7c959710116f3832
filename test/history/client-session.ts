/**
 * The half of a session that a recording client keeps over its connections: what it has in flight, wants to be subscribed to and has
 * to answer. It writes down every packet before it sends it, and as soon as it has read it. Over 250 lines: both directions share
 * the packet ids and the fate of the session.
 */
import * as wire from '../support/wire.js';
import { describe, type Received } from '../support/wire-decode.js';
import type { EventBody, EventQoS, Mid, WillEvent } from './event.js';
import {
  Outgoing,
  type Inflight,
  type Publish,
  type PublishChoices,
  type PublishOutcome,
} from './outgoing.js';
import { createPayload, parsePayload } from './payload.js';
import { Subscriptions, type Asking, type SubscriptionChoices } from './subscriptions.js';

export interface WillChoices {
  readonly topic: string;
  readonly qos?: EventQoS;
  readonly retain?: boolean;
  /** Will Delay Interval in seconds, MQTT 5. */
  readonly delayS?: number;
}

/** What a session needs of whoever has it. */
export interface SessionOwner {
  readonly run: string;
  readonly publisher: number;
  readonly version: 4 | 5;
  /** Publishes in flight that it wants at most. */
  readonly inflightMax: number;
  /** Packet ids that it uses; default all. */
  readonly packetIds?: number;
  write(body: EventBody): void;
  fault(text: string): void;
  message(mid: Mid | null, topic: string): void;
}

/** The current connection. */
export interface PacketSink {
  send(bytes: wire.Bytes): void;
}

const NO_LIMIT = 65_535;

export class ClientSession {
  readonly #owner: SessionOwner;
  readonly #outgoing: Outgoing;
  readonly #subscriptions = new Subscriptions();
  /** Undefined while there is no accepted connection. */
  #sink: PacketSink | undefined;
  #sequence = 0;
  /** How many sessions there were before this one. */
  #session = 0;
  #window = NO_LIMIT;

  constructor(owner: SessionOwner) {
    this.#owner = owner;
    this.#outgoing = new Outgoing(owner.packetIds);
  }

  /** Publishes that have not ended. */
  get pendingCount(): number {
    return this.#outgoing.waitingCount + this.#outgoing.inflightCount;
  }

  publish(choices: PublishChoices): Promise<PublishOutcome> {
    return new Promise((done) => {
      this.#outgoing.wait({ choices, done });
      this.#pump();
    });
  }

  ask(filter: string, choices: SubscriptionChoices | undefined): Promise<number> {
    return new Promise((done) => {
      this.#subscriptions.ask({ filter, choices, done });
      this.#pump();
    });
  }

  /** A will for the next connection; it has a name of its own in each. */
  createWill({ topic, qos = 0, retain = false, delayS = 0 }: WillChoices): {
    event: WillEvent;
    fields: wire.WillFields;
  } {
    const delay = this.#owner.version === 5 ? delayS : 0;
    const mid = this.#nextMid();
    const properties = delay === 0 ? {} : { willDelayInterval: delay };
    return {
      event: { m: mid, topic, q: qos, retain, delay },
      fields: { topic, qos, retain, properties, payload: this.#payload(mid, topic, 0) },
    };
  }

  /** The session is over, or will be when a clean start is answered: nobody will know what became of what is in flight. */
  forget(): void {
    this.#outgoing.forget();
  }

  /** CONNACK has come. @param receiveMaximum of the broker. */
  attach(sink: PacketSink, present: boolean, receiveMaximum = NO_LIMIT): void {
    this.#sink = sink;
    this.#window = Math.min(this.#owner.inflightMax, receiveMaximum);
    if (!present) {
      this.#outgoing.forget();
      this.#session++;
      this.#subscriptions.renewed();
    }
    this.#outgoing.resume();
    this.#pump();
  }

  detach(): void {
    this.#sink = undefined;
    for (const id of this.#subscriptions.disconnected()) this.#outgoing.freeId(id);
  }

  // What the broker sends.

  /** Any packet after CONNACK but PINGRESP and DISCONNECT. */
  packet(sink: PacketSink, packet: Received): void {
    const { packetId } = packet;
    switch (packet.type) {
      case 'publish':
        return this.#onPublish(sink, packet);
      case 'pubrel':
        this.#owner.write({ e: 'rel', pid: packetId });
        return sink.send(wire.ack('pubcomp', packetId));
      case 'puback':
      case 'pubrec':
      case 'pubcomp':
        return this.#onAck(sink, packet.type, packet);
      case 'suback':
      case 'unsuback':
        return this.#onAnswer(packet);
      default:
        this.#owner.fault(`${describe(packet)} is not for a client`);
    }
  }

  #onPublish(sink: PacketSink, packet: Received): void {
    const { topic, retain, dup, packetId, payloadBytes } = packet;
    const q = parseQoS(packet.qos);
    const parsed = parsePayload(payloadBytes, this.#owner.run, topic);
    const m = parsed.kind === 'message' ? parsed.mid : null;
    this.#owner.write({
      ...{ e: 'recv', m, topic, q, retain, dup },
      ...(q > 0 && { pid: packetId }),
      bytesOk: parsed.kind === 'message' || parsed.kind === 'empty',
      ...(parsed.kind === 'empty' && { empty: true }),
      ...(parsed.kind !== 'message' && parsed.kind !== 'empty' && { fault: parsed.kind }),
    });
    if (q > 0) sink.send(wire.ack(q === 1 ? 'puback' : 'pubrec', packetId));
    this.#owner.message(m, topic);
  }

  #onAck(sink: PacketSink, type: AckType, packet: Received): void {
    const { packetId, reasonCode: rc } = packet;
    const inflight = this.#outgoing.get(packetId);
    const expected = inflight && expectedAck(inflight);
    // PUBREC once more, of a PUBLISH that was sent again.
    if (type === 'pubrec' && expected === 'pubcomp') return sink.send(wire.ack('pubrel', packetId));
    if (inflight === undefined || type !== expected) {
      this.#owner.fault(`${describe(packet)} in place of ${expected ?? 'nothing'}`);
      return;
    }
    this.#owner.write({ e: 'pub.', m: inflight.mid, how: ACK_NAMES[type], rc });
    if (type !== 'pubcomp') inflight.outcome = outcomeOf(inflight, rc);
    if (type === 'pubrec' && rc < 0x80) {
      inflight.state = 'pubrel';
      sink.send(wire.ack('pubrel', packetId));
      return;
    }
    this.#outgoing.finish(inflight);
    this.#pump();
  }

  #onAnswer(packet: Received): void {
    const { packetId, reasonCodes } = packet;
    // UNSUBACK has no codes before MQTT 5.
    const rc = reasonCodes[0] ?? 0;
    const asking = this.#subscriptions.answered(packetId, rc);
    if (asking === undefined) {
      this.#owner.fault(`${describe(packet)} answers nothing`);
      return;
    }
    this.#outgoing.freeId(packetId);
    const e = asking.choices === undefined ? 'unsub.' : 'sub.';
    this.#owner.write({ e, f: asking.filter, pid: packetId, rc });
    asking.done(rc);
  }

  // What it sends.

  /** Sends what may be sent: first what the session had in flight, then the rest in order. */
  #pump(): void {
    const sink = this.#sink;
    if (sink === undefined) return;
    for (let next = this.#subscriptions.next(); next !== undefined; next = this.#subscriptions.next())
      this.#sendAsking(sink, next);
    while (this.#outgoing.openCount < this.#window) {
      const again = this.#outgoing.nextAgain();
      if (again !== undefined) {
        if (again.state === 'pubrel') sink.send(wire.ack('pubrel', again.packetId));
        else this.#sendPublish(sink, again);
        continue;
      }
      const publish = this.#outgoing.nextWaiting();
      if (publish === undefined) return;
      this.#sendFirst(sink, publish);
    }
  }

  #sendFirst(sink: PacketSink, { choices, done }: Publish): void {
    const { topic, qos, empty = false, paddingBytes = 0 } = choices;
    const mid = this.#nextMid();
    const payload = empty ? Buffer.alloc(0) : this.#payload(mid, topic, paddingBytes);
    const packetId = qos === 0 ? 0 : this.#outgoing.takeId();
    const inflight: Inflight = {
      ...{ choices, done, mid, payload, packetId },
      ...{ sends: 0, state: 'publish', outcome: 'info' },
    };
    if (qos > 0) this.#outgoing.begin(inflight);
    this.#sendPublish(sink, inflight);
    if (qos === 0) done('info');
  }

  #sendPublish(sink: PacketSink, inflight: Inflight): void {
    const { choices, mid, payload, packetId } = inflight;
    const { topic, qos, retain = false, expiryS, empty } = choices;
    const { version } = this.#owner;
    const dup = inflight.sends++ > 0;
    const expires = expiryS !== undefined && version === 5;
    this.#owner.write({
      ...{ e: 'pub!', m: mid, topic, q: qos, retain, dup },
      ...(qos > 0 && { pid: packetId }),
      ...(empty === true && { empty }),
      ...(expires && { expiry: expiryS }),
    });
    const properties = expires ? { messageExpiryInterval: expiryS } : {};
    sink.send(wire.publish({ topic, payload, qos, retain, dup, packetId, version, properties }));
  }

  #sendAsking(sink: PacketSink, asking: Asking): void {
    const { filter, choices } = asking;
    const { version } = this.#owner;
    const packetId = this.#outgoing.holdId();
    this.#subscriptions.sent(packetId, asking);
    if (choices === undefined) {
      this.#owner.write({ e: 'unsub!', f: filter, pid: packetId });
      sink.send(wire.unsubscribe(packetId, [filter], { version }));
      return;
    }
    const { qos, noLocal: nl, retainAsPublished: rap, retainHandling: rh } = choices;
    this.#owner.write({
      ...{ e: 'sub!', f: filter, q: qos, pid: packetId },
      ...(nl !== undefined && { nl }),
      ...(rap !== undefined && { rap }),
      ...(rh !== undefined && { rh }),
    });
    sink.send(wire.subscribe(packetId, [{ filter, ...choices }], { version }));
  }

  #nextMid(): Mid {
    return { pub: this.#owner.publisher, seq: this.#sequence++ };
  }

  #payload(mid: Mid, topic: string, paddingBytes: number): Buffer {
    return createPayload({ run: this.#owner.run, mid, session: this.#session, topic, paddingBytes });
  }
}

const ACK_NAMES = { puback: 'PUBACK', pubrec: 'PUBREC', pubcomp: 'PUBCOMP' } as const;
type AckType = keyof typeof ACK_NAMES;

function expectedAck({ choices, state }: Inflight): AckType {
  if (choices.qos === 1) return 'puback';
  return state === 'publish' ? 'pubrec' : 'pubcomp';
}

/** Of a message that was sent twice the first copy may have been taken. */
function outcomeOf({ sends }: Inflight, reasonCode: number): PublishOutcome {
  if (reasonCode < 0x80) return 'ok';
  return sends === 1 ? 'fail' : 'info';
}

/** @throws RangeError for the QoS that does not exist. */
function parseQoS(value: number): EventQoS {
  if (value === 0 || value === 1 || value === 2) return value;
  throw new RangeError(`QoS ${value}`);
}
