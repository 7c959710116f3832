import t from 'tap';
import { GatewayClock } from '../../lib/real-clock.js';

t.test("the gateway's clock goes on from where it was, whatever the clock of the machine says", async (t) => {
  const machine = { ms: 5_000_000, now: () => machine.ms, wall: () => 7 };
  const clock = new GatewayClock(machine);
  t.equal(clock.now(), 0);
  machine.ms += 30_000;
  t.equal(clock.now(), 0, 'nothing made before has a time that is still to come');
  clock.continueFrom(12_000);
  t.equal(clock.now(), 12_000, 'what it took to find out does not count');
  machine.ms += 5;
  t.equal(clock.now(), 12_005);
  t.equal(clock.wall(), 7);
});

t.test(
  'where nothing was stored it begins with 0 when it is started, and a start changes nothing else',
  async (t) => {
    const machine = { ms: 5_000_000, now: () => machine.ms, wall: () => 7 };
    const fresh = new GatewayClock(machine);
    const restored = new GatewayClock(machine);
    restored.continueFrom(12_000);
    machine.ms += 70;
    fresh.start();
    restored.start();
    machine.ms += 5;
    t.equal(fresh.now(), 5);
    t.equal(restored.now(), 12_075);
  },
);
