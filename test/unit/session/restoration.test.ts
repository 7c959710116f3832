import t from 'tap';
import {
  type DurableSessions,
  OWED_FLAG,
  type SessionImage,
  type StoredSubscription,
} from '../../../lib/contracts/store.js';
import { LaneWorld, message } from '../delivery/lane-world.js';

const FILTER = '$share/g/t';

function subscription(qos: 1 | 2): StoredSubscription {
  const options = {
    qos,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    identifier: 0,
  } as const;
  return { filter: FILTER, options };
}

function imageOf(clientId: string): SessionImage {
  return {
    ...{ clientId, username: undefined, expiryS: 60, parkedAt: 0, will: undefined },
    ...{ subscriptions: [subscription(1)], inbound: [], inFlight: [], burned: [], owed: [] },
  };
}

/** Two members of a group, and a message at 7 that was routed to it. */
function replaying(): { world: LaneWorld; sessions: DurableSessions } {
  const world = new LaneWorld();
  const sessions = world.lanes.createRestoration();
  for (const id of ['a', 'b']) sessions.restoreSession(imageOf(id));
  const made = message({ qos: 2 });
  made.position = 7;
  world.store.stored.set(7, made);
  sessions.replayMessage(made, 0);
  return { world, sessions };
}

const queued = ({ lanes }: LaneWorld): number[] =>
  ['a', 'b'].map((id) => lanes.registry.get(id)?.outbound.queuedCount ?? -1);

t.test('a message of a group goes to the member that it went to, with what was granted then', async (t) => {
  const { world, sessions } = replaying();
  t.same(sessions.unassigned(), [{ position: 7, filters: [FILTER] }]);
  sessions.replayStep({ kind: 'subscribed', clientId: 'b', subscriptions: [subscription(2)] });
  sessions.replayStep({ kind: 'assigned', clientId: 'b', filter: FILTER, position: 7 });
  t.same(sessions.unassigned(), []);
  sessions.restored();
  t.same(queued(world), [0, 1]);
  const link = world.link();
  world.lanes.registry.get('b')?.start(link);
  t.match(link.take(), [{ type: 'publish', qos: 1 }]);
});

t.test('a member that has left since gets it all the same', async (t) => {
  const { world, sessions } = replaying();
  sessions.replayStep({ kind: 'unsubscribed', clientId: 'b', filters: [FILTER] });
  sessions.replayStep({ kind: 'assigned', clientId: 'b', filter: FILTER, position: 7 });
  sessions.restored();
  t.same(queued(world), [0, 1]);
});

t.test('one that went to a session that is gone goes to nobody else', async (t) => {
  const { world, sessions } = replaying();
  sessions.replayStep({ kind: 'assigned', clientId: '', filter: FILTER, position: 7 });
  sessions.restored();
  t.same(queued(world), [0, 0]);
});

t.test('one that went to nobody yet goes to a member, also where it was written down as such', async (t) => {
  const { world, sessions } = replaying();
  // The group is another object by the time a member is chosen.
  for (const clientId of ['a', 'b'])
    sessions.replayStep({ kind: 'unsubscribed', clientId, filters: [FILTER] });
  sessions.replayStep({ kind: 'subscribed', clientId: 'b', subscriptions: [subscription(1)] });
  const other = message({ qos: 1 });
  other.position = 6;
  world.store.stored.set(6, other);
  sessions.restoreUnassigned(other, [FILTER]);
  sessions.restored();
  t.same(queued(world), [0, 2]);
  t.match(world.store.records, [
    { kind: 'assigned', clientId: 'b', position: 7 },
    { kind: 'assigned', clientId: 'b', position: 6 },
  ]);
});

t.test('one that somebody may have got already goes out with what was granted then', async (t) => {
  const { world, sessions } = replaying();
  // At QoS 2 it would be a message that comes twice where it may come once.
  for (const clientId of ['a', 'b'])
    sessions.replayStep({ kind: 'subscribed', clientId, subscriptions: [subscription(2)] });
  sessions.restored();
  for (const id of ['a', 'b']) {
    const session = world.lanes.registry.get(id);
    if (session === undefined || session.outbound.queuedCount === 0) continue;
    const link = world.link();
    session.start(link);
    t.match(link.take(), [{ type: 'publish', qos: 1 }]);
  }
  t.equal(world.counter('messagesSentQoS1'), 1);
});

t.test(
  'a queue is told with which QoS a message left: by itself and as a member it waits with two',
  async (t) => {
    const { world, sessions } = replaying();
    const of = { clientId: 'a', position: 7, topic: undefined };
    sessions.replayStep({ kind: 'sent', ...of, packetId: 2, flags: 2, identifiers: undefined });
    sessions.replayStep({ kind: 'delivered', ...of, packetId: 2 });
    sessions.replayStep({ kind: 'delivered', ...of, packetId: 1 });
    sessions.replayStep({ kind: 'delivered', ...of, packetId: 0 });
    t.same(
      world.store.removed.map(({ qos }) => qos),
      [2, 1, undefined],
    );
  },
);

t.test(
  'what is owed for two filters with two QoS is owed still with the one that was not acknowledged',
  async (t) => {
    for (const sent of [1, 2] as const) {
      const world = new LaneWorld();
      const sessions = world.lanes.createRestoration();
      const retained = message({ topic: 'a/b', qos: 2, retain: true });
      retained.position = 5;
      world.store.retained.set(retained);
      const owed = [1, 2].map((qos) => ({
        ...{ topic: 'a/b', filter: qos === 1 ? 'a/b' : 'a/+' },
        ...{ qos: qos as 1 | 2, identifiers: undefined },
      }));
      sessions.restoreSession({ ...imageOf('a'), subscriptions: [], owed });
      const of = { clientId: 'a', packetId: 1, position: 5, topic: 'a/b' };
      if (sent === 2)
        sessions.replayStep({ kind: 'sent', ...of, flags: 2 | OWED_FLAG, identifiers: undefined });
      sessions.replayStep({ kind: 'delivered', ...of, topic: sent === 2 ? undefined : 'a/b' });
      sessions.restored();
      const link = world.link();
      world.lanes.registry.get('a')?.start(link);
      t.match(link.take(), [{ type: 'publish', topic: 'a/b', qos: 3 - sent }]);
    }
  },
);

t.test(
  '[MQTT-3.10.4-3] a retained message of QoS 1 that has left comes again after UNSUBSCRIBE and a restart',
  async (t) => {
    const retained = message({ topic: 'a/b', qos: 1, retain: true });
    retained.position = 5;
    const owed = [{ topic: 'a/b', filter: 'a/#', qos: 1 as const, identifiers: undefined }];
    const options = { ...subscription(1).options };
    const image = { ...imageOf('a'), subscriptions: [{ filter: 'a/#', options }], owed };

    const world = new LaneWorld();
    world.store.retained.set(retained);
    const before = world.lanes.createRestoration();
    before.restoreSession(image);
    before.restored();
    const session = world.lanes.registry.get('a');
    session?.start(world.link());
    world.store.records.length = 0;
    for (let packetId = 1; packetId <= 2; packetId++)
      session?.subscriptions.unsubscribe(
        { type: 'unsubscribe', packetId, filters: ['a/#'], properties: {} },
        () => {},
      );
    const { records } = world.store;
    t.match(
      records.map(({ kind }) => kind),
      ['sent', 'unsubscribed', 'unsubscribed'],
      'once',
    );

    const again = new LaneWorld();
    again.store.retained.set(retained);
    const after = again.lanes.createRestoration();
    after.restoreSession(image);
    for (const record of records) after.replayStep(record);
    after.restored();
    const link = again.link();
    again.lanes.registry.get('a')?.start(link);
    t.match(link.take(), [{ type: 'publish', topic: 'a/b', qos: 1, dup: true }]);
  },
);
