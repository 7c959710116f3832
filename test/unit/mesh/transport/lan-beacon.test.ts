import { test } from 'tap';
import { gatewayIdOf, type GatewayId } from '../../../../lib/contracts/gateway-id.js';
import {
  LanBeacon,
  type LanPacket,
  type LanRecord,
  type MulticastPort,
} from '../../../../mesh/transport/lan-beacon.js';
import { parsePacket } from '../../../../mesh/transport/multicast.js';
import { nullLogger } from '../../../support/null-logger.js';
import { middle, VirtualTime } from './virtual-time.js';

/** A network on which everybody hears everybody, also itself. */
class Lan {
  readonly heard: LanPacket[] = [];
  readonly #members = new Map<string, (packet: LanPacket, from: string) => void>();
  readonly #plugs = new Map<string, () => void>();

  /** Its machine is on another network now. */
  plugged(host: string): void {
    this.#plugs.get(host)?.();
  }

  port(host: string): MulticastPort {
    const send = (packet: LanPacket): void => {
      this.heard.push(packet);
      for (const onPacket of this.#members.values()) onPacket(packet, host);
    };
    return {
      open: async (onPacket, onNetwork) => {
        this.#members.set(host, onPacket);
        this.#plugs.set(host, onNetwork);
      },
      query: (name) => send({ questions: [name], texts: [] }),
      respond: (records) => send({ questions: [], texts: textsOf(records) }),
      close: async () => void this.#members.delete(host),
    };
  }
}

function textsOf(records: readonly LanRecord[]): LanPacket['texts'] {
  return records.flatMap(({ name, type, data }) =>
    type === 'TXT' && typeof data !== 'string' ? [{ name, texts: data }] : [],
  );
}

function idOf(byte: number): GatewayId {
  return gatewayIdOf(new Uint8Array(32).fill(byte));
}

function createBeacon(
  lan: Lan,
  time: VirtualTime,
  byte: number,
  secret = 1,
): { beacon: LanBeacon; found: string[] } {
  const found: string[] = [];
  const beacon = new LanBeacon({
    multicast: lan.port(`10.0.0.${byte}`),
    own: idOf(byte),
    secret: new Uint8Array(32).fill(secret),
    clock: time,
    timers: time,
    random: middle,
    logger: nullLogger,
    ports: () => ({ tcpPort: 4000 + byte, udpPort: 0 }),
    onPeer: (peer, addresses) =>
      void found.push(
        ...addresses.map(({ kind, host, port }) => `${peer.slice(0, 2)} ${kind} ${host}:${port}`),
      ),
  });
  return { beacon, found };
}

test('members on one network hear of each other, whoever comes first', async (t) => {
  const [lan, time] = [new Lan(), new VirtualTime()];
  const [a, b] = [createBeacon(lan, time, 1), createBeacon(lan, time, 2)];
  await a.beacon.start();
  await time.advance(10_000);
  await b.beacon.start();
  await time.advance(200);
  t.same(new Set(a.found), new Set(['02 tcp 10.0.0.2:4002']));
  t.same(new Set(b.found), new Set(['01 tcp 10.0.0.1:4001']));
  await a.beacon.stop();
  await b.beacon.stop();
  t.equal(time.pending, 0);
});

test('whoever is on a network anew says so and asks at once, as after its start', async (t) => {
  const [lan, time] = [new Lan(), new VirtualTime()];
  const [a, b] = [createBeacon(lan, time, 1), createBeacon(lan, time, 2)];
  await a.beacon.start();
  await b.beacon.start();
  await time.advance(20_000);
  for (const { found } of [a, b]) found.length = 0;
  lan.heard.length = 0;
  lan.plugged('10.0.0.1');
  t.equal(lan.heard.filter(({ texts }) => texts.length > 0).length, 1);
  await time.advance(200);
  t.same(a.found, ['02 tcp 10.0.0.2:4002']);
  t.same(b.found, ['01 tcp 10.0.0.1:4001']);
  await time.advance(10_000);
  t.equal(lan.heard.filter(({ questions }) => questions.length > 0).length, 3, 'at once, and twice more');
  await a.beacon.stop();
  await b.beacon.stop();
  lan.plugged('10.0.0.1');
  t.equal(time.pending, 0);
});

test('other meshes on the network neither answer nor are heard', async (t) => {
  const [lan, time] = [new Lan(), new VirtualTime()];
  const [a, b] = [createBeacon(lan, time, 1, 1), createBeacon(lan, time, 2, 2)];
  await a.beacon.start();
  await b.beacon.start();
  await time.advance(100_000);
  t.same([...a.found, ...b.found], []);
  const answers = lan.heard.filter(({ texts }) => texts.length > 0);
  t.equal(answers.length > 2, true, 'each answers itself, and it is none of its business that it does');
});

test('many questions get one answer a second', async (t) => {
  const [lan, time] = [new Lan(), new VirtualTime()];
  const { beacon } = createBeacon(lan, time, 1);
  await beacon.start();
  const name = lan.heard.flatMap(({ questions }) => questions)[0] ?? '';
  t.match(name, /^[0-9a-f]{32}\._sprawl-edge\._tcp\.local$/);
  const asker = lan.port('10.0.0.9');
  const before = answersOf(lan);
  for (let index = 0; index < 50; index++) {
    asker.query(name.toUpperCase());
    await time.advance(40);
  }
  t.ok(answersOf(lan) - before <= 2, `${answersOf(lan) - before}`);
  t.ok(answersOf(lan) - before >= 1);
});

function answersOf(lan: Lan): number {
  return lan.heard.filter(({ texts }) => texts.length > 0).length;
}

test('answers that are none are passed over', async (t) => {
  const [lan, time] = [new Lan(), new VirtualTime()];
  const { beacon, found } = createBeacon(lan, time, 1);
  await beacon.start();
  const name = lan.heard.flatMap(({ questions }) => questions)[0] ?? '';
  const rogue = lan.port('10.0.0.66');
  const say = (data: string[], as = `x.${name}`): void =>
    rogue.respond([{ name: as, type: 'TXT', ttl: 1, data }]);
  say([]);
  say(['k=nonsense', 't=1']);
  say([`k=${idOf(1)}`, 't=1']);
  say([`k=${idOf(3)}`, 't=99999', 'u=-1']);
  say([`k=${idOf(3)}`, 't=1'], name);
  t.same(found, []);
  say([`k=${idOf(3)}`, 't=7', 'u=8']);
  t.same(found, ['03 tcp 10.0.0.66:7', '03 udp 10.0.0.66:8']);
  await beacon.stop();
  say([`k=${idOf(4)}`, 't=7']);
  t.equal(found.length, 2);
});

test('without multicast the gateway says so and goes on', async (t) => {
  const warnings: unknown[] = [];
  const time = new VirtualTime();
  const beacon = new LanBeacon({
    multicast: {
      ...new Lan().port('10.0.0.1'),
      open: async () => {
        throw new Error('EADDRINUSE');
      },
    },
    own: idOf(1),
    secret: new Uint8Array(32),
    clock: time,
    timers: time,
    random: middle,
    logger: { ...nullLogger, warn: (_message, fields) => void warnings.push(fields) },
    ports: () => ({ tcpPort: 1, udpPort: 1 }),
    onPeer: () => {},
  });
  await beacon.start();
  t.same(warnings, [{ why: 'EADDRINUSE' }]);
  await beacon.stop();
});

test('of a packet only the questions and texts are taken', async (t) => {
  const packet = parsePacket({
    questions: [
      { name: 'a', type: 'PTR' },
      { name: 'b', type: 'A' },
      { name: 'c', type: 'ANY' },
    ],
    answers: [
      { name: 'd', type: 'TXT', data: [Buffer.from('k=1'), 'u=2', 7] },
      { name: 'e', type: 'A', data: '10.0.0.1' },
    ],
    additionals: [{ name: 'f', type: 'TXT', data: 'one' }],
  });
  t.same(packet, {
    questions: ['a', 'c'],
    texts: [
      { name: 'd', texts: ['k=1', 'u=2'] },
      { name: 'f', texts: ['one'] },
    ],
  });
  t.same(parsePacket({}), { questions: [], texts: [] });
});
