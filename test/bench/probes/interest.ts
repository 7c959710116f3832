/**
 * Look-ups in the filters of 100 gateways, 100,000 in all: `node interest.js [topics]` prints microseconds as JSON. `wide`: every
 * gateway holds one filter more that the topic matches.
 */
import { gatewayIdOf } from '../../../lib/contracts/gateway-id.js';
import { RemoteInterest } from '../../../mesh/interest/index.js';
import { microseconds } from '../monotonic.js';
import { percentile } from '../statistics.js';

const GATEWAYS = 100;
const FILTERS_EACH = 1_000;
const MEASURES = 5;

const peers = Array.from({ length: GATEWAYS }, (_, n) => gatewayIdOf(new Uint8Array(32).fill(n)));
const topicOf = (n: number): string =>
  `site-${n % GATEWAYS}/device-${Math.floor(n / GATEWAYS) % 200}/measure-${Math.floor(n / 20_000) % MEASURES}`;

function filterOf(n: number): string {
  const [site = '', device = '', measure = ''] = topicOf(n * 7919).split('/');
  switch (n % 20) {
    case 0:
      return `${site}/+/${measure}`;
    case 1:
      return `+/${device}/${measure}`;
    case 2:
      return `${site}/${device}/#`;
    default:
      return `${site}/${device}/${measure}`;
  }
}

function build(isWide: boolean): RemoteInterest {
  const remote = new RemoteInterest();
  for (const [index, peer] of peers.entries()) {
    for (let n = 0; n < FILTERS_EACH; n++) {
      const filter = filterOf(index * FILTERS_EACH + n);
      // Each gateway's own, where two would be the same.
      remote.set(
        peer,
        remote.qosOf(peer, filter) === -1 ? filter : `${filter.replace('/#', '')}/extra-${n}`,
        1,
      );
    }
    if (isWide) remote.set(peer, '#', 0);
  }
  return remote;
}

function measure(remote: RemoteInterest, count: number): { p50Us: number; p99Us: number; found: number } {
  const times: number[] = [];
  let found = 0;
  const visit = (): void => {
    found++;
  };
  for (let n = 0; n < count; n++) {
    const topic = topicOf(n * 104_729);
    const start = microseconds();
    remote.match(topic, visit);
    times.push(microseconds() - start);
  }
  times.sort((a, b) => a - b);
  return { p50Us: percentile(times, 50), p99Us: percentile(times, 99), found: found / count };
}

const count = Number(process.argv[2] ?? 100_000);
const plain = build(false);
const wide = build(true);
measure(plain, 1_000);
process.stdout.write(
  `${JSON.stringify({ filters: plain.filterCount, narrow: measure(plain, count), wide: measure(wide, count) })}\n`,
);
