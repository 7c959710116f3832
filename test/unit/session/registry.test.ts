import t from 'tap';
import type { Will } from '../../../lib/protocol/index.js';
import { ReasonCode } from '../../../lib/protocol/index.js';
import type { SessionLink } from '../../../lib/session/environment.js';
import { type Claimant, SessionRegistry } from '../../../lib/session/registry.js';
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

t.test('a session that expires while its resume is being stored is replaced by a new one', async (t) => {
  const { world, registry } = arena();
  const first = new Contender(registry, world, { expiryS: 10 });
  registry.claim(first);
  first.leave();
  world.store.hold = true;
  const second = new Contender(registry, world, { expiryS: 10 });
  registry.claim(second);
  world.now += 10_001;
  world.lanes.timers.runDue(world.now);
  world.store.release();
  t.equal(second.session, undefined, 'the new one has to be stored too');
  world.store.release();
  t.equal(second.present, false);
  t.equal(registry.count, 1);
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
