/** What the well-behaved publishers sent, and what each well-behaved reader has seen of it: nothing may be lost, doubled or out of order. */
import type { PublishPacket } from '../../lib/protocol/index.js';

export interface Stream {
  readonly topic: string;
  readonly qos: 1 | 2;
  /** Sequence number of the last message sent, from 1. */
  sent: number;
  acknowledged: number;
}

/** What one reader, or one group of readers together, has seen of a stream. */
interface Progress {
  highest: number;
  /** Below `highest` and not seen. */
  readonly missing: Set<number>;
}

export type Arrive = (message: PublishPacket) => void;

export class Ledger {
  readonly streams: readonly Stream[];
  /** Checked deliveries. */
  arrived = 0;
  readonly #tag: string;
  readonly #fault: (text: string) => void;
  readonly #byTopic: ReadonlyMap<string, Stream>;
  /** By name of the reader or group, then by topic. */
  readonly #readers = new Map<string, Map<string, Progress>>();

  constructor(tag: string, streams: readonly Pick<Stream, 'topic' | 'qos'>[], fault: (text: string) => void) {
    this.#tag = tag;
    this.#fault = fault;
    this.streams = streams.map((stream) => ({ ...stream, sent: 0, acknowledged: 0 }));
    this.#byTopic = new Map(this.streams.map((stream) => [stream.topic, stream]));
  }

  /** The payload of the next message, `filler` bytes longer than it has to be. */
  next(stream: Stream, filler: number): Buffer {
    return Buffer.from(`${this.#tag} ${++stream.sent} ${'.'.repeat(filler)}`);
  }

  /** A reader that is to see every message in order. */
  reader(name: string): Arrive {
    const progress = this.#progressOf(name);
    return (message) => {
      const found = this.#recognise(message);
      if (found === undefined) return;
      const seen = progressIn(progress, message.topic);
      if (found.sequence === seen.highest + 1) seen.highest++;
      else if (!(message.dup && message.qos === 1 && found.sequence <= seen.highest))
        this.#fault(`${name}: ${message.topic} has ${found.sequence} after ${seen.highest}`);
    };
  }

  /** One of a group that is to see every message between them, each of them in ascending order. */
  member(group: string, name: string): Arrive {
    const shared = this.#progressOf(group);
    const own = new Map<string, number>();
    return (message) => {
      const found = this.#recognise(message);
      if (found === undefined) return;
      const { sequence } = found;
      const last = own.get(message.topic) ?? 0;
      const again = message.dup && message.qos === 1;
      if (sequence <= last && !again) this.#fault(`${name}: ${message.topic} has ${sequence} after ${last}`);
      own.set(message.topic, Math.max(last, sequence));
      const seen = progressIn(shared, message.topic);
      if (sequence > seen.highest) {
        for (let skipped = seen.highest + 1; skipped < sequence; skipped++) seen.missing.add(skipped);
        seen.highest = sequence;
      } else if (!seen.missing.delete(sequence) && !again) {
        this.#fault(`${group}: ${message.topic} ${sequence} was delivered twice`);
      }
    };
  }

  /** What somebody has not seen of what was acknowledged; empty when all is well. */
  owed(): string[] {
    const owed: string[] = [];
    for (const [name, byTopic] of this.#readers) {
      for (const stream of this.streams) {
        const { highest, missing } = progressIn(byTopic, stream.topic);
        if (highest === stream.sent && missing.size === 0) continue;
        owed.push(
          `${name}: ${stream.topic} reached ${highest} of ${stream.sent}, ${missing.size} missing before`,
        );
      }
    }
    for (const { topic, sent, acknowledged } of this.streams) {
      if (sent !== acknowledged) owed.push(`${topic}: ${acknowledged} of ${sent} acknowledged`);
    }
    return owed;
  }

  #progressOf(name: string): Map<string, Progress> {
    const known = this.#readers.get(name) ?? new Map<string, Progress>();
    this.#readers.set(name, known);
    return known;
  }

  /** Undefined for what others publish; a message of ours that was changed on its way is a fault. */
  #recognise(message: PublishPacket): { sequence: number } | undefined {
    const stream = this.#byTopic.get(message.topic);
    if (stream === undefined) return undefined;
    const [tag, number] = Buffer.from(message.payload).toString('latin1').split(' ');
    const sequence = Number(number);
    if (tag !== this.#tag || !Number.isInteger(sequence)) {
      this.#fault(
        `${message.topic} carried ${Buffer.from(message.payload.subarray(0, 100)).toString('hex')}`,
      );
      return undefined;
    }
    const [property] = message.properties.userProperties ?? [];
    if (property !== undefined && property[1] !== number)
      this.#fault(`${message.topic} ${sequence} has the properties of ${property[1]}`);
    this.arrived++;
    return { sequence };
  }
}

function progressIn(byTopic: Map<string, Progress>, topic: string): Progress {
  const known = byTopic.get(topic) ?? { highest: 0, missing: new Set<number>() };
  byTopic.set(topic, known);
  return known;
}
