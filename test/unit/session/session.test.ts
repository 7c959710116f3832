import t from 'tap';
import type { Message } from '../../../lib/message/message.js';
import type { Will } from '../../../lib/protocol/index.js';
import { Listener } from '../../../lib/routing/subscription.js';
import { EXPIRES_NEVER, Session } from '../../../lib/session/session.js';
import { LaneWorld, message } from '../delivery/lane-world.js';

const willOf = (properties: Will['properties'] = {}): Will => ({
  topic: 'will',
  payload: Buffer.from('gone'),
  qos: 1,
  retain: false,
  properties,
});

interface Fixture {
  world: LaneWorld;
  session: Session;
  /** Payloads of the wills that were published. */
  wills: string[];
  ended: number[];
  pass(seconds: number): void;
}

function attached(options: { expiryS: number; will?: Will }, limits = {}): Fixture {
  const world = new LaneWorld(limits);
  const ended: number[] = [];
  const session = new Session(
    { clientId: 'c', username: 'u', expiryS: options.expiryS, will: options.will },
    world.env,
    (_session, position) => ended.push(position),
  );
  const wills: string[] = [];
  world.lanes.router.addListener(
    new Listener('will', (got) => wills.push(Buffer.from(got.payload).toString())),
  );
  session.start(world.link());
  const pass = (seconds: number): void => {
    world.now += seconds * 1000;
    world.lanes.timers.runDue(world.now);
  };
  return { world, session, wills, ended, pass };
}

t.test('a session without expiry ends with its connection', async (t) => {
  const { session, ended, world } = attached({ expiryS: 0 });
  t.ok(session.online);
  session.disconnect(true, undefined);
  t.ok(session.ended);
  t.same(ended, [0], 'and the store has not heard of it');
  t.same(world.store.records, []);
  session.disconnect(true, undefined);
  session.end();
  t.equal(ended.length, 1, 'once');
});

t.test('a session lives as long as its expiry says, and what it held is given back', async (t) => {
  const { session, ended, pass, world } = attached({ expiryS: 10 });
  const expired: Session[] = [];
  world.lanes.hooks.onSessionExpired = (one) => expired.push(one);
  session.disconnect(true, undefined);
  world.subscribe(session, 't', { qos: 1 });
  world.publish(message({ qos: 1 }));
  t.ok(world.lanes.budget.used > 0);
  pass(9.9);
  t.notOk(session.ended);
  pass(0.1);
  t.ok(session.ended);
  t.same(expired, [session]);
  t.equal(ended.length, 1);
  t.equal(world.lanes.budget.used, 0);
  t.equal(world.counter('sessionsExpired'), 1);
  t.equal(world.counter('droppedSessionEnded'), 1);
});

t.test('a session that does not expire sets no timer', async (t) => {
  const { session, pass, world } = attached({ expiryS: EXPIRES_NEVER });
  session.disconnect(true, undefined);
  t.equal(world.lanes.timers.size, 0);
  pass(10 ** 9);
  t.notOk(session.ended);
});

t.test('DISCONNECT may change the expiry', async (t) => {
  const longer = attached({ expiryS: 10 });
  longer.session.disconnect(true, 20);
  longer.pass(15);
  t.notOk(longer.session.ended);
  t.match(longer.world.store.records, [{ kind: 'disconnected', expiryS: 20 }]);
  const over = attached({ expiryS: 10 });
  over.session.disconnect(true, 0);
  t.ok(over.session.ended);
  t.match(over.world.store.records, [{ kind: 'ended' }]);
});

t.test('a session that is resumed does not expire', async (t) => {
  const { session, pass, world } = attached({ expiryS: 10 });
  session.disconnect(true, undefined);
  pass(5);
  session.resume({ clientId: 'c', username: 'v', expiryS: 10, will: undefined });
  session.start(world.link());
  pass(100);
  t.notOk(session.ended);
  t.equal(session.username, 'v');
});

t.test('a will is published when the connection is lost, not when it is ended', async (t) => {
  const lost = attached({ expiryS: 0, will: willOf() });
  lost.session.disconnect(false, undefined);
  t.same(lost.wills, ['gone']);
  t.equal(lost.world.counter('willsPublished'), 1);
  const ended = attached({ expiryS: 0, will: willOf() });
  ended.session.disconnect(true, undefined);
  t.same(ended.wills, []);
});

t.test('a will comes after what its client published, whatever has to be stored first', async (t) => {
  for (const qos of [0, 1] as const) {
    const { session, world, wills } = attached({ expiryS: 0, will: { ...willOf(), qos, retain: true } });
    const { link } = session;
    if (link === undefined) throw new Error('the session has no connection');
    world.store.hold = true;
    const birth = message({ topic: 'will', payload: 'here', qos: 1, retain: true });
    world.lanes.ingest.publishQoS1(session, link, birth, 1, world.lanes.router.resolve('will'));
    session.disconnect(false, undefined);
    t.same(wills, []);
    world.store.release();
    world.store.release();
    t.same(wills, ['here', 'gone'], `will QoS ${qos}`);
    t.equal(Buffer.from(world.store.retained.get('will')?.payload ?? []).toString(), 'gone');
  }
});

t.test('a will waits for its delay, or for the end of the session if that comes first', async (t) => {
  const delayed = attached({ expiryS: 100, will: willOf({ willDelayInterval: 5 }) });
  delayed.session.disconnect(false, undefined);
  t.equal(delayed.world.env.gauges.pendingWills, 1);
  delayed.pass(4.9);
  t.same(delayed.wills, []);
  delayed.pass(0.1);
  t.same(delayed.wills, ['gone']);
  t.equal(delayed.world.env.gauges.pendingWills, 0);
  delayed.pass(200);
  t.same(delayed.wills, ['gone'], 'once');

  const shortLived = attached({ expiryS: 3, will: willOf({ willDelayInterval: 500 }) });
  shortLived.session.disconnect(false, undefined);
  shortLived.pass(3);
  t.same(shortLived.wills, ['gone']);

  const replaced = attached({ expiryS: 100, will: willOf({ willDelayInterval: 50 }) });
  replaced.session.disconnect(false, undefined);
  replaced.session.end();
  t.same(replaced.wills, ['gone'], 'a clean start ends the session');
  t.equal(replaced.world.env.gauges.pendingWills, 0);
  t.equal(replaced.world.lanes.timers.size, 0);
});

t.test('a resume within the delay withdraws the will [MQTT-3.1.3-9]', async (t) => {
  const { session, wills, pass, world } = attached({
    expiryS: 100,
    will: willOf({ willDelayInterval: 5 }),
  });
  session.disconnect(false, undefined);
  pass(4);
  session.resume({ clientId: 'c', username: 'u', expiryS: 100, will: undefined });
  session.start(world.link());
  pass(100);
  session.disconnect(false, undefined);
  t.same(wills, []);
  t.equal(world.env.gauges.pendingWills, 0);
});

t.test('delayed wills have a limit: beyond it they come early rather than not', async (t) => {
  const { session, wills } = attached(
    { expiryS: 100, will: willOf({ willDelayInterval: 5 }) },
    { pendingWillsMax: 0 },
  );
  session.disconnect(false, undefined);
  t.same(wills, ['gone']);
});

t.test('a will whose topic was forbidden since is dropped and counted', async (t) => {
  const { session, wills, world } = attached({ expiryS: 0, will: willOf() });
  world.authorizer.mayPublish = () => false;
  session.disconnect(false, undefined);
  t.same(wills, []);
  t.equal(world.counter('droppedWill'), 1);
});

t.test('a hook may refuse a will or change it', async (t) => {
  const refused = attached({ expiryS: 0, will: willOf() });
  refused.world.lanes.hooks.authorizePublish = (_session, will, done) => done(new Error('no'), will);
  refused.session.disconnect(false, undefined);
  t.same(refused.wills, []);
  t.equal(refused.world.counter('droppedWill'), 1);
  const changed = attached({ expiryS: 0, will: willOf() });
  changed.world.lanes.hooks.authorizePublish = (_session, _will, done) =>
    done(undefined, message({ topic: 'will', payload: 'changed' }));
  changed.session.disconnect(false, undefined);
  t.same(changed.wills, ['changed']);
});

t.test(
  'a will has the life that its Message Expiry Interval gives it, from when it is published',
  async (t) => {
    const { session, world } = attached({ expiryS: 0, will: willOf({ messageExpiryInterval: 7 }) });
    session.disconnect(false, undefined);
    t.equal(world.store.appended[0]?.expiresAt, world.now + 7000);
  },
);

t.test('delivery.messageExpiryMaxS holds for wills, from when they are published', async (t) => {
  for (const [will, livesS] of [
    [willOf({ willDelayInterval: 100 }), 5],
    [willOf({ willDelayInterval: 100, messageExpiryInterval: 60 }), 5],
    [willOf({ willDelayInterval: 100, messageExpiryInterval: 3 }), 3],
    [{ ...willOf({ willDelayInterval: 100 }), qos: 0, retain: true }, 5],
  ] as const) {
    const { session, world, pass } = attached({ expiryS: 1000, will }, { messageExpiryMaxS: 5 });
    session.disconnect(false, undefined);
    pass(100);
    t.equal((world.store.appended[0]?.expiresAt ?? 0) - world.now, livesS * 1000);
  }
});

t.test('a session may be asked what it may receive, by the rules of now', async (t) => {
  const { session, world } = attached({ expiryS: 0 });
  t.ok(session.canReceive('t'));
  world.authorizer.mayReceive = () => false;
  t.notOk(session.canReceive('t'));
});

t.test('an ended session tells which filters went with it', async (t) => {
  const { session, world } = attached({ expiryS: 0 });
  const gone: string[] = [];
  world.lanes.hooks.onUnsubscribe = (_session, filters) => void gone.push(...filters);
  const request = {
    filter: 'a',
    qos: 0 as const,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0 as const,
  };
  session.subscriptions.subscribe(
    { type: 'subscribe', packetId: 1, subscriptions: [request], properties: {} },
    undefined,
    () => {},
  );
  session.disconnect(true, undefined);
  t.same(gone, ['a']);
  t.equal(world.lanes.router.subscriptionCount, 0);
});

t.test('a session that the store does not know, or that has ended, has nothing to take back', async (t) => {
  const { session, world } = attached({ expiryS: 0 });
  session.stayParked();
  session.end();
  session.stayParked();
  session.abandon();
  t.same(world.store.records, []);
});

t.test(
  'a step of an outgoing QoS 2 message leaves once it is stored, on a later connection too',
  async (t) => {
    const { session, world } = attached({ expiryS: 60 });
    world.subscribe(session, 't', { qos: 2 });
    world.store.hold = true;
    world.publish(message({ qos: 2 }));
    session.disconnect(true, undefined);
    const second = world.link();
    session.start(second);
    t.same(second.take(), [], 'the packet id is not stored');
    world.store.release();
    t.match(second.take(), [{ type: 'publish', dup: true, packetId: 1 }]);

    session.outbound.pubrec(1, 0);
    session.outbound.pubrec(1, 0);
    t.same(second.take(), [], 'PUBREC is not stored, however often it comes');
    session.disconnect(true, undefined);
    const third = world.link();
    session.start(third);
    t.same(third.take(), []);
    world.store.release();
    t.match(third.take(), [{ type: 'pubrel', packetId: 1 }]);
  },
);

t.test('a message is given up after its tries, PUBREL is not', async (t) => {
  const { session, world } = attached({ expiryS: 60 }, { redeliveryMaxCount: 2 });
  world.subscribe(session, 't', { qos: 2 });
  world.publish(message({ qos: 2, payload: 'answered' }));
  world.publish(message({ qos: 2, payload: 'never answered' }));
  session.outbound.pubrec(1, 0);
  let link = world.link();
  for (let i = 0; i < 5; i++) {
    session.disconnect(true, undefined);
    link = world.link();
    session.start(link);
  }
  t.match(link.take(), [{ type: 'pubrel', packetId: 1 }]);
  t.equal(world.counter('droppedRetriesExhausted'), 1);
});

t.test('the time of a session whose gateway stopped goes on with the next restart', async (t) => {
  const { session, world } = attached({ expiryS: 10 });
  session.link = undefined;
  session.restored();
  t.match(world.store.records, [{ kind: 'disconnected', at: world.now, expiryS: 10 }]);
  session.restored();
  t.equal(world.store.records.length, 1, 'it is said once');
});

t.test('a will of QoS 0 comes once it is stored that it is gone, another is stored with that', async (t) => {
  const { session, world, wills } = attached({ expiryS: 10, will: { ...willOf(), qos: 0 } });
  world.store.hold = true;
  session.disconnect(false, undefined);
  t.same(
    world.store.records.map(({ kind }) => kind),
    ['disconnected', 'willPublished'],
  );
  t.same(wills, []);
  world.store.release();
  t.same(wills, ['gone']);
  const other = attached({ expiryS: 10, will: willOf() });
  const origins: unknown[] = [];
  const { store } = other.world;
  const append = store.append.bind(store);
  store.append = (made?: Message, origin?: unknown) => {
    origins.push(origin);
    return append(made);
  };
  other.session.end();
  t.same(origins, [{ clientId: 'c', packetId: 0, qos: 1 }]);
  t.same(
    store.records.map(({ kind }) => kind),
    ['ended'],
  );
});
