import t from 'tap';
import { publish } from '../../support/wire.js';
import { LaneWorld } from '../delivery/lane-world.js';

t.test(
  'that messages are refused for want of room is said once, and that they are taken again',
  async (t) => {
    const world = new LaneWorld({});
    const { session, link } = world.connected({ version: 5 });
    let packetId = 0;
    const send = (): void => {
      packetId += 1;
      link.feed(session, Buffer.from(publish({ version: 5, topic: 'a', payload: '1', qos: 1, packetId })));
    };
    const said = (): string[] => world.logged.map(({ level, message }) => `${level} ${message}`);
    const refused = 'warn messages of QoS 1 and 2 are refused: there is no room for them';
    const taken = 'info messages of QoS 1 and 2 are taken again';
    send();
    t.same(said(), []);
    world.store.admit = () => 0x97;
    send();
    send();
    t.same(said(), [refused]);
    t.match(world.logged[0]?.fields, { reason: 'storage' });
    world.store.admit = () => 0;
    send();
    t.same(said(), [refused], 'at the limit room comes and goes');
    world.now += 10_000;
    send();
    send();
    t.same(said(), [refused, taken]);
    world.store.admit = () => 0x97;
    send();
    t.same(said(), [refused, taken, refused], 'the next time is said again');
  },
);

t.test('a log that cannot be written says so itself', async (t) => {
  const world = new LaneWorld({});
  const { session, link } = world.connected({ version: 5 });
  world.store.admit = () => 0x83;
  link.feed(session, Buffer.from(publish({ version: 5, topic: 'a', payload: '1', qos: 1, packetId: 1 })));
  t.same(world.logged, []);
});
