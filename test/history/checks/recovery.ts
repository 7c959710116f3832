import { Check, type Delivery } from '../model/check.js';
import type { Fault } from '../model/faults.js';
import type { Publisher } from '../model/publisher.js';

interface Service {
  readonly topic: string;
  /** First publish since the last delivery; undefined while nobody waits. */
  demandSinceMs: number | undefined;
  /** Something was delivered at least once: only then is silence a gap. */
  served: boolean;
  demandedSecond: number;
  servedSecond: number;
  demandedS: number;
  servedS: number;
}

/**
 * C11: the longest time after each fault in which something was published on a topic and nothing was delivered. A fault answers until
 * another one begins after its end, or its window is over. Also the share of the seconds with demand that had service.
 */
export class Recovery extends Check {
  /** By topic id. */
  readonly #services: (Service | undefined)[] = [];
  #answerable: Fault[] = [];

  override published(publisher: Publisher, seq: number, atMs: number): void {
    if (publisher.will(seq) || publisher.empty(seq)) return;
    const service = this.#service(publisher.topicId(seq));
    service.demandSinceMs ??= atMs;
    const second = Math.floor(atMs / 1000);
    if (second === service.demandedSecond) return;
    service.demandedSecond = second;
    service.demandedS++;
  }

  override received({ topic, publisher, seq, form, copies, atMs }: Delivery): void {
    if (form === 'stored' || copies > 1 || publisher.will(seq)) return;
    const service = this.#service(topic.id);
    if (this.#answerable.length > 0) this.#served(service, atMs);
    service.demandSinceMs = undefined;
    service.served = true;
    const second = Math.floor(atMs / 1000);
    if (second !== service.demandedSecond || second === service.servedSecond) return;
    service.servedSecond = second;
    service.servedS++;
  }

  override faultBegan(fault: Fault): void {
    this.#retire(fault.atMs, (one) => one.healedAtMs <= fault.atMs);
    this.#answerable.push(fault);
  }

  override finish(): void {
    const { drainedAtMs, nowMs } = this.model;
    this.#retire(drainedAtMs ?? nowMs, () => true);
    for (const service of this.#services) {
      if (service === undefined) continue;
      const { topic, demandedS, servedS } = service;
      this.report.figures.topics[topic] = { demandedS, servedS };
    }
    for (const fault of this.model.faults.all) this.#figure(fault);
  }

  #figure(fault: Fault): void {
    const { what, nodes, atMs, healedAtMs, longestGapMs, gapTopic, okOverlaps } = fault;
    this.report.figures.faults.push({
      ...{ what, nodes, atMs, longestGapMs, topic: gapTopic, okOverlaps },
      healedAtMs: healedAtMs === Infinity ? undefined : healedAtMs,
    });
    const { recoveryMaxMs } = this.model.options;
    if (recoveryMaxMs === undefined || longestGapMs <= recoveryMaxMs) return;
    this.report.violation({
      check: 'C11',
      rule: 'gap',
      text: `after ${what} of ${nodes.join(', ')} at ${atMs.toFixed(1)} ms nothing was delivered on ${gapTopic} for ${longestGapMs.toFixed(1)} ms`,
      atMs,
      cids: [],
      mids: [],
      count: 1,
    });
  }

  #served(service: Service, atMs: number): void {
    this.#retire(atMs, (fault) => this.#windowEndMs(fault) < atMs);
    for (const fault of this.#answerable) this.#gap(fault, service, atMs);
  }

  /** Those that need not answer any more take the gaps that are open. */
  #retire(nowMs: number, isOver: (fault: Fault) => boolean): void {
    const over = this.#answerable.filter(isOver);
    if (over.length === 0) return;
    this.#answerable = this.#answerable.filter((fault) => !over.includes(fault));
    for (const fault of over) {
      const endMs = Math.min(nowMs, this.#windowEndMs(fault));
      for (const service of this.#services) {
        if (service?.served === true) this.#gap(fault, service, endMs);
      }
    }
  }

  #gap(fault: Fault, { topic, demandSinceMs }: Service, untilMs: number): void {
    if (demandSinceMs === undefined) return;
    const gapMs = untilMs - Math.max(demandSinceMs, fault.atMs);
    if (gapMs <= fault.longestGapMs) return;
    fault.longestGapMs = gapMs;
    fault.gapTopic = topic;
  }

  #windowEndMs(fault: Fault): number {
    return fault.healedAtMs + this.model.options.recoveryWindowMs;
  }

  #service(topicId: number): Service {
    let service = this.#services[topicId];
    if (service === undefined) {
      const topic = this.model.topic(topicId).name;
      service = {
        ...{ topic, demandSinceMs: undefined, served: false },
        ...{ demandedSecond: -1, servedSecond: -1, demandedS: 0, servedS: 0 },
      };
      this.#services[topicId] = service;
    }
    return service;
  }
}
