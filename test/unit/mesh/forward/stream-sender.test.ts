import t from 'tap';
import { messageAt, ORIGIN, SenderBench, wants } from './fixture.js';

t.test(
  'a peer that knows nothing begins at the newest message, and live messages leave with the turn',
  async (t) => {
    const bench = new SenderBench({ head: 7 });
    t.equal(bench.sender.status.mode, 'down');
    bench.up(undefined);
    bench.commit(messageAt(8), messageAt(9, 'b'), messageAt(10, 'x'));
    t.same(bench.taken(), ['begin 7', 'v1 7-10: 8a 9b']);
    t.match(bench.sender.status, { mode: 'live', sent: 10, acked: 7, sentMessages: 2 });
    t.equal(bench.floor, 8);
    t.equal(bench.ack(10, bench.sender.status.unackedBytes), undefined);
    t.equal(bench.floor, 11);
    t.equal(bench.sender.status.unackedBytes, 0);
  },
);

t.test('a backlog is read from the log, and live follows without a gap', async (t) => {
  const bench = new SenderBench({ head: 3 });
  bench.write(messageAt(1), messageAt(2, 'x'), messageAt(3, 'b'));
  bench.up(0);
  bench.commit(messageAt(4));
  t.equal(bench.sender.status.mode, 'catchUp');
  bench.read();
  t.same(bench.taken(), ['begin 0', 'v1 0-4: 1a 3b 4a']);
  t.equal(bench.sender.status.mode, 'live');
  bench.commit(messageAt(5));
  t.same(bench.taken(), ['v1 4-5: 5a']);
});

t.test('what the log gives before it was told of is not sent twice', async (t) => {
  const bench = new SenderBench({ head: 1 });
  bench.write(messageAt(1), messageAt(2));
  bench.up(0);
  bench.read();
  t.same(bench.taken(), ['begin 0', 'v1 0-2: 1a 2a']);
  bench.sender.committed(messageAt(2));
  bench.sender.headMoved(2);
  bench.sender.flush();
  t.same(bench.taken(), []);
});

t.test('more than memory may hold is read from the log again', async (t) => {
  const bench = new SenderBench({ liveMaxCount: 2 });
  bench.up(0, 'ab', { creditBytes: 200 });
  bench.commit(messageAt(1));
  for (let position = 2; position <= 6; position++) bench.commit(messageAt(position));
  t.match(bench.sender.status, { mode: 'catchUp', overflows: 1 });
  for (let round = 0; round < 20; round++) {
    bench.ack(bench.sender.status.sent, bench.sender.status.unackedBytes);
    bench.read();
  }
  t.equal(bench.sender.status.acked, 6);
  t.equal(bench.sender.status.mode, 'live');
  const all = bench.taken().join(' ');
  t.same(
    [1, 2, 3, 4, 5, 6].map((position) => all.split(`${position}a`).length),
    [2, 2, 2, 2, 2, 2],
    'each once',
  );
});

t.test('a free topic overtakes a backlog, a pending one does not', async (t) => {
  const bench = new SenderBench();
  bench.up(0);
  bench.commit(messageAt(1));
  bench.ack(1, bench.sender.status.unackedBytes);
  bench.sender.linkDown();
  bench.commit(messageAt(2), messageAt(3));
  bench.taken();
  const greeting = { creditBytes: 10_000 };
  bench.sender.linkUp(
    { covered: 1, durable: 1, floor: 1, have: [], backfill: undefined, wholeMaxBytes: 1e6, ...greeting },
    { version: 1, matcher: wants('ab') },
  );
  t.equal(bench.sender.status.mode, 'catchUp');
  bench.taken();
  bench.commit(messageAt(4), messageAt(5, 'b'));
  t.same(bench.taken(), ['express 5b'], 'whatever it wanted before: what came while it was away is known');
  bench.sender.notWanted(messageAt(6, 'c'));
  bench.sender.interestChanged(2, wants('abc'), 1);
  bench.read();
  bench.taken();
  bench.commit(messageAt(7, 'c'));
  t.notOk(
    bench.taken().some((line) => line.includes('express 7c')),
    'nor overtakes what it came to want',
  );
});

t.test(
  'with the same interest as before the link was lost, other topics go ahead and main passes over them',
  async (t) => {
    const bench = new SenderBench();
    const interest = { version: 1, matcher: wants('ab') };
    const greeting = {
      durable: 0,
      floor: 0,
      have: [],
      backfill: undefined,
      wholeMaxBytes: 1e6,
      creditBytes: 10_000,
    };
    bench.sender.linkUp({ covered: 0, ...greeting }, interest);
    bench.sender.linkDown();
    bench.commit(messageAt(1), messageAt(2));
    bench.sender.linkUp({ covered: 0, ...greeting }, interest);
    bench.taken();
    bench.commit(messageAt(3), messageAt(4, 'b'), messageAt(5, 'b'));
    t.same(bench.taken(), ['express 4b 5b']);
    t.equal(bench.sender.status.aheadCount, 2);
    bench.read();
    t.same(bench.taken(), ['v1 0-5: 1a 2a 3a']);
    t.match(bench.sender.status, { aheadCount: 0, pendingTopics: 0, expressMessages: 2 });
    bench.sender.linkDown();
    bench.sender.linkUp({ covered: 2, ...greeting, have: [4] }, interest);
    bench.read();
    t.same(bench.taken(), ['begin 2', 'v1 2-5: 3a 5b'], 'what the receiver has is not sent again');
  },
);

t.test('what went ahead on a link that cannot take it goes in its turn', async (t) => {
  const bench = new SenderBench();
  const interest = { version: 1, matcher: wants('ab') };
  const greeting = {
    durable: 0,
    floor: 0,
    have: [],
    backfill: undefined,
    wholeMaxBytes: 1e6,
    creditBytes: 10_000,
  };
  bench.sender.linkUp({ covered: 0, ...greeting }, interest);
  bench.sender.linkDown();
  bench.commit(messageAt(1));
  bench.sender.linkUp({ covered: 0, ...greeting }, interest);
  bench.sender.committed(messageAt(2, 'b'));
  bench.sender.linkDown();
  bench.write(messageAt(2, 'b'));
  bench.sender.headMoved(2);
  bench.taken();
  bench.sender.linkUp({ covered: 0, ...greeting }, interest);
  bench.commit(messageAt(3, 'b'));
  bench.read();
  t.same(bench.taken(), ['begin 0', 'v1 0-3: 1a 2b 3b']);
});

t.test('a grown interest is back-filled before main goes on', async (t) => {
  const bench = new SenderBench();
  bench.up(0, 'a');
  bench.commit(messageAt(1), messageAt(2, 'b'), messageAt(3), messageAt(4, 'b'));
  bench.commit(messageAt(5, 'b'));
  bench.taken();
  bench.sender.interestChanged(2, wants('ab'), 1);
  t.same(bench.taken(), ['v1 4-5:'], 'main is closed by the old interest');
  bench.commit(messageAt(6, 'b'), messageAt(7));
  t.same(bench.taken(), ['express 7a'], 'of what did not grow');
  t.ok(bench.sender.status.isBackfilling);
  bench.read();
  t.same(bench.taken(), ['backfill 2 1-5 done: 2b 4b 5b', 'v2 5-7: 6b']);
  bench.ack(5, 0, 3);
  t.equal(bench.floor, 4, 'the log stays for it');
  bench.ack(5, 0);
  t.equal(bench.floor, 6);
  t.notOk(bench.sender.status.isBackfilling);
});

t.test(
  'interest that grows, and links that break, faster than the log is read: one read at a time, and each is of use',
  async (t) => {
    const bench = new SenderBench({ head: 6 });
    bench.write(...[1, 2, 3, 4, 5, 6].map((position) => messageAt(position, position % 2 === 0 ? 'b' : 'a')));
    bench.up(0, 'a');
    for (let version = 2; version < 9; version++) {
      bench.sender.interestChanged(version, wants('ab'), 0);
      t.equal(bench.waitingReads, 1, 'no second one beside it');
    }
    for (let link = 0; link < 3; link++) {
      bench.sender.linkDown();
      bench.up(0, 'ab', {}, 10 + link);
      t.equal(bench.waitingReads, 1);
    }
    bench.taken();
    bench.readOnce();
    t.same(bench.taken(), ['v12 0-6: 1a 2b 3a 4b 5a 6b'], 'by the interest of now');
  },
);

t.test('a backfill is done, however often it begins anew while the log is read', async (t) => {
  const bench = new SenderBench({ readBytes: 200 });
  bench.up(0, 'a');
  bench.commit(...[1, 2, 3, 4, 5, 6].map((position) => messageAt(position, position === 6 ? 'a' : 'b')));
  bench.ack(6, 0);
  bench.taken();
  let since = 1;
  const came: string[] = [];
  for (let version = 2; version < 9; version++) {
    bench.sender.interestChanged(version, wants(`ab${'cdefghij'.slice(0, version)}`), since);
    t.ok(bench.waitingReads <= 1);
    bench.readOnce();
    const frames = bench.taken();
    came.push(...frames);
    // As the receiver says it: from where its backfill has come to.
    const to = /^backfill \d+ \d+-(\d+)/.exec(frames.at(-1) ?? '')?.[1];
    if (to !== undefined) since = Number(to);
  }
  t.equal(since, 6, came.join('; '));
  for (const position of [2, 3, 4, 5]) t.match(came.join('; '), `${position}b`);
});

t.test('what was read for a place that is not the next any more is read again', async (t) => {
  const bench = new SenderBench({ head: 4, readBytes: 100 });
  bench.write(messageAt(1), messageAt(2, 'b'), messageAt(3), messageAt(4, 'b'));
  bench.up(0, 'a', { creditBytes: 0 });
  bench.readOnce();
  t.equal(bench.waitingReads, 0, 'the first waits for credit');
  bench.sender.linkDown();
  bench.up(2, 'ab');
  t.equal(bench.waitingReads, 1);
  bench.sender.linkDown();
  bench.up(1, 'ab', {}, 2);
  bench.taken();
  bench.read();
  t.same(bench.taken(), ['v2 1-2: 2b', 'v2 2-3: 3a', 'v2 3-4: 4b']);
});

t.test('a backfill that was not finished goes on with the next link', async (t) => {
  const bench = new SenderBench({ head: 4 });
  bench.write(messageAt(1), messageAt(2, 'b'), messageAt(3), messageAt(4, 'b'));
  bench.up(4, 'ab', { backfill: { id: 9, cursor: 2 }, floor: 2 });
  bench.read();
  t.same(bench.taken(), ['begin 4', 'backfill 9 2-4 done: 3a 4b']);
  t.equal(bench.floor, 3);
});

t.test('a change before the link has begun there is back-filled from where it begins', async (t) => {
  const bench = new SenderBench({ head: 1 });
  bench.up(1, 'a');
  bench.commit(messageAt(2, 'b'), messageAt(3));
  bench.taken();
  bench.sender.interestChanged(2, wants('ab'), 0);
  bench.read();
  t.same(bench.taken(), ['backfill 2 1-3 done: 2b']);
});

t.test('a shrunk interest drops what waits of it; without a link it counts from the next one', async (t) => {
  const bench = new SenderBench();
  bench.up(0, 'ab', { creditBytes: 150 });
  bench.commit(messageAt(1), messageAt(2, 'b'), messageAt(3));
  bench.sender.interestChanged(2, wants('a'));
  bench.taken();
  bench.ack(1, bench.sender.status.unackedBytes);
  t.same(bench.taken(), ['v2 1-3: 3a']);
  bench.sender.linkDown();
  bench.sender.interestChanged(3, wants('b'), 3);
  bench.commit(messageAt(4), messageAt(5, 'b'));
  bench.up(3, 'b', {}, 3);
  bench.read();
  t.same(bench.taken(), ['begin 3', 'v3 3-5: 5b']);
});

t.test('what is lost in the log is told, and the stream goes on', async (t) => {
  const bench = new SenderBench({ head: 5 });
  bench.write(...[1, 2, 3, 4, 5].map((position) => messageAt(position)));
  bench.lost = { from: 2, to: 3 };
  bench.up(0);
  bench.read();
  t.same(bench.taken(), ['begin 0', 'v1 0-5 lost 2-3: 1a 4a 5a']);
});

t.test('of a loss with messages between it each batch tells its part', async (t) => {
  const bench = new SenderBench({ head: 8, liveMaxCount: 1 });
  bench.write(...[1, 2, 3, 4, 5, 6, 7, 8].map((position) => messageAt(position)));
  bench.lost = { from: 2, to: 6, but: [4] };
  bench.up(0, 'ab', { creditBytes: 60 });
  bench.read();
  const told: string[] = [];
  for (let frames = bench.taken(); frames.length > 0; frames = bench.taken()) {
    told.push(...frames);
    bench.ack(Number(/-(\d+)/.exec(frames.at(-1) ?? '')?.[1] ?? 0), bench.sender.status.unackedBytes);
    bench.read();
  }
  t.same(
    told.filter((frame) => frame.includes('lost')).map((frame) => frame.slice(0, frame.indexOf(':'))),
    ['v1 1-4 lost 2-4', 'v1 4-7 lost 5-6'],
  );
  t.equal(
    told
      .join()
      .match(/[0-9]a/g)
      ?.join(),
    '1a,4a,7a,8a',
  );
});

t.test('a backlog leaves a quarter of the credit to live messages', async (t) => {
  const bench = new SenderBench({ head: 40 });
  bench.write(...Array.from({ length: 40 }, (_, index) => messageAt(index + 1)));
  bench.up(0, 'ab', { creditBytes: 400 });
  bench.read();
  const { unackedBytes, mode } = bench.sender.status;
  t.ok(unackedBytes > 0 && unackedBytes <= 400);
  t.equal(mode, 'live', 'it is all in memory, and may use the rest');
  const cold = new SenderBench({ head: 40, liveMaxCount: 2, readBytes: 300 });
  cold.write(...Array.from({ length: 40 }, (_, index) => messageAt(index + 1)));
  cold.up(0, 'ab', { creditBytes: 400 });
  cold.read();
  t.ok(cold.sender.status.unackedBytes <= 300, `${cold.sender.status.unackedBytes} bytes`);
  t.equal(cold.sender.status.mode, 'catchUp');
});

t.test('a large message of a backlog does not wait for live traffic to end', async (t) => {
  const bench = new SenderBench({ liveMaxCount: 1, readBytes: 300 });
  const greeting = { wholeMaxBytes: 1e6, creditBytes: 4e6, have: [], backfill: undefined };
  const interest = { version: 1, matcher: wants('ab') };
  bench.up(0);
  bench.commit(messageAt(1));
  bench.ack(1, bench.sender.status.unackedBytes);
  bench.sender.linkDown();
  bench.commit(
    messageAt(2, 'a', { payload: new Uint8Array(100_000) }),
    messageAt(3),
    messageAt(4),
    messageAt(5),
  );
  bench.taken();
  bench.sender.linkUp({ covered: 1, durable: 1, floor: 1, ...greeting }, interest);
  bench.commit(messageAt(6, 'b'));
  t.same(bench.taken(), ['begin 1', 'express 6b']);
  bench.read();
  t.match(bench.taken()[0], /^v1 1-2: 2a$/, 'while the live one is not acknowledged');
});

t.test(
  'a message that is larger than the credit goes alone, and in parts where the link needs it',
  async (t) => {
    const bench = new SenderBench();
    bench.up(0, 'ab', { creditBytes: 1000 });
    bench.frames = [];
    const payload = new Uint8Array(1_200_000);
    bench.commit(messageAt(1, 'a', { payload }), messageAt(2));
    t.same(
      bench.frames.map((frame) => frame[0]),
      [5, 5, 6],
    );
    t.ok(bench.frames.every((frame) => frame.length < 1_048_576));
    bench.frames = [];
    bench.ack(1, bench.sender.status.unackedBytes);
    t.same(bench.taken(), ['v1 1-2: 2a']);
  },
);

t.test('what expired, or is more than the peer takes, is passed over and counted', async (t) => {
  const bench = new SenderBench();
  bench.up(0, 'ab', { wholeMaxBytes: 500 });
  bench.commit(messageAt(1, 'a', { expiresAt: 900 }), messageAt(2, 'a', { payload: new Uint8Array(600) }));
  bench.commit(messageAt(3, 'a', { expiresAt: 1500 }));
  t.same(bench.taken(), ['begin 0', 'v1 0-2:', 'v1 2-3: 3a']);
  t.match(bench.sender.status.refused, { expired: 1, tooLarge: 1 });
});

t.test(
  'what is wanted with QoS 0 is acknowledged too: it would come in two ways when more is wanted',
  async (t) => {
    const bench = new SenderBench();
    bench.up(0, 'A');
    bench.commit(messageAt(1));
    t.same(bench.taken(), ['begin 0', 'v1 0-1: 1a']);
    bench.sender.interestChanged(2, wants('a'), 0);
    bench.read();
    t.same(bench.taken(), ['backfill 2 0-1 done:']);
    bench.commit(messageAt(2));
    t.same(bench.taken(), ['v2 1-2: 2a']);
    t.same(bench.passed, []);
  },
);

t.test(
  'positions that only say how much of other logs is here are covered with what comes next',
  async (t) => {
    const bench = new SenderBench();
    bench.up(0);
    bench.taken();
    bench.sender.headMoved(3, true);
    t.equal(bench.sender.nextDeadlineMs, undefined);
    bench.now += 60_000;
    bench.sender.tick(bench.now);
    t.same(bench.taken(), [], 'two gateways would tell each other for ever');
    bench.commit(messageAt(4));
    t.same(bench.taken(), ['v1 0-4: 4a']);
  },
);

t.test('idle positions are covered now and then', async (t) => {
  const bench = new SenderBench();
  bench.up(0);
  bench.taken();
  bench.commit(messageAt(3, 'x'));
  t.same(bench.taken(), []);
  t.equal(bench.sender.nextDeadlineMs, 1500);
  bench.now = 1500;
  bench.sender.tick(bench.now);
  t.same(bench.taken(), ['v1 0-3:']);
  bench.sender.headMoved(5000);
  bench.sender.flush();
  t.same(bench.taken(), ['v1 3-5000:'], 'many of them at once');
  t.equal(bench.sender.nextDeadlineMs, undefined);
});

t.test('a link with a limit takes a second of it at once, and the rest later', async (t) => {
  const bench = new SenderBench({ bytesPerSecond: 100 });
  bench.up(0);
  bench.commit(messageAt(1, 'a', { payload: new Uint8Array(150) }));
  bench.commit(messageAt(2));
  t.same(bench.taken(), ['begin 0', 'v1 0-1: 1a']);
  const at = bench.sender.nextDeadlineMs ?? 0;
  t.ok(at > 1000);
  bench.now = at;
  bench.sender.tick(at);
  t.same(bench.taken(), ['v1 1-2: 2a']);
});

t.test('a link that is not writable gets nothing until it has drained', async (t) => {
  const bench = new SenderBench();
  bench.up(0);
  bench.isWritable = false;
  bench.commit(messageAt(1));
  bench.commit(messageAt(2));
  t.same(bench.taken(), ['begin 0', 'v1 0-1: 1a']);
  bench.isWritable = true;
  bench.sender.drained();
  t.same(bench.taken(), ['v1 1-2: 2a']);
});

t.test('a link that takes messages and returns nothing for five seconds is stalled, once', async (t) => {
  const bench = new SenderBench();
  bench.up(0);
  bench.commit(messageAt(1));
  bench.now += 4999;
  bench.sender.tick(bench.now);
  t.equal(bench.stalls, 0);
  t.equal(bench.sender.status.oldestUnackedMs, 4999);
  bench.now++;
  bench.sender.tick(bench.now);
  bench.sender.tick(bench.now + 1000);
  t.equal(bench.stalls, 1);
  const idle = new SenderBench();
  idle.up(0);
  idle.now += 60_000;
  idle.sender.tick(idle.now);
  t.equal(idle.stalls, 0, 'nothing is owed');
});

t.test('an acknowledgement of what was not sent closes the link', async (t) => {
  const bench = new SenderBench();
  t.match(bench.sender.onFrame(Uint8Array.of(16)), /down/);
  bench.up(0);
  bench.commit(messageAt(1));
  t.match(bench.ack(2, 0), /only 1 was sent/);
  t.match(bench.ack(1, 1), /credit/);
  t.match(bench.ack(1, 1e9), /credit/);
  t.match(bench.sender.onFrame(Uint8Array.of(16, 1, 0, 0, 1)), /express/);
  t.match(bench.sender.onFrame(Uint8Array.of(16, 1, 2, 0, 0)), /less than nothing/);
  t.match(bench.sender.onFrame(Uint8Array.of(3)), /no acknowledgement/);
});

t.test('a peer that has more than this log begins where the log ends', async (t) => {
  const bench = new SenderBench({ head: 5 });
  bench.up(9, 'ab', { have: [12] });
  t.equal(bench.sender.status.sent, 5);
  const told = new SenderBench({ head: 50 });
  told.sender.linkUp(
    {
      covered: 40,
      durable: 40,
      floor: 40,
      have: [45],
      backfill: undefined,
      creditBytes: 1000,
      wholeMaxBytes: 1000,
    },
    { version: 1, matcher: wants('a') },
    30,
  );
  t.equal(told.sender.status.sent, 30);
  t.equal(told.floor, 31);
  t.equal(ORIGIN.length, 64);
});

t.test('a batch has messages of one epoch', async (t) => {
  const lineage = [
    { counter: 1, nonce: '00000000000000aa', after: 0 },
    { counter: 2, nonce: '00000000000000bb', after: 2 },
  ];
  const bench = new SenderBench({ head: 4, lineage });
  bench.write(...[1, 2, 3, 4].map((position) => messageAt(position)));
  bench.up(0);
  bench.read();
  t.same(bench.taken(), ['begin 0', 'v1 0-2: 1a 2a', 'v1 2-4: 3a 4a']);
  t.throws(() => new SenderBench({ lineage: [{ counter: 1, nonce: 'xyz', after: 0 }] }), RangeError);
});
