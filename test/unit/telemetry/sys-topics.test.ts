import t from 'tap';
import { C, createCounters, createSysTopics, SYS_TOPICS } from '../../../lib/telemetry/index.js';
import { createView } from './view.js';

/** What mosquitto 2.0.11 publishes (`mosquitto_sub -t '$SYS/#' -v`), below `$SYS/broker/`. */
const MOSQUITTO_TOPICS = [
  'version',
  'uptime',
  'clients/total',
  'clients/inactive',
  'clients/disconnected',
  'clients/active',
  'clients/connected',
  'clients/expired',
  'clients/maximum',
  ...[
    'messages/received',
    'messages/sent',
    'publish/dropped',
    'publish/received',
    'publish/sent',
    'bytes/received',
    'bytes/sent',
    'sockets',
    'connections',
  ].flatMap((load) => ['1min', '5min', '15min'].map((window) => `load/${load}/${window}`)),
  'messages/stored',
  'messages/received',
  'messages/sent',
  'store/messages/count',
  'store/messages/bytes',
  'subscriptions/count',
  'shared_subscriptions/count',
  'retained messages/count',
  'heap/current',
  'heap/maximum',
  'publish/messages/dropped',
  'publish/messages/received',
  'publish/messages/sent',
  'publish/bytes/received',
  'publish/bytes/sent',
  'bytes/received',
  'bytes/sent',
];

function createWorld(intervalS = 10) {
  const counters = createCounters();
  const world = { now: 1000, view: createView(), viewCalls: 0 };
  let published: [string, string][] = [];
  const sys = createSysTopics({
    view: () => {
      world.viewCalls++;
      return world.view;
    },
    counters,
    publish: (topic, payload) => published.push([topic.replace('$SYS/broker/', ''), payload]),
    intervalS,
    clock: { now: () => world.now },
  });
  return {
    world,
    counters,
    sys,
    /** What was published since the last call. */
    taken(): Record<string, string> {
      const taken = Object.fromEntries(published);
      if (Object.keys(taken).length !== published.length) throw new Error('a topic twice in one update');
      published = [];
      return taken;
    },
  };
}

t.test('the topics are those of mosquitto 2.0.11 and messages/inflight of its manual', (t) => {
  const names = SYS_TOPICS.map((topic) => topic.replace(/^\$SYS\/broker\//, ''));
  t.strictSame([...names].sort(), [...MOSQUITTO_TOPICS, 'messages/inflight'].sort());
  t.end();
});

t.test('the start publishes every topic, in the format of mosquitto', (t) => {
  const { counters, sys, taken } = createWorld();
  counters.set([3], C.messagesReceivedQoS0);
  counters.set([4], C.messagesReceivedQoS2);
  counters.set([5], C.receivedPingreq);
  counters.set([6], C.messagesSentQoS1);
  counters.set([7], C.sentConnack);
  counters.set([1], C.droppedQueueFull);
  counters.set([2], C.droppedMemory);
  counters.set([3], C.droppedSlowConsumer);
  counters.set([1000], C.droppedNoSubscriber);
  counters.set([8], C.sessionsExpired);
  counters.set([900], C.messageBytesReceived);
  counters.set([901], C.messageBytesSent);
  counters.set([902], C.bytesReceived);
  counters.set([903], C.bytesSent);
  sys.start();
  const topics = taken();
  t.strictSame(Object.keys(topics).sort(), SYS_TOPICS.map((topic) => topic.slice(12)).sort());
  t.match(topics, {
    version: /^sprawl-edge version 1\.2\.3$/,
    uptime: /^61 seconds$/,
    'clients/total': /^14$/,
    'clients/connected': /^11$/,
    'clients/active': /^11$/,
    'clients/disconnected': /^3$/,
    'clients/inactive': /^3$/,
    'clients/maximum': /^12$/,
    'clients/expired': /^8$/,
    'messages/received': /^12$/,
    'messages/sent': /^13$/,
    'messages/inflight': /^7$/,
    'messages/stored': /^157$/,
    'store/messages/count': /^157$/,
    'store/messages/bytes': /^15000$/,
    'publish/messages/received': /^7$/,
    'publish/messages/sent': /^6$/,
    'publish/messages/dropped': /^6$/,
    'publish/bytes/received': /^900$/,
    'publish/bytes/sent': /^901$/,
    'bytes/received': /^902$/,
    'bytes/sent': /^903$/,
    'subscriptions/count': /^36$/,
    'shared_subscriptions/count': /^4$/,
    'retained messages/count': /^100$/,
    'heap/current': /^21000000$/,
    'heap/maximum': /^21000000$/,
    'load/bytes/received/1min': /^0\.00$/,
  });
  t.end();
});

t.test('messages/received and sent count every kind of packet', (t) => {
  const { counters, sys, taken } = createWorld();
  counters.fill(1);
  sys.start();
  const topics = taken();
  // 3 QoS levels; in: 10 other kinds, out: 10 other kinds, as the protocol has them.
  t.equal(topics['messages/received'], '13');
  t.equal(topics['messages/sent'], '13');
  t.end();
});

t.test('nothing happens before the interval has passed, then only what changed is published', (t) => {
  const { world, counters, sys, taken } = createWorld(10);
  sys.start();
  taken();
  world.now += 9_999;
  world.view = createView({ clientsConnected: 9, heapUsedBytes: 5 });
  sys.tick();
  t.strictSame(taken(), {});
  t.equal(world.viewCalls, 1, 'the sessions are not walked in between');
  world.now += 1;
  counters.set([1], C.receivedConnect);
  sys.tick();
  t.strictSame(taken(), {
    'clients/connected': '9',
    'clients/active': '9',
    'heap/current': '1000005',
    'messages/received': '1',
    'load/messages/received/1min': '0.92',
    'load/messages/received/5min': '0.20',
    'load/messages/received/15min': '0.07',
    'load/connections/1min': '0.92',
    'load/connections/5min': '0.20',
    'load/connections/15min': '0.07',
  });
  sys.tick();
  t.strictSame(taken(), {}, 'one update an interval');
  t.end();
});

t.test('a late tick uses the time that really passed', (t) => {
  const { world, counters, sys, taken } = createWorld(10);
  sys.start();
  taken();
  counters.set([60], C.bytesSent);
  world.now += 60_000;
  sys.tick();
  t.equal(taken()['load/bytes/sent/1min'], (60 * (1 - Math.exp(-1))).toFixed(2));
  t.end();
});

t.test('sockets counts accepted and refused connections', (t) => {
  const { world, counters, sys, taken } = createWorld(60);
  sys.start();
  taken();
  counters.set([1], C.connectionsAccepted);
  counters.set([1], C.connectionRefusedTimeout);
  counters.set([1], C.connectionRefusedCredentials);
  world.now += 60_000;
  sys.tick();
  t.equal(taken()['load/sockets/1min'], (3 * (1 - Math.exp(-1))).toFixed(2));
  t.end();
});

t.test('after the stop nothing is published; a new start publishes everything again', (t) => {
  const { world, sys, taken } = createWorld();
  sys.tick();
  t.strictSame(taken(), {}, 'not before the start');
  sys.start();
  sys.start();
  t.equal(Object.keys(taken()).length, SYS_TOPICS.length);
  sys.stop();
  sys.stop();
  world.now += 100_000;
  world.view = createView({ clientsTotal: 99 });
  sys.tick();
  t.strictSame(taken(), {});
  sys.start();
  t.equal(Object.keys(taken()).length, SYS_TOPICS.length);
  t.end();
});

t.test('an interval of 0 publishes nothing', (t) => {
  const { world, sys, taken } = createWorld(0);
  sys.start();
  world.now += 100_000;
  sys.tick();
  t.strictSame(taken(), {});
  t.equal(world.viewCalls, 0);
  t.end();
});
