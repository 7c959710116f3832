import t from 'tap';
import { epoch, gateway, metadata, record, Rig } from './rig.js';

t.test('news from one link goes to the others within a batch, once, and not back', (t) => {
  const rig = new Rig();
  rig.meet(2, 3, 4);
  rig.frame(2, [record(9)]);
  t.equal(rig.frames.length, 0, 'collected');
  rig.frame(3, [record(9)]);
  rig.frame(2, [record(8)]);
  rig.run(5);
  t.same(
    rig.told(9).map(({ to }) => to),
    [gateway(4)],
  );
  t.same(
    rig.told(8).map(({ to }) => to),
    [gateway(3), gateway(4)],
  );
  t.equal(rig.frames.length, 2, 'one frame for each link');
  rig.frame(4, [record(9)]);
  rig.run(50);
  t.equal(rig.frames.length, 2, 'it was news once');
  t.end();
});

t.test(
  'with many links what comes from others waits a little, and is left to them when enough have told it',
  (t) => {
    const rig = new Rig({ floodLinksMax: 3, copiesEnough: 2 });
    rig.meet(2, 3, 4, 5);
    rig.frame(2, [record(9)]);
    rig.frame(3, [record(9)]);
    rig.frame(4, [record(8)]);
    rig.run(26);
    t.equal(rig.told(9).length, 0);
    t.equal(rig.told(8).length, 3);
    rig.run(1000);
    const gossiped = rig.datagrams.flatMap(({ message }) => message.records.map(({ id }) => id));
    t.ok(gossiped.includes(gateway(9)), 'it goes with the probes');
    t.end();
  },
);

t.test(
  'a start with a higher epoch overrides what was known of the earlier life, whatever its incarnation',
  (t) => {
    for (const status of ['alive', 'suspect', 'dead', 'left'] as const) {
      const rig = new Rig();
      rig.meet(2, 3);
      rig.frame(2, [record(3, { incarnation: 40, status })]);
      rig.frame(2, [record(3, { epoch: epoch(2), metadata: metadata(1, { site: 'new' }) })]);
      t.match(rig.core.get(gateway(3)), { status: 'alive', incarnation: 0, metadata: { site: 'new' } });
      rig.frame(2, [record(3, { incarnation: 41, status: 'dead' })]);
      t.equal(rig.status(3), 'alive', 'old news of the earlier life');
    }
    t.end();
  },
);

t.test('who left is not taken back by old news, nor by any with its incarnation', (t) => {
  const rig = new Rig();
  rig.meet(2, 3);
  rig.frame(3, [record(3, { incarnation: 1, status: 'left' })]);
  rig.frame(2, [record(3)]);
  rig.frame(2, [record(3, { incarnation: 1 })]);
  rig.frame(2, [record(3, { incarnation: 1, status: 'dead' })]);
  t.equal(rig.status(3), 'left');
  rig.forgetSent();
  rig.core.linkDown(gateway(3), 'closed');
  rig.runAnswered(20_000);
  t.notOk(rig.datagrams.some(({ to }) => to === gateway(3)));
  rig.frame(2, [record(3, { incarnation: 2 })]);
  t.equal(rig.status(3), 'alive');
  t.end();
});

t.test('an accusation is answered with a higher incarnation, an old one is not', (t) => {
  const rig = new Rig();
  rig.meet(2);
  for (const status of ['suspect', 'dead', 'left'] as const) {
    const { incarnation } = rig.core.self;
    rig.forgetSent();
    rig.frame(2, [record(1, { epoch: epoch(5), incarnation, status })]);
    t.match(rig.core.self, { status: 'alive', incarnation: incarnation + 1 });
    rig.run(5);
    t.match(rig.told(1), [{ to: gateway(2), record: { status: 'alive', incarnation: incarnation + 1 } }]);
  }
  const { incarnation } = rig.core.self;
  rig.frame(2, [record(1, { epoch: epoch(5), incarnation: incarnation - 1, status: 'dead' })]);
  rig.frame(2, [record(1, { epoch: epoch(5), incarnation })]);
  t.equal(rig.core.self.incarnation, incarnation);
  rig.forgetSent();
  rig.frame(2, [record(1, { epoch: epoch(4), incarnation: 99, status: 'dead' })]);
  t.equal(rig.told(1).length, 1, 'who knows an earlier life only is told of this one');
  t.equal(rig.core.counters.refutations, 3);
  t.equal(rig.core.localHealth, 3);
  t.end();
});

t.test('one epoch with two nonces is reported once, and what is known stays', (t) => {
  const rig = new Rig();
  rig.meet(2, 3);
  const other = epoch(1, '00000000000000bb');
  for (let n = 0; n < 3; n++) rig.frame(2, [record(3, { epoch: other, incarnation: 7 })]);
  t.same(rig.conflicts, [{ id: gateway(3), known: epoch(1), told: other }]);
  t.equal(rig.core.get(gateway(3))?.incarnation, 0);
  rig.frame(2, [record(1, { epoch: epoch(5, '00000000000000bb') })]);
  rig.frame(2, [record(1, { epoch: epoch(6), status: 'dead' })]);
  t.equal(rig.conflicts.length, 3, 'of itself: a copy, and a life that it does not remember');
  t.match(rig.core.self, { status: 'alive', epoch: epoch(5) });
  t.end();
});

t.test(
  'a change of what it says of itself is pushed, small and frequent changes of the load are not',
  (t) => {
    const rig = new Rig();
    rig.meet(2);
    rig.core.setAddresses(['10.0.0.9:4430']);
    rig.core.setSite('cellar');
    rig.core.setLoad(0.02, []);
    rig.runAnswered(50);
    t.equal(rig.told(1).length, 0, 'nothing new');
    rig.core.setSite('roof');
    rig.core.setAddresses(['a:1', 'b:2']);
    rig.core.setLoad(0.5, []);
    rig.run(5);
    t.match(rig.told(1), [{ record: { metadata: { version: 4, site: 'roof', addresses: ['a:1', 'b:2'] } } }]);
    rig.forgetSent();
    rig.core.setLoad(0.9, ['queue long']);
    rig.runAnswered(900);
    t.equal(rig.told(1).length, 0, 'too soon');
    rig.core.setLoad(1, ['queue long']);
    rig.runAnswered(200);
    t.match(rig.told(1), [{ record: { metadata: { version: 5, load: 1, health: ['queue long'] } } }]);
    rig.core.setLoad(0, []);
    rig.core.setLoad(1, ['queue long']);
    rig.runAnswered(2000);
    t.equal(rig.told(1).length, 1, 'it is again as it was told');
    t.end();
  },
);

t.test('silence is asked after by others and by the link, suspected, and then a death', (t) => {
  const rig = new Rig({ silentSuspicionMinMs: 3000, silentSuspicionMaxMs: 3600 });
  rig.meet(2, 3, 4);
  rig.runAnswered(1500, [2]);
  t.equal(rig.status(2), 'suspect');
  t.ok(rig.frames.some(({ to, message }) => to === gateway(2) && message.body.kind === 'ping'));
  t.match(
    rig.told(2).map(({ record }) => ({ status: record.status, accuser: record.accuser })),
    [1, 2, 3].map(() => ({ status: 'suspect', accuser: gateway(1) })),
    'the suspect is told too',
  );
  rig.frame(3, [record(2, { status: 'suspect', accuser: gateway(3), metadata: undefined })]);
  rig.frame(4, [record(2, { status: 'suspect', metadata: undefined })]);
  rig.runAnswered(1000, [2]);
  t.equal(rig.status(2), 'suspect', 'it has three seconds');
  rig.runAnswered(2500, [2]);
  t.equal(rig.status(2), 'dead');
  t.match(rig.core.counters, { suspicions: 1, deaths: 1 });
  t.match(rig.changes.slice(-1), [{ member: { status: 'dead' }, before: { status: 'suspect' } }]);
  t.end();
});

t.test('who answers a suspicion in time lives', (t) => {
  const rig = new Rig();
  rig.meet(2, 3);
  rig.frame(3, [record(2, { status: 'suspect', metadata: undefined })]);
  t.equal(rig.status(2), 'suspect');
  rig.runAnswered(1000);
  rig.frame(3, [record(2, { incarnation: 1 })]);
  rig.runAnswered(6000);
  t.equal(rig.status(2), 'alive');
  t.end();
});

t.test('a link that breaks is looked into at once on all ways, and has a short time', (t) => {
  const rig = new Rig();
  rig.meet(2, 3, 4);
  rig.core.linkDown(gateway(2), 'closed');
  t.same(
    rig.datagrams.map(({ message }) => message.body.kind),
    ['ping', 'pingFor', 'pingFor'],
  );
  rig.runAnswered(700, [2]);
  t.match(rig.told(2)[0], { record: { status: 'suspect', evidence: 'closed' } });
  rig.runAnswered(1300, [2]);
  t.equal(rig.status(2), 'dead');
  t.end();
});

t.test('a link that ends as agreed, or comes back, is no reason to suspect', (t) => {
  const rig = new Rig();
  rig.meet(2, 3);
  rig.core.linkDown(gateway(2), 'agreed');
  t.equal(rig.datagrams.length, 0);
  rig.core.linkUp(gateway(2));
  rig.core.linkDown(gateway(2), 'closed');
  rig.core.linkUp(gateway(2));
  rig.runAnswered(5000);
  t.equal(rig.core.counters.suspicions, 0);
  rig.core.linkSilent(gateway(2));
  rig.core.linkSilent(gateway(7));
  t.equal(rig.datagrams.length, 1);
  t.end();
});

t.test('evidence of a broken link shortens a suspicion that others had for silence', (t) => {
  const rig = new Rig();
  rig.meet(2, 3);
  rig.frame(3, [record(2, { status: 'suspect', accuser: gateway(3), metadata: undefined })]);
  rig.frame(3, [
    record(2, { status: 'suspect', accuser: gateway(3), evidence: 'closed', metadata: undefined }),
  ]);
  rig.runAnswered(1250, [2]);
  t.equal(rig.status(2), 'dead');
  t.end();
});

t.test('a time that becomes shorter than what has passed is no pause of this gateway', (t) => {
  const rig = new Rig();
  rig.meet(2, 3, 4);
  const accusation = { status: 'suspect', evidence: 'closed', metadata: undefined } as const;
  rig.frame(3, [record(2, { ...accusation, accuser: gateway(3) })]);
  rig.runAnswered(1000);
  t.equal(rig.status(2), 'suspect');
  rig.frame(4, [record(2, { ...accusation, accuser: gateway(4) })]);
  rig.frame(4, [record(2, { ...accusation, accuser: gateway(1) })]);
  rig.run(1);
  t.equal(rig.status(2), 'dead');
  t.equal(rig.core.counters.stalls, 0);
  t.end();
});

t.test('who stood still discards its probes, gives suspects their time again and doubts itself', (t) => {
  const rig = new Rig();
  rig.meet(2, 3);
  rig.runAnswered(1500, [2]);
  t.equal(rig.status(2), 'suspect');
  rig.at += 5000;
  rig.core.linkDown(gateway(3), 'closed');
  rig.core.tick(rig.at);
  t.equal(rig.core.counters.stalls, 1);
  t.ok(rig.core.localHealth >= 1);
  t.equal(rig.status(2), 'suspect');
  rig.frame(3, [record(2, { incarnation: 1 })]);
  t.equal(rig.status(2), 'alive');
  rig.core.linkSilent(gateway(3));
  rig.runAnswered(3000);
  t.equal(rig.core.counters.stalls, 1, 'one pause is one');
  t.equal(rig.core.localHealth, 0, 'answers bring the trust back');
  t.end();
});

t.test('pings are answered the way they came, unless they are for another or this one left', (t) => {
  const rig = new Rig();
  rig.meet(2, 3);
  const ping = { kind: 'ping', sequence: 7, target: gateway(1), view: 0 } as const;
  rig.datagram(2, ping);
  rig.frame(2, [], ping);
  rig.datagram(2, { ...ping, target: gateway(9) });
  t.match(rig.datagrams, [{ to: gateway(2), message: { body: { kind: 'ack', sequence: 7 } } }]);
  t.match(rig.frames, [{ to: gateway(2), message: { body: { kind: 'ack', sequence: 7 } } }]);
  rig.core.leave();
  rig.forgetSent();
  rig.datagram(2, ping);
  rig.datagram(2, { kind: 'pingFor', sequence: 1, target: gateway(3) });
  t.equal(rig.datagrams.length, 0);
  t.end();
});

t.test('a ping for another is answered with what came of it', (t) => {
  const rig = new Rig();
  rig.meet(2, 3);
  rig.forgetSent();
  rig.datagram(2, { kind: 'pingFor', sequence: 70, target: gateway(3) });
  const body = rig.datagrams[0]?.message.body;
  if (body?.kind !== 'ping') throw new Error('no ping');
  rig.datagram(2, { kind: 'ack', sequence: body.sequence, view: 0 });
  t.equal(rig.datagrams.length, 1, 'not from the one that was asked after');
  rig.datagram(3, { kind: 'ack', sequence: body.sequence, view: 0 });
  t.match(rig.datagrams[1], { to: gateway(2), message: { body: { kind: 'ack', sequence: 70 } } });
  rig.datagram(2, { kind: 'pingFor', sequence: 71, target: gateway(8) });
  rig.run(400);
  t.ok(rig.datagrams.some(({ message: { body } }) => body.kind === 'nack' && body.sequence === 71));
  for (let n = 0; n < 400; n++) rig.datagram(2, { kind: 'pingFor', sequence: n, target: gateway(8) });
  t.ok(rig.datagrams.length < 300, 'not without end');
  t.end();
});

t.test('others that say that they got no answer show that this gateway hears well', (t) => {
  const alone = new Rig();
  alone.meet(2);
  alone.runAnswered(1500, [2]);
  t.ok(alone.core.localHealth > 0, 'nobody could say');
  const rig = new Rig({ probePeriodMs: 100_000 });
  rig.meet(2, 3);
  rig.core.linkDown(gateway(2), 'closed');
  const asked = rig.datagrams.find(({ message }) => message.body.kind === 'pingFor')?.message.body;
  if (asked?.kind !== 'pingFor') throw new Error('nobody was asked');
  rig.datagram(3, { kind: 'nack', sequence: asked.sequence });
  rig.run(700);
  t.equal(rig.status(2), 'suspect');
  t.equal(rig.core.localHealth, 0);
  t.end();
});

t.test('one that is held dead and sends something is told so, on datagram and link', (t) => {
  const rig = new Rig();
  rig.meet(2, 3);
  rig.frame(3, [record(2, { status: 'dead', metadata: undefined })]);
  rig.run(10);
  rig.forgetSent();
  rig.datagram(2, { kind: 'ping', sequence: 1, target: gateway(1), view: 0 });
  t.match(rig.datagrams[0]?.message.records, [{ id: gateway(2), status: 'dead' }]);
  rig.frame(2, [record(2)]);
  t.match(rig.told(2), [{ to: gateway(2), record: { status: 'dead' } }]);
  rig.forgetSent();
  rig.run(5000);
  t.ok(
    rig.datagrams.some(({ to }) => to === gateway(2)),
    'it is knocked at now and then',
  );
  rig.frame(2, [record(2, { incarnation: 1 })]);
  t.equal(rig.status(2), 'alive');
  t.end();
});

t.test('a leave is pushed at once, and taken back with a higher incarnation', (t) => {
  const rig = new Rig();
  rig.meet(2);
  rig.core.leave();
  rig.core.leave();
  t.match(rig.told(1), [{ record: { status: 'left', incarnation: 1 } }]);
  t.equal(rig.core.nextDeadlineMs, Infinity);
  rig.frame(2, [record(1, { epoch: epoch(5), incarnation: 5, status: 'dead' })]);
  t.equal(rig.core.self.status, 'left');
  rig.core.linkDown(gateway(2), 'closed');
  t.equal(rig.datagrams.length, 0);
  rig.run(60_000);
  rig.core.rejoin();
  rig.core.rejoin();
  t.match(rig.core.self, { status: 'alive', incarnation: 2 });
  t.equal(rig.core.counters.stalls, 0);
  t.end();
});

t.test('an evicted gateway is gone, is not heard and not taken in until it is admitted', (t) => {
  const rig = new Rig();
  rig.meet(2, 3);
  rig.core.forget(gateway(3));
  rig.core.forget(gateway(3));
  rig.core.forget(gateway(1));
  t.equal(rig.core.presentCount, 2);
  t.match(rig.changes, [{ member: { id: gateway(3), status: 'left' }, before: { status: 'alive' } }]);
  rig.frame(2, [record(3)]);
  rig.frame(3, [record(4)]);
  rig.core.restore([{ ...record(3), metadata: metadata(1) }]);
  t.equal(rig.core.presentCount, 2);
  rig.core.admit(gateway(3));
  rig.frame(2, [record(3)]);
  t.equal(rig.status(3), 'alive');
  t.end();
});

t.test('there is a limit to the members; a dead one makes room', (t) => {
  const rig = new Rig({ membersMaxCount: 3 });
  rig.meet(2, 3);
  rig.frame(2, [record(4)]);
  rig.core.restore([{ ...record(5), metadata: metadata(1) }]);
  t.equal(rig.core.counters.refused, 2);
  rig.frame(2, [record(3, { status: 'dead' })]);
  rig.frame(2, [record(4)]);
  t.equal(rig.status(4), 'alive');
  t.equal(rig.status(3), undefined);
  t.end();
});

t.test('the dead are forgotten after an hour', (t) => {
  const rig = new Rig();
  rig.meet(2, 3);
  rig.frame(2, [record(3, { status: 'dead' })]);
  rig.runAnswered(3_500_000);
  t.equal(rig.status(3), 'dead');
  rig.runAnswered(200_000);
  t.equal(rig.status(3), undefined);
  rig.frame(2, [record(3, { status: 'dead' })]);
  t.equal(rig.status(3), undefined, 'those who remember it longer do not bring it back');
  t.end();
});

t.test('what an earlier life knew is taken as alive and not told', (t) => {
  const rig = new Rig();
  rig.meet(2);
  const known = { ...record(3), metadata: metadata(4) };
  rig.core.restore([
    known,
    { ...known, id: gateway(4), status: 'suspect' },
    { ...known, id: gateway(5), status: 'dead' },
  ]);
  t.same(
    [3, 4, 5].map((n) => rig.status(n)),
    ['alive', 'alive', undefined],
  );
  rig.run(10);
  t.equal(rig.frames.length, 0);
  t.end();
});

t.test('bytes that are no message are counted and nothing else', (t) => {
  const rig = new Rig();
  rig.meet(2);
  rig.core.onFrame(gateway(2), Uint8Array.from([1, 5, 9]));
  rig.core.onDatagram(gateway(2), new Uint8Array(0));
  t.equal(rig.core.counters.malformed, 2);
  t.equal(rig.changes.length, 0);
  t.end();
});
