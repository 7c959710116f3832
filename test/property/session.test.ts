/**
 * One session over the real lanes, its client, and a model that is a few lists. Commands come in any order: messages in
 * both directions, acknowledgements late or never, connections that break with bytes under way, storage that commits late.
 * Over 400 lines: model, client and commands are read together.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import type { Message } from '../../lib/message/message.js';
import type { Packet, ProtocolVersion, PublishPacket, QoS } from '../../lib/protocol/index.js';
import { Listener } from '../../lib/routing/index.js';
import { SlotState } from '../../lib/session/outbound-window.js';
import type { Session } from '../../lib/session/session.js';
import { publish } from '../support/wire.js';
import { type FakeLink, LaneWorld, message } from '../unit/delivery/lane-world.js';

/** A message by its number, and how far it is. */
interface Entry {
  readonly number: number;
  readonly qos: QoS;
  readonly weight: number;
}

/** What the gateway has to hold: no ids, no bytes, no time. */
class Model {
  window = 0;
  online = false;
  inflight: Entry[] = [];
  /** Of an earlier connection, and not sent again on this one yet. */
  resend: Entry[] = [];
  queue: Entry[] = [];
  /** Storage does not commit. */
  hold = false;
  /** Whose last step is not stored, towards the client and, by packet id, from it. */
  readonly storing = new Set<number>();
  readonly storingIn = new Set<number>();
  readonly accepted: Record<QoS, number[]> = { 0: [], 1: [], 2: [] };
  readonly published: Record<1 | 2, string[]> = { 1: [], 2: [] };
  queueFull = 0;
  offline = 0;
  refused = 0;

  constructor(
    readonly queueMaxCount: number,
    readonly queueMaxBytes: number,
  ) {}

  deliver(qos: QoS, entry: Entry): void {
    if (qos === 0) {
      if (this.online) this.accepted[0].push(entry.number);
      else this.offline++;
      return;
    }
    const queuedBytes = this.queue.reduce((sum, { weight }) => sum + weight, 0);
    if (this.online && this.resend.length + this.queue.length === 0 && this.inflight.length < this.window) {
      this.#send(entry);
    } else if (this.queue.length >= this.queueMaxCount || queuedBytes + entry.weight > this.queueMaxBytes) {
      this.queueFull++;
      return;
    } else {
      this.queue.push(entry);
    }
    this.accepted[qos].push(entry.number);
  }

  connect(window: number): void {
    this.online = true;
    this.window = window;
    this.resend = [...this.inflight];
    this.#pump();
  }

  disconnect(): void {
    this.online = false;
    this.resend = [];
  }

  committed(): void {
    this.storing.clear();
    this.storingIn.clear();
    this.#pump();
  }

  /** PUBREC of a message, which is a step to store. */
  recorded(number: number): void {
    if (this.hold) this.storing.add(number);
  }

  acknowledged(number: number): void {
    this.storing.delete(number);
    this.inflight = this.inflight.filter((entry) => entry.number !== number);
    this.resend = this.resend.filter((entry) => entry.number !== number);
    this.#pump();
  }

  #pump(): void {
    if (!this.online) return;
    for (let [head] = this.resend; head !== undefined; [head] = this.resend) {
      if (this.inflight.length - this.resend.length >= this.window || this.storing.has(head.number)) return;
      this.resend.shift();
    }
    while (this.inflight.length < this.window) {
      const next = this.queue.shift();
      if (next === undefined) return;
      this.#send(next);
    }
  }

  #send(entry: Entry): void {
    this.inflight.push(entry);
    if (this.hold && entry.qos === 2) this.storing.add(entry.number);
  }
}

interface Answer {
  readonly type: 'puback' | 'pubrec' | 'pubcomp';
  readonly id: number;
  /** Of the message where it is the last answer. */
  readonly number: number;
}

interface Published {
  readonly text: string;
  readonly qos: 1 | 2;
  /** PUBREC came. */
  released: boolean;
  /** PUBREL left, on this connection or on any. */
  pubrelSent: boolean;
  pubrelEver: boolean;
}

/** A client that keeps to the specification, with the session that it keeps itself. */
class Client {
  readonly received: Record<QoS, number[]> = { 0: [], 1: [], 2: [] };
  /** QoS 2 ids that it has and that were not released, with their messages. */
  readonly held = new Map<number, number>();
  /** Of this connection: what it owes an answer. */
  answers: Answer[] = [];
  /** Ids of this connection without their last answer. */
  readonly inflight = new Set<number>();
  /** What it published and was not acknowledged, in order. */
  readonly sent = new Map<number, Published>();
  /** The last message of each id. */
  readonly #numbers = new Map<number, number>();
  #nextId = 1;

  take(packets: readonly Packet[], window: number, model: Model): void {
    for (const packet of packets) this.#take(packet, model);
    assert(this.inflight.size <= window, 'no more in flight than the client allowed');
  }

  disconnected(): void {
    this.answers = [];
    this.inflight.clear();
    for (const own of this.sent.values()) own.pubrelSent = false;
  }

  nextId(): number {
    return this.#nextId++;
  }

  #take(packet: Packet, model: Model): void {
    switch (packet.type) {
      case 'publish':
        this.#publish(packet, model);
        break;
      case 'pubrel': {
        // It may have released the id already, on an earlier connection.
        const number = this.#numbers.get(packet.packetId) ?? -1;
        assert(!model.storing.has(number), 'PUBREL before PUBREC is stored');
        this.held.delete(packet.packetId);
        this.answers.push({ type: 'pubcomp', id: packet.packetId, number });
        break;
      }
      case 'puback':
      case 'pubcomp':
        assert(!model.storingIn.has(packet.packetId), 'an acknowledgement of what is not stored');
        assert(this.sent.delete(packet.packetId), 'an acknowledgement of something that was sent');
        break;
      case 'pubrec': {
        const own = this.sent.get(packet.packetId);
        assert(own?.qos === 2);
        assert(!model.storingIn.has(packet.packetId), 'an acknowledgement of what is not stored');
        own.released = true;
        break;
      }
      default:
        assert.fail(packet.type);
    }
  }

  #publish({ qos, packetId, payload, dup }: PublishPacket, model: Model): void {
    const number = Number(payload.toString().trim());
    if (qos === 0 || packetId === undefined) {
      this.received[0].push(number);
      return;
    }
    if (!dup) assert(!this.inflight.has(packetId) && !this.held.has(packetId), `id ${packetId} is in use`);
    this.inflight.add(packetId);
    this.#numbers.set(packetId, number);
    if (qos === 1) {
      this.received[1].push(number);
      this.answers.push({ type: 'puback', id: packetId, number });
      return;
    }
    assert(!model.storing.has(number), 'a QoS 2 message before its id is stored');
    const known = this.held.get(packetId);
    assert(known === undefined || known === number, 'an id keeps its message until it is released');
    if (known === undefined) this.received[2].push(number);
    this.held.set(packetId, number);
    this.answers.push({ type: 'pubrec', id: packetId, number });
  }
}

/** The gateway's side and its client. */
class Real {
  readonly world: LaneWorld;
  readonly session: Session;
  readonly client = new Client();
  readonly heard: Record<1 | 2, string[]> = { 1: [], 2: [] };
  link: FakeLink | undefined;
  #count = 0;

  constructor(queueMaxCount: number, queueMaxBytes: number) {
    this.world = new LaneWorld({
      clientQueueMaxCount: queueMaxCount,
      clientQueueMaxBytes: queueMaxBytes,
      redeliveryMaxCount: 1000,
      retryInitialMs: 1000,
      retryMaxMs: 2000,
    });
    this.session = this.world.session();
    this.world.lanes.router.addListener(
      new Listener<Message>('in', ({ payload, qos }) => {
        if (qos > 0) this.heard[qos === 1 ? 1 : 2].push(Buffer.from(payload).toString());
      }),
    );
  }

  deliver(model: Model, qos: QoS, size: number): void {
    const number = ++this.#count;
    const made = message({ qos, payload: String(number).padEnd(size) });
    model.deliver(qos, { number, qos, weight: made.weight });
    this.session.outbound.deliver(made, 2, false, undefined);
  }

  connect(model: Model, version: ProtocolVersion, window: number): void {
    this.link = this.world.link({ version, sendWindow: window });
    model.connect(window);
    this.session.start(this.link);
    this.release(model);
    for (const [id, { text, qos, released }] of this.client.sent) {
      if (!released) this.#send(this.link, id, text, qos, true);
    }
  }

  /** @param lost whether what is under way arrives. */
  disconnect(model: Model, lost: boolean): void {
    const { link } = this;
    if (link === undefined) return;
    if (!lost) this.take(model);
    this.link = undefined;
    this.client.disconnected();
    model.disconnect();
    this.session.disconnect(false, undefined);
    link.outbox.close();
  }

  take(model: Model): void {
    if (this.link !== undefined) this.client.take(this.link.take(), this.link.sendWindow, model);
  }

  publish(model: Model, qos: 1 | 2): void {
    const { link, client } = this;
    if (link === undefined) return;
    const id = client.nextId();
    const text = `m${id}`;
    client.sent.set(id, { text, qos, released: false, pubrelSent: false, pubrelEver: false });
    model.published[qos].push(text);
    if (model.hold) model.storingIn.add(id);
    this.#send(link, id, text, qos, false);
  }

  release(model: Model): void {
    const { link, client } = this;
    if (link === undefined) return;
    for (const [id, own] of client.sent) {
      if (!own.released || own.pubrelSent) continue;
      // The first PUBREL changes what is stored, a repeated one does not.
      if (model.hold && !own.pubrelEver) model.storingIn.add(id);
      own.pubrelSent = true;
      own.pubrelEver = true;
      this.world.env.ingest.pubrel(this.session, link, id);
    }
  }

  /** Gives one of the answers that the client owes. */
  answer(model: Model, pick: number, refuse: boolean): void {
    const { answers, inflight, held } = this.client;
    const [answer] = answers.splice(pick % Math.max(1, answers.length), 1);
    if (answer === undefined) return;
    const { type, id, number } = answer;
    const refused = refuse && this.link?.version === 5 && type !== 'pubcomp';
    const last = type !== 'pubrec' || refused;
    // A repetition that was answered already changes nothing.
    const { outbound } = this.session;
    const state = outbound.window?.stateOf(id) ?? SlotState.free;
    const isLast = last && state !== SlotState.free;
    if (last) inflight.delete(id);
    if (refused) {
      held.delete(id);
      if (isLast) model.refused++;
    }
    if (isLast) model.acknowledged(number);
    else if (type === 'pubrec' && state === SlotState.publish) model.recorded(number);
    if (type === 'puback') outbound.puback(id, refused ? 0x80 : 0);
    else if (type === 'pubrec') outbound.pubrec(id, refused ? 0x80 : 0);
    else outbound.pubcomp(id);
  }

  hold(model: Model, hold: boolean): void {
    model.hold = hold;
    this.world.store.hold = hold;
    if (hold) return;
    this.world.store.release();
    model.committed();
  }

  tick(ms: number): void {
    this.world.now += ms;
    this.session.outbound.tick(this.world.now);
  }

  #send(link: FakeLink, packetId: number, payload: string, qos: 1 | 2, dup: boolean): void {
    link.feed(
      this.session,
      publish({ version: link.version === 5 ? 5 : 4, topic: 'in', packetId, payload, qos, dup }),
    );
  }
}

function check(model: Model, { session, world }: Real): void {
  assert.equal(session.outbound.inFlightCount, model.inflight.length, 'in flight');
  assert.equal(session.outbound.queuedCount, model.queue.length, 'queued');
  const dropped = {
    ...(model.queueFull > 0 ? { droppedQueueFull: model.queueFull } : {}),
    ...(model.offline > 0 ? { droppedOffline: model.offline } : {}),
    ...(model.refused > 0 ? { droppedRefusedByClient: model.refused } : {}),
  };
  assert.deepEqual(world.counted('dropped'), dropped);
}

type Step = fc.Command<Model, Real>;

function step(
  name: string,
  run: (model: Model, real: Real) => void,
  when?: (model: Readonly<Model>) => boolean,
): Step {
  return {
    check: (model) => when === undefined || when(model),
    run: (model, real) => {
      run(model, real);
      check(model, real);
    },
    toString: () => name,
  };
}

const online = (model: Readonly<Model>): boolean => model.online;
const version = fc.constantFrom<ProtocolVersion>(3, 4, 5);
const window = fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 30 }));

const commands = [
  fc
    .record({ qos: fc.constantFrom<QoS>(0, 1, 1, 2, 2), size: fc.constantFrom(4, 60) })
    .map(({ qos, size }) => step(`deliver QoS ${qos}`, (model, real) => real.deliver(model, qos, size))),
  fc.constant(step('take', (model, real) => real.take(model), online)),
  fc.record({ pick: fc.nat({ max: 5 }), refuse: fc.integer({ min: 0, max: 9 }) }).map(({ pick, refuse }) =>
    step(
      `answer ${pick}`,
      (model, real) => {
        real.take(model);
        real.answer(model, pick, refuse === 0);
      },
      online,
    ),
  ),
  fc.record({ version, window, lost: fc.boolean() }).map((drawn) =>
    step(`reconnect ${JSON.stringify(drawn)}`, (model, real) => {
      real.disconnect(model, drawn.lost);
      real.connect(model, drawn.version, drawn.window);
    }),
  ),
  fc
    .boolean()
    .map((lost) => step(`disconnect, lost ${lost}`, (model, real) => real.disconnect(model, lost), online)),
  fc
    .constantFrom<1 | 2>(1, 2)
    .map((qos) => step(`publish QoS ${qos}`, (model, real) => real.publish(model, qos), online)),
  fc.constant(step('release', (model, real) => real.release(model), online)),
  fc
    .boolean()
    .map((hold) => step(`storage ${hold ? 'holds' : 'commits'}`, (model, real) => real.hold(model, hold))),
  fc.constantFrom(500, 1500, 5000).map((ms) => step(`tick ${ms}`, (_model, real) => real.tick(ms))),
];

/** Everything goes well from now on. */
function drain(model: Model, real: Real): void {
  const { client } = real;
  real.hold(model, false);
  if (!model.online) real.connect(model, 5, 3);
  for (let round = 0; round < 500; round++) {
    real.take(model);
    if (client.answers.length + client.sent.size === 0) break;
    while (client.answers.length > 0) real.answer(model, 0, false);
    real.release(model);
    check(model, real);
  }
}

/** Without repetitions. */
function firsts<T>(all: readonly T[]): T[] {
  return [...new Set(all)];
}

t.test(
  'a session loses nothing below its caps, keeps the order, never reuses an id in flight, and counts each drop',
  async () => {
    let redelivered = 0;
    let queueFull = 0;
    let twice = 0;
    fc.assert(
      fc.property(
        fc.commands(commands, { maxCommands: 150, size: 'max' }),
        fc.constantFrom(0, 1, 5, 1000),
        fc.constantFrom(500, 2000, 1_000_000),
        (sequence, queueMaxCount, queueMaxBytes) => {
          const model = new Model(queueMaxCount, queueMaxBytes);
          const real = new Real(queueMaxCount, queueMaxBytes);
          fc.modelRun(() => ({ model, real }), sequence);
          drain(model, real);
          const { client, heard, world, session } = real;
          assert.deepEqual(client.received[2], model.accepted[2], 'QoS 2 exactly once, in order');
          assert.deepEqual(firsts(client.received[1]), model.accepted[1], 'QoS 1 at least once, in order');
          const zero = new Set(client.received[0]);
          assert.deepEqual(
            client.received[0],
            model.accepted[0].filter((number) => zero.has(number)),
          );
          assert.deepEqual(heard[2], model.published[2], 'published with QoS 2, exactly once, in order');
          assert.deepEqual(
            firsts(heard[1]),
            model.published[1],
            'published with QoS 1, at least once, in order',
          );
          check(model, real);
          assert.equal(session.outbound.inFlightCount + session.outbound.queuedCount, 0, 'all was delivered');
          assert.equal(session.inbound.ids.size + session.inbound.pendingCount + client.sent.size, 0);
          assert.equal(world.lanes.budget.used, 0);
          redelivered += world.counter('messagesRedelivered');
          queueFull += model.queueFull;
          twice += client.received[1].length - model.accepted[1].length;
        },
      ),
      { numRuns: 400 },
    );
    // Or the sequences were too tame to say anything.
    assert(redelivered > 100 && queueFull > 100 && twice > 20, `${redelivered} ${queueFull} ${twice}`);
  },
);
