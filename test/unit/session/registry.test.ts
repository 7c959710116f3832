import t from 'tap';
import type { MessageOrigin, SessionImage } from '../../../lib/contracts/store.js';
import type { Message } from '../../../lib/message/message.js';
import type { Will } from '../../../lib/protocol/index.js';
import { ReasonCode } from '../../../lib/protocol/index.js';
import type { SessionLink } from '../../../lib/session/environment.js';
import { type Claimant, SessionRegistry } from '../../../lib/session/registry.js';
import { Restoration } from '../../../lib/session/restoration.js';
import { EXPIRES_NEVER, type Session } from '../../../lib/session/session.js';
import { LaneWorld } from '../delivery/lane-world.js';

interface Terms {
  cleanStart?: boolean;
  expiryS?: number;
  will?: Will;
  username?: string;
}

/** A connection as the registry sees it; it leaves when it is told to, at once or when the test lets it. */
class Contender implements Claimant {
  readonly clientId = 'id';
  readonly username: string | undefined;
  readonly cleanStart: boolean;
  readonly expiryS: number;
  readonly will: Will | undefined;
  session: Session | undefined;
  present: boolean | undefined;
  refusal: number | undefined;
  evicted = false;
  stays = false;

  constructor(
    readonly registry: SessionRegistry,
    readonly world: LaneWorld,
    terms: Terms = {},
  ) {
    this.username = terms.username;
    this.cleanStart = terms.cleanStart ?? false;
    this.expiryS = terms.expiryS ?? EXPIRES_NEVER;
    this.will = terms.will;
  }

  granted(session: Session, present: boolean): void {
    this.session = session;
    this.present = present;
    const link: SessionLink = this.world.link();
    session.start(link);
  }

  refused(reasonCode: number): void {
    this.refusal = reasonCode;
    this.leave();
  }

  evict(): void {
    this.evicted = true;
    if (!this.stays) this.leave();
  }

  leave(): void {
    this.session?.disconnect(false, undefined);
    this.session = undefined;
    this.registry.release(this);
  }
}

function arena(limits = {}, takeovers = 100): { world: LaneWorld; registry: SessionRegistry } {
  const world = new LaneWorld(limits);
  return {
    world,
    registry: new SessionRegistry(world.env, { count: takeovers, windowMs: 10_000 }),
  };
}

const will = (payload: string, delayS = 0): Will => ({
  topic: 'will',
  payload: Buffer.from(payload),
  qos: 0,
  retain: false,
  properties: { willDelayInterval: delayS },
});

const textOf = (it: Will | undefined): string => Buffer.from(it?.payload ?? []).toString();

function pass(world: LaneWorld, ms: number): void {
  world.now += ms;
  world.lanes.timers.runDue(world.now);
}

/** The session as the records of the store make it after a crash. */
function replayed(world: LaneWorld): SessionImage | undefined {
  const sessions = new LaneWorld().lanes.createRestoration();
  for (const record of world.store.records) sessions.replayStep(record);
  return sessions.imageOf('id');
}

/** A will of QoS 1 or 2 is one record with its end, which a replay takes apart. */
function noteWillsOf({ store }: LaneWorld): void {
  const append = store.append.bind(store);
  store.append = (message?: Message, origin?: MessageOrigin) => {
    if (origin?.packetId === 0) store.records.push({ kind: 'willPublished', clientId: origin.clientId });
    return append(message);
  };
}

const kinds = (world: LaneWorld): string[] => world.store.records.map(({ kind }) => kind);

t.test('a claimed id is granted with a new session, and with the old one after that', async (t) => {
  const { world, registry } = arena();
  const first = new Contender(registry, world);
  registry.claim(first);
  t.equal(first.present, false);
  t.equal(registry.count, 1);
  t.equal(registry.get('id'), first.session);
  const { session } = first;
  first.leave();
  const second = new Contender(registry, world);
  registry.claim(second);
  t.equal(second.present, true);
  t.equal(second.session, session);
  t.same([...registry.sessions()], [session]);
});

t.test(
  'the newest of several gets the id when the owner has left entirely; the others are refused',
  async (t) => {
    const { world, registry } = arena();
    const owner = new Contender(registry, world);
    owner.stays = true;
    registry.claim(owner);
    const contenders = Array.from({ length: 3 }, () => new Contender(registry, world));
    for (const contender of contenders) registry.claim(contender);
    t.equal(owner.evicted, true);
    t.same(
      contenders.map(({ refusal }) => refusal),
      [ReasonCode.serverBusy, ReasonCode.serverBusy, undefined],
    );
    t.equal(contenders[2]?.session, undefined, 'the owner is still there');
    owner.leave();
    t.equal(contenders[2]?.present, true);
  },
);

t.test('whoever waits and leaves wants nothing any more', async (t) => {
  const { world, registry } = arena();
  const owner = new Contender(registry, world);
  owner.stays = true;
  registry.claim(owner);
  const waiting = new Contender(registry, world);
  registry.claim(waiting);
  waiting.leave();
  owner.leave();
  t.equal(waiting.session, undefined);
  const next = new Contender(registry, world);
  registry.claim(next);
  t.equal(next.present, true);
  registry.release(waiting);
  t.ok(next.session, 'a stranger cannot release it');
});

t.test(
  'twins that take an id from each other are refused beyond the limit, until the window has passed',
  async (t) => {
    const { world, registry } = arena({}, 2);
    let last = new Contender(registry, world);
    registry.claim(last);
    for (let i = 0; i < 2; i++) {
      last = new Contender(registry, world);
      registry.claim(last);
      t.ok(last.session);
    }
    const refused = new Contender(registry, world);
    registry.claim(refused);
    t.equal(refused.refusal, ReasonCode.connectionRateExceeded);
    t.equal(last.evicted, false);
    world.now += 10_001;
    registry.sweep(world.now);
    const later = new Contender(registry, world);
    registry.claim(later);
    t.ok(later.session);
    registry.sweep(world.now);
  },
);

t.test('a client that is back finds its will published, however many others wait', async (t) => {
  for (const cleanStart of [false, true]) {
    for (const expiryS of [0, 100]) {
      const { world, registry } = arena({ willsPerSecondMax: 1 });
      world.env.wills.submit('another client', () => {});
      const first = new Contender(registry, world, { expiryS, will: will('first') });
      registry.claim(first);
      first.leave();
      t.equal(world.counter('willsPublished'), 0, 'it waits for its turn');
      const second = new Contender(registry, world, { cleanStart, expiryS });
      second.granted = () => t.equal(world.counter('willsPublished'), 1);
      registry.claim(second);
    }
  }
  t.plan(8);
});

t.test(
  'a will that waits for its turn is there after a crash, also where its session has ended',
  async (t) => {
    for (const qos of [0, 1] as const) {
      const { world, registry } = arena({ willsPerSecondMax: 1 });
      noteWillsOf(world);
      const sessions = new Restoration(world.env, registry);
      world.env.wills.submit('another client', () => {});
      const client = new Contender(registry, world, { expiryS: 1, will: { ...will('first'), qos } });
      registry.claim(client);
      client.leave();
      t.equal(textOf(sessions.imageOf('id')?.will), 'first', 'a checkpoint has it');
      registry.get('id')?.end();
      t.equal(registry.count, 0);
      t.match(replayed(world), { expiryS: 0, will: { topic: 'will' } }, 'so has the log');
      t.match(sessions.imageOf('id'), { expiryS: 0, subscriptions: [], will: { topic: 'will' } });
      pass(world, 1000);
      t.equal(world.counter('willsPublished'), 1);
      t.equal(sessions.imageOf('id'), undefined);
      t.equal(replayed(world), undefined);
      t.same(kinds(world).slice(-2), ['willPublished', 'ended']);
    }
  },
);

t.test(
  'a session that has ended comes before the next one of its client, whatever its will waits for',
  async (t) => {
    const { world, registry } = arena();
    let answer: (() => void) | undefined;
    world.lanes.hooks.authorizePublish = (_session, message, done) => {
      answer = () => done(undefined, message);
    };
    const first = new Contender(registry, world, { expiryS: 10, will: will('first') });
    registry.claim(first);
    first.leave();
    pass(world, 10_000);
    t.match(replayed(world), { expiryS: 0, will: { topic: 'will' } });
    const second = new Contender(registry, world, { will: will('second') });
    registry.claim(second);
    t.equal(second.present, false);
    t.same(kinds(world).slice(-2), ['ended', 'created']);
    answer?.();
    t.equal(world.counter('willsPublished'), 1);
    t.equal(textOf(replayed(world)?.will), 'second');
  },
);

t.test('a session belongs to the user who made it', async (t) => {
  const { world, registry } = arena();
  registry.claim(new Contender(registry, world, { username: 'alice' }));
  const mallory = new Contender(registry, world, { username: 'mallory' });
  registry.claim(mallory);
  t.equal(mallory.refusal, ReasonCode.notAuthorized);
});

t.test('sessions have a limit', async (t) => {
  const { world, registry } = arena({ sessionsMax: 0 });
  const contender = new Contender(registry, world);
  registry.claim(contender);
  t.equal(contender.refusal, ReasonCode.quotaExceeded);
  t.equal(registry.count, 0);
});

t.test('a session that is kept is granted once its first step is stored', async (t) => {
  const { world, registry } = arena();
  world.store.hold = true;
  const first = new Contender(registry, world);
  registry.claim(first);
  t.equal(first.session, undefined);
  world.store.release();
  t.equal(first.present, false);
  first.leave();
  const second = new Contender(registry, world);
  registry.claim(second);
  t.equal(second.session, undefined);
  world.store.release();
  t.equal(second.present, true);
  t.same(kinds(world), ['created', 'disconnected', 'connected']);
});

t.test('a clean start is granted once the end of the old session is stored', async (t) => {
  const { world, registry } = arena();
  const first = new Contender(registry, world);
  registry.claim(first);
  first.leave();
  world.store.hold = true;
  const clean = new Contender(registry, world, { cleanStart: true, expiryS: 0 });
  registry.claim(clean);
  t.equal(clean.session, undefined);
  world.store.release();
  t.equal(clean.present, false);
  t.equal(kinds(world).at(-1), 'ended');
});

t.test('a resume without expiry is stored, and so is its end', async (t) => {
  const { world, registry } = arena();
  const first = new Contender(registry, world);
  registry.claim(first);
  first.leave();
  const last = new Contender(registry, world, { expiryS: 0 });
  registry.claim(last);
  t.equal(last.present, true);
  last.leave();
  t.same(kinds(world), ['created', 'disconnected', 'connected', 'ended']);
  t.equal(registry.count, 0);
});

t.test('a new session whose connection leaves before it is granted has never been', async (t) => {
  const { world, registry } = arena();
  world.store.hold = true;
  const early = new Contender(registry, world, { will: will('not accepted') });
  registry.claim(early);
  early.leave();
  t.equal(registry.count, 0);
  t.equal(world.counter('willsPublished'), 0);
  t.same(kinds(world), ['created', 'ended']);
  world.store.release();
  t.equal(early.session, undefined);
});

t.test('a parked session stays as it is when a connection leaves before it is granted', async (t) => {
  const { world, registry } = arena();
  const first = new Contender(registry, world, { expiryS: 10, will: will('first', 5) });
  registry.claim(first);
  first.leave();
  world.store.hold = true;
  const early = new Contender(registry, world, { expiryS: 1000, will: will('second') });
  registry.claim(early);
  early.leave();
  world.store.release();
  t.equal(early.session, undefined);
  t.match(world.store.records.slice(-2), [
    { kind: 'connected', expiryS: 10, will: { payload: Buffer.from('first') } },
    { kind: 'disconnected', expiryS: 10, willPending: true },
  ]);
  world.now += 5001;
  world.lanes.timers.runDue(world.now);
  t.equal(world.counter('willsPublished'), 1, 'the will of the first connection keeps its delay');
  world.now += 5001;
  world.lanes.timers.runDue(world.now);
  t.equal(registry.count, 0, 'and the session its expiry');
});

t.test('a delayed will does not come while a resume of its session is being stored', async (t) => {
  const { world, registry } = arena();
  const first = new Contender(registry, world, { will: will('first', 5) });
  registry.claim(first);
  const { session } = first;
  first.leave();
  t.equal(world.env.gauges.pendingWills, 1);
  world.store.hold = true;
  const second = new Contender(registry, world, { will: will('second') });
  registry.claim(second);
  pass(world, 5001);
  world.store.release();
  t.equal(second.session, session);
  t.equal(world.counter('willsPublished'), 0, 'the client was back in time [MQTT-3.1.3-9]');
  t.equal(world.env.gauges.pendingWills, 0);
  t.equal(textOf(replayed(world)?.will), 'second', 'also after a crash');
});

t.test('it comes where the connection leaves before it is granted, when it is due', async (t) => {
  const { world, registry } = arena({ pendingWillsMax: 1 });
  const first = new Contender(registry, world, { will: will('first', 5) });
  registry.claim(first);
  first.leave();
  world.store.hold = true;
  const early = new Contender(registry, world);
  registry.claim(early);
  pass(world, 4000);
  early.leave();
  world.store.release();
  t.equal(world.counter('willsPublished'), 0);
  const late = new Contender(registry, world);
  registry.claim(late);
  pass(world, 5000);
  t.equal(world.counter('willsPublished'), 0);
  late.leave();
  pass(world, 0);
  world.store.release();
  t.equal(world.counter('willsPublished'), 1, 'it is past its delay');
  t.equal(world.env.gauges.pendingWills, 0);
  t.equal(replayed(world)?.will, undefined);
});

t.test('a hook that answers when the client is back ends the will that it was asked about', async (t) => {
  for (const qos of [0, 1] as const) {
    for (const answer of ['allowed', 'refused']) {
      const { world, registry } = arena();
      let decide = (): void => {};
      world.lanes.hooks.authorizePublish = (_session, message, done) => {
        decide = () => done(answer === 'allowed' ? undefined : new Error(answer), message);
      };
      noteWillsOf(world);
      const first = new Contender(registry, world, { will: { ...will('first'), qos } });
      registry.claim(first);
      first.leave();
      t.equal(textOf(replayed(world)?.will), 'first', 'not before it is answered');
      const second = new Contender(registry, world, { will: will('second', 60) });
      registry.claim(second);
      decide();
      t.equal(world.counter('willsPublished'), answer === 'allowed' ? 1 : 0);
      t.equal(textOf(second.session?.image.will), 'second');
      t.equal(textOf(replayed(world)?.will), 'second', `the same after a crash, ${answer} with QoS ${qos}`);
      second.leave();
      pass(world, 60_001);
      decide();
      t.equal(replayed(world)?.will, undefined);
    }
  }
});

t.test('a session that expires while its resume is being stored is replaced by a new one', async (t) => {
  const { world, registry } = arena();
  const first = new Contender(registry, world, { expiryS: 10, will: will('first', 60) });
  registry.claim(first);
  first.leave();
  world.store.hold = true;
  const second = new Contender(registry, world, { expiryS: 10, will: will('second') });
  registry.claim(second);
  pass(world, 10_001);
  world.store.release();
  t.equal(second.session, undefined, 'the new one has to be stored too');
  world.store.release();
  t.equal(second.present, false);
  t.equal(registry.count, 1);
  t.equal(world.counter('willsPublished'), 1);
  t.equal(textOf(replayed(world)?.will), 'second');
});

t.test('whoever is evicted while its session is being read or stored gets nothing any more', async (t) => {
  const { world, registry } = arena();
  const opened: (() => void)[] = [];
  world.store.read = (_positions, done) => void opened.push(() => done([undefined]));
  // A message was in flight when the gateway stopped.
  const inFlight = [
    { packetId: 1, released: false, flags: 1, identifiers: undefined, position: 5, topic: undefined },
  ];
  const parts = { subscriptions: [], inbound: [], burned: [], owed: [], inFlight };
  registry.restore({
    clientId: 'id',
    username: undefined,
    expiryS: 60,
    parkedAt: 0,
    will: undefined,
    ...parts,
  });
  const first = new Contender(registry, world);
  registry.claim(first);
  const second = new Contender(registry, world);
  registry.claim(second);
  t.equal(first.evicted, true);
  t.equal(opened.length, 2);
  for (const done of opened) done();
  t.equal(first.session, undefined);
  t.equal(second.present, true);
  t.equal(registry.count, 1);
});
