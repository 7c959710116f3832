/** A long history costs some bytes for each message, not an object. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { checkHistory } from './checker.js';
import { EXPIRES_NEVER, type EventBody, type HistoryEvent } from './event.js';

const PUBLISHES = 300_000;
const PUBLISHERS = 10;
const SUBSCRIBERS = ['s1', 's2'] as const;

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

function memoryBytes(): number {
  if (typeof collect === 'function') collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Made while it is read, so that nothing but the checker remembers it. */
class LongHistory implements Iterable<HistoryEvent> {
  grownBytes = 0;

  *[Symbol.iterator](): Generator<HistoryEvent> {
    let count = 0;
    const event = (p: string, body: EventBody, waitNs = 0): HistoryEvent => {
      const t = BigInt(count * 1000 + waitNs);
      return { t, run: 'long', p, i: count++, ...body };
    };
    const publishers = Array.from({ length: PUBLISHERS }, (_, index) => `p${index}`);
    for (const cid of [...SUBSCRIBERS, ...publishers]) {
      yield event(cid, { e: 'conn!', cid, node: 'n1', clean: false, expiry: EXPIRES_NEVER, v: 5 });
      yield event(cid, { e: 'conn.', present: false, rc: 0 });
    }
    for (const p of SUBSCRIBERS) {
      yield event(p, { e: 'sub!', f: 't/#', q: 1, pid: 1 });
      yield event(p, { e: 'sub.', f: 't/#', pid: 1, rc: 1 });
    }
    const before = memoryBytes();
    for (let index = 0; index < PUBLISHES; index++) {
      const pub = index % PUBLISHERS;
      const m = { pub, seq: Math.floor(index / PUBLISHERS) };
      const pid = 1 + (index % 60_000);
      const common = { m, topic: `t/${pub}`, q: 1, retain: false, dup: false, pid } as const;
      yield event(`p${pub}`, { e: 'pub!', ...common });
      for (const p of SUBSCRIBERS) yield event(p, { e: 'recv', ...common, bytesOk: true });
      yield event(`p${pub}`, { e: 'pub.', m, how: 'PUBACK', rc: 0 });
    }
    this.grownBytes = memoryBytes() - before;
    yield event('harness', { e: 'drain.' }, 5e9);
  }
}

t.test(
  'a history of some hundred thousand publishes is judged in less than a hundred bytes for each',
  async (t) => {
    const history = new LongHistory();
    const start = performance.now();
    const verdict = checkHistory(history);
    t.comment(
      `${PUBLISHES} publishes, ${verdict.figures.events} events: ${(performance.now() - start).toFixed(0)} ms`,
    );
    t.equal(verdict.kind, 'pass', verdict.reasons.join());
    t.equal(verdict.figures.obligations.judged, PUBLISHES * SUBSCRIBERS.length);
    const eachBytes = history.grownBytes / PUBLISHES;
    t.ok(eachBytes < 100, `${eachBytes.toFixed(1)} bytes for each publish and its two deliveries`);
  },
);
