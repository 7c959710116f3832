/**
 * Opens the way between two servers before a run. A subscription at one may be known at the other only a moment after its
 * SUBACK, and what is published in between may be lost: that is no part of what is measured. So each topic gets
 * greetings, which nobody counts, until every subscriber has one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { PacketType } from '../../lib/protocol/packet.js';
import { GREETING_MAGIC, publishTemplate } from './frames.js';
import { LoadClient } from './load-client.js';
import type { LoadJob } from './load-job.js';
import { microseconds } from './monotonic.js';
import type { Run } from './run.js';
import type { Subscriber } from './subscriber.js';

const GREET_EVERY_MS = 20;
const GREET_WITHIN_MS = 30_000;

class Greeter extends LoadClient {
  #nextId = 1;

  greet(topic: string, qos: 0 | 1 | 2, payloadBytes: number): void {
    const { bytes, packetIdAt, payloadAt } = publishTemplate(this.version, topic, qos, payloadBytes);
    bytes.writeUInt32BE(GREETING_MAGIC, payloadAt);
    if (qos > 0) bytes.writeUInt16BE(this.#nextId++, packetIdAt);
    this.write(bytes);
  }

  protected override onAck(type: number, packetId: number): void {
    if (type === PacketType.pubrec) this.putAck(0x62, packetId);
  }
}

/** Nothing to do where both ends are at one server. What never opens fails the run. */
export async function greet(
  job: Pick<LoadJob, 'port' | 'subscriberPort' | 'version' | 'payloadBytes'>,
  qos: 0 | 1 | 2,
  subscribers: readonly Subscriber[],
  run: Run,
  withinMs = GREET_WITHIN_MS,
): Promise<void> {
  if (job.subscriberPort === undefined) return;
  const { port, version, payloadBytes } = job;
  const greeter = new Greeter({ port, version, clientId: 'bench-greeter', fail: run.fail });
  // A server that ends now answers nothing.
  await Promise.race([greeter.open(), run.failed]);
  const endUs = microseconds() + withinMs * 1000;
  for (;;) {
    const waiting = subscribers.filter(({ greetings }) => greetings === 0);
    if (waiting.length === 0) break;
    if (microseconds() > endUs) {
      run.fail('what is published at one server does not arrive at the other');
      return run.failed;
    }
    for (const topic of new Set(waiting.map(({ topicName }) => topicName)))
      greeter.greet(topic, qos, payloadBytes);
    await sleep(GREET_EVERY_MS);
  }
  greeter.close();
}
