/** Every rule of every check on histories told by hand. Over 400 lines: one test a rule, on one stage. */
import fc from 'fast-check';
import t from 'tap';
import { checkHistory } from './checker.js';
import { longestIncreasing } from './checks/longest-increasing.js';
import { EXPIRES_NEVER, type Mid } from './event.js';
import { HandMade, type HandMadeClient } from './hand-made.js';
import type { CheckOptions } from './options.js';
import type { Verdict } from './verdict.js';

/** `check rule` of every violation. */
const found = ({ violations }: Verdict): string[] => violations.map(({ check, rule }) => `${check} ${rule}`);

interface Stage {
  readonly history: HandMade;
  readonly pub: HandMadeClient;
  readonly sub: HandMadeClient;
}

/** A publisher, and a subscriber of `a` at QoS 2, both connected. */
function stage(): Stage {
  const history = new HandMade();
  const pub = history.client('pub');
  const sub = history.client('sub');
  pub.on();
  sub.on();
  sub.subscribe('a', 2);
  return { history, pub, sub };
}

/** The drain and the verdict. */
const judge = ({ history }: Pick<Stage, 'history'>, options: Partial<CheckOptions> = {}): Verdict => {
  history.drain();
  return checkHistory(history.events, options);
};

t.test('a history in which everything arrives passes, and the figures say what there was', async (t) => {
  const { history, pub, sub } = stage();
  for (const q of [0, 1, 2] as const) sub.receive(pub.publish('a', q));
  const verdict = judge({ history });
  t.same(verdict.violations, []);
  t.equal(verdict.kind, 'pass', verdict.reasons.join());
  t.same(verdict.figures.publishes, { qos0: 1, ok: 2, fail: 0, info: 0 });
  t.match(verdict.figures.deliveries, { live: 3, stored: 0, duplicates: 0 });
  t.same(verdict.figures.obligations, { judged: 2, unjudged: 0, excused: 0 });
  t.same(verdict.figures.topics, { a: { demandedS: 1, servedS: 1 } });
});

t.test(
  'C1: acknowledged losses that follow each other are one violation, with the fault that was there',
  async (t) => {
    const { history, pub, sub } = stage();
    sub.receive(pub.publish('a'));
    history.fault('partition');
    const lost = [pub.publish('a'), pub.publish('a', 2), pub.publish('a')];
    history.heal('partition');
    sub.receive(pub.publish('a'));
    const gone = pub.publish('a');
    sub.receive(pub.publish('a', 0));
    const verdict = judge({ history });
    t.same(found(verdict), ['C1 acknowledged loss', 'C1 acknowledged loss']);
    const [run, single] = verdict.violations;
    t.equal(run?.count, 3);
    t.match(run?.text, /messages 1 to 3 \(3\) of publisher 0.* during partition of n1$/);
    t.same(run?.mids, [lost[0], lost[2]]);
    t.same(single?.mids, [gone]);
    t.equal(verdict.figures.violations.C1, 2);
  },
);

t.test(
  'C1: nothing is owed where the outcome, the QoS, the time or the options of the subscription do not oblige',
  async (t) => {
    const { history, pub, sub } = stage();
    const other = history.client('other');
    other.on();
    other.subscribe('zero', 0);
    other.subscribe('own', 1, { nl: true });
    sub.subscribe('#', 1, {}, 0x87);
    pub.publish('unknown', 1, { rc: null });
    pub.publish('a', 0);
    pub.publish('a', 1, { expiry: 1 });
    pub.publish('a', 1, { empty: true });
    pub.publish('zero', 2);
    other.publish('own');
    pub.publish('b');
    sub.subscribe('b');
    sub.unsubscribe('a');
    pub.publish('a');
    sub.receive(pub.publish('b'));
    t.same(judge({ history }).violations, []);
  },
);

t.test('C1: overlapping subscriptions oblige as soon as one does, at the greater QoS', async (t) => {
  const { history, pub, sub } = stage();
  sub.subscribe('#', 0);
  sub.receive(pub.publish('a', 2));
  sub.receive(pub.publish('c', 1), { q: 0 });
  pub.publish('c');
  pub.publish('a');
  t.same(found(judge({ history })), ['C1 acknowledged loss']);
});

t.test('C1: a subscription that is made again loses nothing in between [MQTT-3.8.4-4]', async (t) => {
  const { history, pub, sub } = stage();
  sub.write({ e: 'sub!', f: 'a', q: 1, pid: 99 });
  const between = pub.publish('a', 2);
  sub.write({ e: 'sub.', f: 'a', pid: 99, rc: 1 });
  sub.receive(pub.publish('a', 2), { q: 1 });
  const verdict = judge({ history });
  t.same(found(verdict), ['C1 acknowledged loss']);
  t.same(verdict.violations[0]?.mids, [between]);
});

t.test(
  'C1: drops that the broker has reported excuse as many losses, of whom and what they name',
  async (t) => {
    const tell = (n: number, more: object = {}): string[] => {
      const { history, pub, sub } = stage();
      sub.receive(pub.publish('a'));
      pub.publish('a');
      pub.publish('a');
      history.write('harness', { e: 'drop', node: 'n1', reason: 'queue_full', n, ...more });
      return found(judge({ history }));
    };
    t.same(tell(2), []);
    t.same(tell(2, { cid: 'sub', f: '+' }), []);
    t.same(tell(1), ['C1 acknowledged loss']);
    t.same(tell(2, { cid: 'pub' }), ['C1 acknowledged loss']);
    t.same(tell(2, { f: 'b/#' }), ['C1 acknowledged loss']);
  },
);

t.test('C1: a session that has ended, or ends by a clean start, owes nothing any more', async (t) => {
  const { history, pub, sub } = stage();
  const brief = history.client('brief', { expiry: 1 });
  brief.on();
  brief.subscribe('a');
  brief.off('net');
  sub.off('net');
  pub.publish('a');
  history.wait(20_000);
  sub.on(false, { clean: true });
  brief.on(false);
  sub.subscribe('a');
  sub.receive(pub.publish('a'));
  t.same(judge({ history }).violations, []);
});

t.test('a session that nobody came back for makes the run inconclusive, not green', async (t) => {
  const { history, pub, sub } = stage();
  sub.receive(pub.publish('a'));
  sub.off('net');
  pub.publish('a');
  const verdict = judge({ history });
  t.equal(verdict.kind, 'inconclusive');
  t.same(verdict.figures.obligations, { judged: 1, unjudged: 1, excused: 0 });
  t.match(verdict.reasons, [/50\.0 % of what was owed could be judged/]);
});

t.test('$share: one member of the group gets each message, and no second one', async (t) => {
  const group = (): Stage & { readonly other: HandMadeClient } => {
    const { history, pub, sub } = stage();
    const other = history.client('other');
    other.on();
    for (const member of [sub, other]) member.subscribe('$share/g/s/+', 2);
    return { history, pub, sub, other };
  };
  await t.test('whichever', async (t) => {
    const { history, pub, sub, other } = group();
    sub.receive(pub.publish('s/1', 1));
    other.receive(pub.publish('s/1', 2));
    t.same(judge({ history }).violations, []);
  });
  await t.test('a message that reaches nobody is lost', async (t) => {
    const { history, pub, sub } = group();
    sub.receive(pub.publish('s/1', 1));
    pub.publish('s/1');
    const verdict = judge({ history });
    t.same(found(verdict), ['C1 acknowledged loss']);
    t.match(verdict.violations[0]?.text, /no member of \$share\/g\/s\/\+ got/);
  });
  await t.test('a message that reaches two is a duplicate', async (t) => {
    for (const q of [1, 2] as const) {
      const { history, pub, sub, other } = group();
      const m = pub.publish('s/1', q);
      sub.receive(m);
      other.receive(m);
      t.same(found(judge({ history })), ['C3 two members'], `QoS ${q}`);
    }
  });
  await t.test('at QoS 1 what a member left behind may go to another', async (t) => {
    const { history, pub, sub, other } = group();
    const m = pub.publish('s/1', 1);
    sub.receive(m);
    sub.off('net');
    other.receive(m);
    sub.on(true);
    t.same(judge({ history }).violations, []);
  });
  await t.test('a subscription of its own brings another copy', async (t) => {
    const both = (copies: number): string[] => {
      const { history, pub, sub } = group();
      sub.subscribe('s/#', 2);
      const m = pub.publish('s/1', 2);
      for (let copy = 0; copy < copies; copy++) sub.receive(m);
      return found(judge({ history }));
    };
    t.same(both(1), ['C1 acknowledged loss']);
    t.same(both(2), []);
    t.same(both(3), ['C3 QoS 2 duplicate']);
  });
  await t.test('what a member took along when it left is not judged', async (t) => {
    const { history, pub, other, sub } = group();
    pub.publish('s/1');
    other.unsubscribe('$share/g/s/+');
    sub.receive(pub.publish('s/1'));
    t.same(judge({ history }).violations, []);
  });
});

t.test('C2: what nobody published, what was changed, and what others published are told apart', async (t) => {
  const { history, pub, sub } = stage();
  const m = pub.publish('a');
  sub.receive(m);
  const text = { topic: 'a', q: 0, pid: 0 } as const;
  sub.receive({ pub: 0, seq: 99 }, text);
  sub.receive({ pub: 9, seq: 0 }, text);
  for (const fault of ['corrupt', 'foreign', 'run', 'topic'] as const)
    sub.write({ e: 'recv', m: null, topic: 'a', q: 0, retain: false, dup: false, bytesOk: false, fault });
  sub.write({ e: 'recv', m: null, topic: 'a', q: 0, retain: false, dup: false, bytesOk: true, empty: true });
  const verdict = judge({ history });
  const rules = ['unknown', 'unknown', 'corrupt', 'foreign', 'run', 'topic', 'unknown'];
  t.same(
    found(verdict),
    rules.map((rule) => `C2 ${rule}`),
  );
});

t.test(
  'C2: a message is not delivered on another topic, above its QoS, or to who has not subscribed to it',
  async (t) => {
    const one = (tell: (stage: Stage) => void): string[] => {
      const all = stage();
      all.sub.receive(all.pub.publish('a'));
      tell(all);
      return found(judge(all));
    };
    t.same(
      one(({ pub, sub }) => sub.receive(pub.publish('a'), { topic: 'b' })),
      ['C2 topic'],
    );
    t.same(
      one(({ pub, sub }) => sub.receive(pub.publish('a', 1), { q: 2 })),
      ['C2 QoS'],
    );
    t.same(
      one(({ pub, sub }) => sub.receive(pub.publish('b'))),
      ['C2 unsolicited'],
    );
    t.same(
      one(({ pub, sub }) => {
        sub.subscribe('own', 1, { nl: true });
        sub.receive(sub.publish('own'));
        sub.receive(pub.publish('own'));
      }),
      ['C2 unsolicited'],
    );
    t.same(
      one(({ pub, sub }) => {
        sub.unsubscribe('a');
        sub.receive(pub.publish('a'));
      }),
      ['C2 unsolicited'],
      'after UNSUBACK',
    );
    t.same(
      one(({ history, pub, sub }) => {
        const old = pub.publish('late');
        history.wait(2000);
        sub.subscribe('late');
        sub.receive(old);
      }),
      ['C2 stale'],
    );
  },
);

t.test('C2: a refused message is not delivered, unless it was sent twice', async (t) => {
  const { history, pub, sub } = stage();
  for (let count = 0; count < 40; count++) sub.receive(pub.publish('a'));
  sub.receive(pub.publish('a', 1, { rc: 0x97 }));
  const early = pub.publish('a', 1, { rc: null });
  sub.receive(early);
  pub.acknowledge(early, 0x97);
  const twice = pub.publish('a', 1, { rc: null });
  sub.receive(twice);
  pub.publishAgain(twice, 0x97);
  const verdict = judge({ history });
  t.same(found(verdict), ['C2 refused', 'C2 refused']);
  t.match(verdict.figures.publishes, { fail: 2, info: 1 });
});

t.test('C2: topics of others are not judged', async (t) => {
  const { history, pub, sub } = stage();
  sub.receive(pub.publish('a'));
  for (const topic of ['$SYS/broker/uptime', 'dead/letter'])
    sub.write({
      e: 'recv',
      m: null,
      topic,
      q: 0,
      retain: false,
      dup: false,
      bytesOk: false,
      fault: 'foreign',
    });
  t.same(found(judge({ history }, { unjudgedTopics: ['$SYS/#', 'dead/letter'] })), []);
});

t.test(
  'C3: the first PUBREC of a packet id receives; the same again with DUP before PUBREL is legal',
  async (t) => {
    const { history, pub, sub } = stage();
    const m = pub.publish('a', 2);
    sub.receive(m, { pid: 7 });
    sub.off('net');
    sub.on(true);
    sub.receive(m, { pid: 7, dup: true });
    sub.release(7);
    const verdict = judge({ history });
    t.same(verdict.violations, []);
    t.equal(verdict.figures.deliveries.redelivered, 1);
  },
);

t.test('C3: the same again without DUP, on the same connection, or after PUBREL is not', async (t) => {
  const again = (tell: (sub: HandMadeClient) => object, v: 4 | 5 = 5): string[] => {
    const history = new HandMade();
    const pub = history.client('pub');
    const sub = history.client('sub', { v });
    pub.on();
    sub.on();
    sub.subscribe('a', 2);
    const m = pub.publish('a', 2);
    sub.receive(m, { pid: 7 });
    sub.receive(m, { pid: 7, ...tell(sub) });
    sub.release(7);
    return found(judge({ history }));
  };
  const reconnect = (sub: HandMadeClient): void => {
    sub.off('net');
    sub.on(true);
  };
  t.same(
    again((sub) => (reconnect(sub), {})),
    ['C3 without DUP'],
  );
  t.same(
    again(() => ({ dup: true })),
    ['C3 sent again'],
  );
  t.same(
    again(() => ({ dup: true }), 4),
    [],
    'MQTT 3.1.1 lets it',
  );
  t.same(
    again((sub) => (sub.release(7), { dup: true })),
    ['C3 QoS 2 duplicate'],
  );
  t.same(
    again((sub) => (reconnect(sub), { dup: true, pid: 8 })),
    ['C3 QoS 2 duplicate', 'C8 packet id forgotten'],
  );
});

t.test('C3: what a node that was put back took in twice comes twice, and not three times', async (t) => {
  const comes = (times: number, isTwice: boolean): string[] => {
    const { history, pub, sub } = stage();
    const m = pub.publish('a', 2, { rc: null });
    pub.publishAgain(m);
    for (let time = 0; time < times; time++) sub.receive(m);
    return found(
      judge({ history }, { mayComeTwice: (one) => isTwice && one.pub === m.pub && one.seq === m.seq }),
    );
  };
  t.same(comes(2, false), ['C3 QoS 2 duplicate']);
  t.same(comes(2, true), []);
  t.same(comes(3, true), ['C3 QoS 2 duplicate']);
});

t.test('C3: QoS 2 is once within a session of its publisher, as far as that may be the same', async (t) => {
  const again = (expiry: number, isReplaced: boolean): string[] => {
    const { history, pub, sub } = stage();
    sub.receive(pub.publish('a'));
    const unsure = history.client('unsure', { expiry });
    unsure.on();
    const m = unsure.publish('a', 2, { rc: null });
    sub.receive(m);
    unsure.off('net');
    history.wait(10_000);
    // Nobody hears that this makes a new session, which the next one then finds.
    if (isReplaced) {
      unsure.ask();
      unsure.off('net');
    }
    unsure.on(true);
    unsure.publishAgain(m);
    sub.receive(m);
    return found(judge({ history }, { okShareMin: 0 })).filter((rule) => rule.startsWith('C3'));
  };
  t.same(again(2, true), []);
  t.same(again(EXPIRES_NEVER, true), ['C3 QoS 2 duplicate'], 'the old one has not ended');
  t.same(again(EXPIRES_NEVER, false), ['C3 QoS 2 duplicate']);
});

t.test('C3: a duplicate at QoS 1 needs a reason, one at QoS 0 has none', async (t) => {
  const twice = (q: 0 | 1, tell: (all: Stage & { m: { pub: number; seq: number } }) => void): Verdict => {
    const all = stage();
    all.sub.receive(all.pub.publish('a'));
    const m = all.pub.publish('a', q);
    all.sub.receive(m);
    tell({ ...all, m });
    all.sub.receive(m, { dup: q > 0 });
    return judge(all);
  };
  t.same(found(twice(1, () => {})), ['C3 QoS 1 duplicate']);
  t.same(found(twice(0, () => {})), ['C3 QoS 0 duplicate']);
  const legal = {
    'the publisher sent it again': twice(1, ({ pub, m }) => pub.publishAgain(m)),
    'the session was resumed': twice(1, ({ sub }) => {
      sub.off('net');
      sub.on(true);
    }),
    'something was broken': twice(1, ({ history }) => {
      history.fault('pause');
      history.heal('pause');
    }),
  };
  for (const [reason, verdict] of Object.entries(legal)) {
    t.same(verdict.violations, [], reason);
    t.equal(verdict.figures.deliveries.duplicates, 1, reason);
  }
});

t.test('C3: a reconnect explains no more duplicates than a window holds', async (t) => {
  const { history, pub, sub } = stage();
  const all = Array.from({ length: 5 }, () => pub.publish('a'));
  for (const m of all) sub.receive(m);
  sub.off('net');
  sub.on(true);
  for (const m of all) sub.receive(m, { dup: true });
  history.drain();
  t.same(checkHistory(history.events, { inflightMax: 5 }).violations, []);
  const verdict = checkHistory(history.events, { inflightMax: 4 });
  t.same(found(verdict), ['C3 more than a window']);
  t.same(verdict.figures.duplicatesPerReconnectMax, { count: 5, cid: 'sub' });
});

t.test('C4: one topic, one QoS, one session of the publisher: first receipts in order', async (t) => {
  const { history, pub, sub } = stage();
  sub.subscribe('b', 2);
  const [first, second, third] = [pub.publish('a'), pub.publish('a'), pub.publish('a')];
  const other = pub.publish('b');
  const higher = pub.publish('a', 2);
  sub.receive(other);
  sub.receive(higher);
  sub.receive(third);
  sub.receive(first);
  sub.receive(second);
  const verdict = judge({ history });
  t.same(found(verdict), ['C4 order']);
  t.same(verdict.violations[0]?.mids, [first, third]);
  t.match(verdict.figures.order, { streams: 3, inversions: 2, deficit: 1 });
});

t.test('C4: a publisher with a new session begins anew, and a duplicate is not out of order', async (t) => {
  const { history, pub, sub } = stage();
  const old = pub.publish('a', 1, { rc: null });
  const twice = pub.publish('a');
  pub.off('net');
  pub.on(false, { clean: true });
  sub.receive(twice);
  const fresh = pub.publish('a');
  sub.receive(fresh);
  sub.receive(old);
  sub.off('net');
  sub.on(true);
  sub.receive(twice, { dup: true });
  sub.receive(fresh, { dup: true });
  t.same(judge({ history }, { okShareMin: 0 }).violations, []);
});

t.test('C4: who was not told that a message is refused sends it again behind others', async (t) => {
  const order = (v: 4 | 5, rc: number, fault = '', refusesAtAnyTime = false): string[] => {
    const { history, pub, sub } = stage();
    const unsure = history.client('unsure', { v });
    unsure.on();
    history.fault(fault);
    history.heal(fault);
    const first = unsure.publish('a', 2, { rc: null });
    pub.publish('b', 1, { rc });
    const second = unsure.publish('a', 2, { rc: null });
    unsure.off('net');
    sub.receive(second);
    unsure.on(true);
    unsure.publishAgain(first);
    unsure.publishAgain(second);
    sub.receive(first);
    return found(judge({ history }, { okShareMin: 0, refusingFaults: ['disk'], refusesAtAnyTime }));
  };
  t.same(order(5, 0x83), []);
  t.same(order(5, 0, 'disk'), [], 'perhaps nobody was told');
  t.same(order(5, 0, '', true), [], 'it may refuse without anybody’s knowledge');
  t.same(order(5, 0), ['C4 order'], 'nobody was refused');
  t.same(order(4, 0x83), ['C4 order'], 'MQTT 3.1.1 refuses nobody');
});

t.test('C4: a first copy that was dropped for want of room comes behind what was not', async (t) => {
  const order = (n: number): string[] => {
    const { history, sub } = stage();
    const unsure = history.client('unsure');
    unsure.on();
    const first = unsure.publish('a', 1, { rc: null });
    const second = unsure.publish('a', 1, { rc: null });
    unsure.off('net');
    sub.receive(second);
    unsure.on(true);
    unsure.publishAgain(first);
    unsure.publishAgain(second);
    sub.receive(first);
    history.write('harness', { e: 'drop', node: 'n1', reason: 'queue_full', n, cid: 'sub' });
    return found(judge({ history }, { okShareMin: 0 }));
  };
  t.same(order(1), []);
  t.same(order(0), ['C4 order']);
});

t.test(
  'C4: a first copy that was owed with QoS 0 alone may be gone when what was behind it comes',
  async (t) => {
    const order = (before: 0 | 1): string[] => {
      const { history, sub } = stage();
      const unsure = history.client('unsure');
      unsure.on();
      sub.subscribe('c', before);
      const first = unsure.publish('c', 1, { rc: null });
      sub.subscribe('c', 1);
      const second = unsure.publish('c', 1, { rc: null });
      unsure.off('net');
      sub.receive(second);
      unsure.on(true);
      unsure.publishAgain(first);
      unsure.publishAgain(second);
      sub.receive(first);
      return found(judge({ history }, { okShareMin: 0 }));
    };
    t.same(order(0), []);
    t.same(order(1), ['C4 order']);
  },
);

t.test('C4: a first copy that No Local withheld may be gone when what was behind it comes', async (t) => {
  const order = (nl: boolean): string[] => {
    const { history, pub } = stage();
    pub.subscribe('c', 1, { nl });
    const first = pub.publish('c', 1, { rc: null });
    pub.subscribe('c', 1);
    const second = pub.publish('c', 1, { rc: null });
    pub.receive(second);
    pub.off('net');
    pub.on(true);
    pub.publishAgain(first);
    pub.publishAgain(second);
    pub.receive(first);
    return found(judge({ history }, { okShareMin: 0 }));
  };
  t.same(order(true), []);
  t.same(order(false), ['C4 order']);
});

t.test('C5: an acknowledged message reaches a connected session in time', async (t) => {
  const late = (waitMs: number, tell: (all: Stage) => void = () => {}): string[] => {
    const all = stage();
    const m = all.pub.publish('a');
    tell(all);
    all.history.wait(waitMs);
    all.sub.receive(m);
    return found(judge(all));
  };
  t.same(late(1900), []);
  t.same(late(2100), ['C5 late']);
  t.same(
    late(2100, ({ history }) => history.fault('pause')),
    [],
    'a fault is active',
  );
  t.same(
    late(1900, ({ sub }) => {
      sub.off('net');
      sub.on(true);
    }),
    [],
    'it has just come back',
  );
});

t.test('C5: who stands behind a backlog waits longer, who is overtaken does not', async (t) => {
  const behind = (isOvertaken: boolean): string[] => {
    const { history, pub, sub } = stage();
    sub.subscribe('b', 1);
    sub.off('net');
    const backlog = Array.from({ length: 4 }, () => pub.publish('a'));
    sub.on(true);
    const held = pub.publish('b');
    for (const m of backlog) {
      history.wait(1500);
      sub.receive(m);
    }
    if (isOvertaken) sub.receive(pub.publish('a'));
    sub.receive(held);
    return found(judge({ history }));
  };
  t.same(behind(false), []);
  t.same(behind(true), ['C5 late']);
});

t.test('C5: what a connected session never got counts also when its end keeps C1 from judging', async (t) => {
  const never = (tell: (all: Stage) => void): string[] => {
    const all = stage();
    all.sub.receive(all.pub.publish('a'));
    all.pub.publish('a');
    tell(all);
    all.sub.off('client');
    return found(judge(all, { judgedShareMin: 0 }));
  };
  t.same(
    never(() => {}),
    [],
    'it left at once',
  );
  t.same(
    never(({ history }) => history.wait(3000)),
    ['C5 never came'],
  );
  t.same(
    never(({ history, pub, sub }) => {
      history.wait(2500);
      sub.receive(pub.publish('a'));
    }),
    ['C5 never came'],
    'another one has overtaken it',
  );
  t.same(
    never(({ history }) => {
      history.fault('pause');
      history.wait(3000);
    }),
    [],
  );
});

t.test('C7: a reader gets the newest retained message, or one that was on its way', async (t) => {
  const read = (tell: (all: Stage & { reader: HandMadeClient }) => void): Verdict => {
    const all = stage();
    const reader = all.history.client('reader');
    all.sub.receive(all.pub.publish('a'));
    reader.on();
    tell({ ...all, reader });
    return judge(all, { okShareMin: 0 });
  };
  t.same(
    read(({ pub, reader }) => {
      pub.publish('r', 1, { retain: true });
      const value = pub.publish('r', 1, { retain: true });
      const concurrent = pub.publish('r', 1, { retain: true, rc: null });
      reader.subscribe('r');
      reader.receive(value, { retain: true });
      reader.subscribe('+');
      reader.receive(concurrent, { retain: true });
    }).violations,
    [],
  );
  const resurrected = read(({ pub, reader }) => {
    const old = pub.publish('r', 1, { retain: true });
    pub.publish('r', 1, { retain: true });
    reader.subscribe('r');
    reader.receive(old, { retain: true });
  });
  t.same(found(resurrected), ['C7 overwritten value']);
  t.same(
    resurrected.violations[0]?.mids.map(({ seq }) => seq),
    [1, 2],
  );
  t.same(
    found(
      read(({ pub, reader }) => {
        const old = pub.publish('r', 1, { retain: true });
        pub.publish('r', 1, { retain: true, empty: true });
        reader.subscribe('r');
        reader.receive(old, { retain: true });
      }),
    ),
    ['C7 overwritten value'],
    'it was cleared',
  );
  t.same(
    found(
      read(({ pub, reader }) => {
        const old = pub.publish('r', 0, { retain: true });
        pub.publish('r', 1, { retain: true });
        reader.subscribe('r');
        reader.receive(old, { retain: true });
      }),
    ),
    ['C7 overwritten value'],
    'QoS 0, followed by another one of the same publisher',
  );
  t.same(
    found(
      read(({ pub, reader }) => {
        const value = pub.publish('r', 1, { retain: true });
        reader.subscribe('r');
        reader.receive(value, { retain: true });
        reader.receive(value, { retain: true });
      }),
    ),
    ['C7 nobody asked'],
  );
});

t.test(
  'C7: after a crash what came at QoS 1 may come again, beside what is for another SUBSCRIBE',
  async (t) => {
    const read = (
      q: 1 | 2,
      tell: (all: Stage & { reader: HandMadeClient; value: Mid }) => void,
    ): string[] => {
      const all = stage();
      const reader = all.history.client('reader');
      all.sub.receive(all.pub.publish('a'));
      const value = all.pub.publish('r', 2, { retain: true });
      reader.on();
      reader.subscribe('r', q);
      reader.receive(value, { retain: true, q });
      all.history.fault('kill');
      reader.off('net');
      all.history.heal('kill');
      reader.on(true);
      tell({ ...all, reader, value });
      return found(judge(all, { okShareMin: 0 }));
    };
    t.same(
      read(1, ({ reader, value }) => {
        reader.subscribe('+', 2);
        reader.receive(value, { retain: true, q: 1 });
        reader.receive(value, { retain: true, q: 2 });
      }),
      [],
      'the QoS tells whose it is',
    );
    t.same(
      read(2, ({ reader, value }) => {
        reader.subscribe('+', 1);
        reader.receive(value, { retain: true, q: 1 });
        reader.receive(value, { retain: true, q: 2 });
      }),
      ['C7 nobody asked'],
      'QoS 2 comes once',
    );
    const newer = (q: 1 | 2): string[] => {
      const all = stage();
      const reader = all.history.client('reader');
      all.sub.receive(all.pub.publish('a'));
      reader.on();
      const old = all.pub.publish('r', q, { retain: true });
      reader.subscribe('r', 2);
      reader.receive(old, { retain: true });
      all.history.fault('kill');
      reader.off('net');
      all.history.heal('kill');
      reader.on(true);
      const newest = all.pub.publish('r', 2, { retain: true });
      reader.receive(newest, { retain: true });
      reader.receive(newest);
      return found(judge(all, { okShareMin: 0 }));
    };
    t.same(newer(1), [], 'it has the QoS of the one that comes in its place');
    t.same(newer(2), ['C7 nobody asked']);
  },
);

t.test('C7: who subscribes gets what is retained for certain', async (t) => {
  const miss = (q: 0 | 1, retain: object, subscribe: object = {}, waitMs = 5000): string[] => {
    const all = stage();
    all.sub.receive(all.pub.publish('a'));
    all.pub.publish('r', q, { retain: true, ...retain });
    all.sub.subscribe('r', 1, subscribe);
    all.history.wait(waitMs);
    all.sub.off('client');
    all.sub.on(true);
    return found(judge(all, { okShareMin: 0 }));
  };
  t.same(miss(1, {}), ['C7 missing value']);
  t.same(miss(0, {}), [], 'nobody knows');
  t.same(miss(1, { rc: null }), []);
  t.same(miss(1, { expiry: 1 }), []);
  t.same(miss(1, {}, { rh: 2 }), []);
  t.same(miss(1, {}, {}, 100), [], 'it did not wait');
  const { history, pub, sub } = stage();
  sub.receive(pub.publish('a'));
  pub.publish('r', 1, { retain: true });
  pub.publish('r', 1, { retain: true, empty: true, rc: null });
  sub.subscribe('r');
  t.same(judge({ history }, { okShareMin: 0 }).violations, [], 'it may have been cleared');
});

t.test('C7: of two SUBSCRIBEs at once each gets a value, the first one first', async (t) => {
  interface Overlap extends Stage {
    readonly value: Mid;
    /** SUBACKs of a SUBSCRIBE at QoS 2 and a later one at QoS 1. */
    readonly first: () => void;
    readonly second: () => void;
  }
  const overlap = (tell: (all: Overlap) => void): string[] => {
    const all = stage();
    const { history, pub, sub } = all;
    sub.receive(pub.publish('a'));
    // Without one nothing may come again at QoS 1.
    history.fault('kill', ['n2']);
    history.heal('kill', ['n2']);
    const value = pub.publish('r', 1, { retain: true });
    const first = sub.subscribing('r', 2);
    const second = sub.subscribing('r', 1);
    tell({ ...all, value, first, second });
    return found(judge(all, { okShareMin: 0 }));
  };
  const newer = (
    { pub, sub, value, first, second }: Overlap,
    gets: 'both' | 'old' | 'new' | 'none',
  ): void => {
    first();
    if (gets === 'both' || gets === 'old') sub.receive(value, { retain: true });
    const newest = pub.publish('r', 2, { retain: true });
    sub.receive(newest, { q: 1 });
    second();
    if (gets === 'both' || gets === 'new') sub.receive(newest, { q: 1, retain: true });
  };
  t.same(
    overlap((all) => newer(all, 'both')),
    [],
    'what came before the second SUBACK was for the first',
  );
  t.same(
    overlap((all) => newer(all, 'old')),
    ['C7 missing value'],
    'the second got none',
  );
  t.same(
    overlap((all) => newer(all, 'new')),
    ['C7 missing value'],
    'the first got none',
  );
  t.same(
    overlap((all) => newer(all, 'none')),
    ['C7 missing value', 'C7 missing value'],
  );
  t.same(
    overlap(({ sub, value, first, second }) => {
      first();
      second();
      sub.receive(value, { retain: true });
    }),
    ['C7 missing value'],
    'one for two',
  );
  t.same(
    overlap(({ history, sub, value, first, second }) => {
      first();
      history.wait(3000);
      second();
      sub.receive(value, { retain: true });
      sub.off();
    }),
    ['C7 missing value'],
    'too late for the first, and the second did not wait',
  );
  t.same(
    overlap(({ sub, value, first, second }) => {
      first();
      second();
      sub.unsubscribe('r');
      sub.subscribe('r');
      sub.receive(value, { retain: true });
    }),
    [],
    'after UNSUBSCRIBE it is not for those before',
  );
  t.same(
    overlap(({ sub, value, first, second }) => {
      first();
      second();
      sub.off('net');
      sub.on(true);
      sub.subscribe('r');
      sub.receive(value, { retain: true });
    }),
    [],
    'nor on another connection',
  );
  t.same(
    overlap(({ pub, sub, first, second }) => {
      first();
      second();
      sub.receive(pub.publish('r', 1, { retain: true, empty: true }));
      const newest = pub.publish('r', 1, { retain: true });
      sub.receive(newest);
      sub.subscribe('r');
      sub.receive(newest, { retain: true });
    }),
    [],
    'nor where there was nothing by the time of their turn',
  );
});

t.test('C7: when a topic has come to rest all readers agree', async (t) => {
  const readers = (second: 'same' | 'other' | 'nothing'): string[] => {
    const { history, pub, sub } = stage();
    const other = history.client('other', { node: 'n2' });
    other.on();
    sub.receive(pub.publish('a'));
    const [one, two] = [
      pub.publish('r', 1, { retain: true, rc: null }),
      pub.publish('r', 1, { retain: true, rc: null }),
    ];
    history.wait(6000);
    sub.subscribe('r');
    sub.receive(one, { retain: true });
    other.subscribe('r');
    if (second !== 'nothing') other.receive(second === 'same' ? one : two, { retain: true });
    return found(judge({ history }, { okShareMin: 0 }));
  };
  t.same(readers('same'), []);
  t.same(readers('other'), ['C7 readers disagree']);
  t.same(readers('nothing'), ['C7 readers disagree']);
});

t.test('C7: what comes with DUP answers no SUBSCRIBE of its own connection', async (t) => {
  const resumed = (dup: boolean): string[] => {
    const { history, pub, sub } = stage();
    const other = history.client('other');
    other.on();
    sub.receive(pub.publish('a'));
    const old = pub.publish('r', 1, { retain: true });
    // Its value is on its way when the connection breaks, or never came.
    sub.subscribe('r', 1, { rh: 1 });
    if (!dup) history.wait(2000);
    sub.off('net');
    const newer = pub.publish('r', 1, { retain: true, rc: null });
    history.wait(6000);
    sub.on(true);
    sub.subscribe('r', 1, { rh: 1 });
    sub.receive(old, { retain: true, dup });
    other.subscribe('r');
    other.receive(newer, { retain: true });
    return found(judge({ history }, { okShareMin: 0 })).filter((rule) => rule.startsWith('C7'));
  };
  t.same(resumed(true), []);
  t.same(resumed(false), ['C7 readers disagree']);
});

t.test(
  'C7: what waited for a subscription with Retain As Published is not what a reader found',
  async (t) => {
    const queued = (rap: boolean): string[] => {
      const { history, pub, sub } = stage();
      const other = history.client('other');
      other.on();
      sub.subscribe('r', 1, { rap });
      history.wait(2000);
      sub.off('net');
      const [one, two] = [
        pub.publish('r', 1, { retain: true, rc: null }),
        pub.publish('r', 1, { retain: true, rc: null }),
      ];
      history.wait(6000);
      sub.on(true);
      sub.subscribe('r', 1);
      sub.receive(one, { retain: true });
      sub.receive(two, { retain: true });
      other.subscribe('r');
      other.receive(two, { retain: true });
      return found(judge({ history }, { okShareMin: 0 })).filter((rule) => rule === 'C7 readers disagree');
    };
    t.same(queued(true), []);
    t.same(queued(false), ['C7 readers disagree']);
  },
);

t.test('C7: of two readers one may leave before its value comes', async (t) => {
  const leaves = (isLeaving: boolean): string[] => {
    const { history, pub, sub } = stage();
    const other = history.client('other');
    other.on();
    sub.receive(pub.publish('a'));
    // Which of them stands nobody knows: there may be nothing.
    const value = pub.publish('r', 1, { retain: true, rc: null });
    other.publish('r', 1, { retain: true, empty: true, rc: null });
    history.wait(6000);
    other.subscribe('r');
    other.receive(value, { retain: true });
    sub.subscribe('r');
    sub.subscribe('+');
    sub.receive(value, { retain: true });
    if (isLeaving) sub.unsubscribe('+');
    return found(judge({ history }, { okShareMin: 0 })).filter((rule) => rule === 'C7 readers disagree');
  };
  t.same(leaves(true), []);
  t.same(leaves(false), ['C7 readers disagree']);
});

t.test('C7: what may be for an earlier SUBSCRIBE is not what a reader found', async (t) => {
  const resumed = (firstEnds: 'unanswered' | 'late' | 'answered'): string[] => {
    const { history, pub, sub } = stage();
    const other = history.client('other');
    other.on();
    sub.receive(pub.publish('a'));
    const old = pub.publish('r', 0, { retain: true });
    const first = sub.subscribing('r', 1, { rh: 1 });
    if (firstEnds !== 'unanswered') first();
    // Whatever it was to get has come within this time.
    if (firstEnds === 'answered') history.wait(2000);
    sub.off('net');
    const newer = pub.publish('r', 1, { retain: true, rc: null });
    history.wait(6000);
    sub.on(true);
    sub.subscribing('r', 1, { rh: 1 });
    sub.receive(old, { retain: true });
    other.subscribe('r');
    other.receive(newer, { retain: true });
    return found(judge({ history }, { okShareMin: 0 })).filter((rule) => rule === 'C7 readers disagree');
  };
  t.same(resumed('unanswered'), []);
  t.same(resumed('late'), []);
  t.same(resumed('answered'), ['C7 readers disagree']);
});

t.test('C7: a topic is not at rest while a broker that is broken may hold a publish', async (t) => {
  const held = (rc: 0 | null, healedForMs: number): string[] => {
    const { history, pub, sub } = stage();
    const other = history.client('other');
    other.on();
    sub.receive(pub.publish('a'));
    const [one, two] = [pub.publish('r', 1, { retain: true, rc }), pub.publish('r', 1, { retain: true, rc })];
    history.fault('disk fills');
    pub.off('net');
    history.wait(6000);
    history.heal('disk fills');
    history.wait(healedForMs);
    sub.subscribe('r');
    sub.receive(one, { retain: true });
    other.subscribe('r');
    other.receive(two, { retain: true });
    return found(judge({ history }, { okShareMin: 0 })).filter((rule) => rule === 'C7 readers disagree');
  };
  t.same(held(null, 10), []);
  t.same(held(null, 6000), ['C7 readers disagree'], 'nothing was broken for long enough');
});

t.test('C7: Retain As Published is no retained message', async (t) => {
  const { history, pub, sub } = stage();
  sub.subscribe('a', 2, { rap: true });
  sub.receive(pub.publish('a', 1, { retain: true }), { retain: true });
  sub.receive(pub.publish('a', 1, { retain: true }), { retain: true });
  t.same(judge({ history }).violations, []);
});

t.test('C8: Session Present says what must be so', async (t) => {
  const come = (
    present: boolean,
    tell: (sub: HandMadeClient, history: HandMade) => void,
    changes = {},
  ): string[] => {
    const history = new HandMade();
    const sub = history.client('sub', { expiry: 10, keepAlive: 2 });
    tell(sub, history);
    sub.on(present, changes);
    return found(judge({ history }));
  };
  const seen =
    (by: 'client' | 'net', waitMs: number, rc?: number) => (sub: HandMadeClient, history: HandMade) => {
      sub.on();
      sub.off(by, rc);
      history.wait(waitMs);
    };
  t.same(
    come(true, () => {}),
    ['C8 present where none can be'],
  );
  t.same(come(true, seen('net', 5000)), []);
  t.same(come(false, seen('net', 5000)), ['C8 not present where one must be']);
  t.same(come(true, seen('net', 5000), { clean: true }), ['C8 present after a clean start']);
  t.same(come(false, seen('net', 5000), { clean: true }), []);
  t.same(come(true, seen('client', 11_000)), [], 'the broker may notice late');
  t.same(come(false, seen('client', 11_000)), []);
  t.same(come(true, seen('client', 16_000)), ['C8 present where none can be'], 'it has expired');
  t.same(come(true, seen('net', 17_000)), [], '1.5 keep alives later');
});

t.test('C8: a CONNACK that was lost leaves open whether there is a session', async (t) => {
  for (const present of [true, false]) {
    const history = new HandMade();
    const sub = history.client('sub');
    sub.ask();
    sub.off('net');
    sub.on(present);
    t.same(found(judge({ history })), [], `made, ${present}`);
  }
  for (const present of [true, false]) {
    const { history, pub, sub } = stage();
    const m = pub.publish('a');
    sub.off('net');
    sub.ask({ clean: true });
    sub.off('net');
    sub.on(present);
    if (present) sub.receive(m);
    t.same(found(judge({ history }, { judgedShareMin: 0 })), [], `cleared, ${present}`);
  }
});

t.test('C8: subscriptions of a resumed session survive', async (t) => {
  const { history, pub, sub } = stage();
  sub.subscribe('b');
  sub.receive(pub.publish('a'));
  sub.off('net');
  const away = pub.publish('a');
  sub.on(true);
  sub.receive(pub.publish('b'));
  pub.publish('a');
  pub.publish('a');
  sub.receive(pub.publish('b'));
  const verdict = judge({ history });
  t.same(found(verdict), ['C8 subscription lost']);
  t.match(verdict.violations[0]?.text, /nothing for a since .* 2 messages/);
  t.equal(away.seq, 1);
});

t.test('C8: one message that is lost after a reconnect is a loss', async (t) => {
  const { history, pub, sub } = stage();
  sub.receive(pub.publish('a'));
  sub.off('net');
  sub.on(true);
  pub.publish('a');
  t.same(found(judge({ history })), ['C1 acknowledged loss']);
});

t.test('C8: a packet id belongs to its message until PUBREL, and PUBREL comes', async (t) => {
  const { history, pub, sub } = stage();
  sub.receive(pub.publish('a', 2), { pid: 3 });
  sub.off('net');
  sub.on(true);
  sub.receive(pub.publish('a', 2), { pid: 3 });
  t.same(found(judge({ history })), ['C8 packet id in use', 'C8 packet id forgotten']);
});

t.test('C9: the older of two connections ends soon and is told why', async (t) => {
  const overlap = (
    ms: number,
    by: 'broker' | 'net',
    rc?: number,
    tell: (history: HandMade) => void = () => {},
  ): string[] => {
    const { history, pub, sub } = stage();
    const twin = sub.twin('twin');
    sub.receive(pub.publish('a'));
    twin.on(true);
    tell(history);
    history.wait(ms);
    sub.off(by, rc);
    return found(judge({ history }));
  };
  t.same(overlap(10, 'broker', 0x8e), []);
  t.same(overlap(10, 'net'), []);
  t.same(overlap(10, 'broker'), ['C9 not told']);
  t.same(overlap(10, 'broker', 0x8d), ['C9 not told']);
  t.same(overlap(6000, 'broker', 0x8e), ['C9 overlap']);
  t.same(
    overlap(6000, 'broker', 0x8e, (history) => history.fault('partition')),
    [],
  );
});

t.test('C9: it may end before CONNACK reaches the newer one, which is told of too', async (t) => {
  const before = (rc: number): string[] => {
    const { history, sub, pub } = stage();
    const twin = sub.twin('twin');
    sub.receive(pub.publish('a'));
    twin.ask();
    sub.off('broker', rc);
    twin.write({ e: 'conn.', present: true, rc: 0 });
    return found(judge({ history }));
  };
  t.same(before(0x8e), []);
  t.same(before(0), ['C9 not told']);
});

t.test(
  'C10: a will is published where its connection ends without DISCONNECT, once and in time',
  async (t) => {
    interface Ending {
      readonly delay?: number;
      readonly v?: 4 | 5;
      readonly end: (client: HandMadeClient, history: HandMade) => void;
      /** After the end; undefined: it does not come. */
      readonly waits?: readonly number[];
      readonly after?: (client: HandMadeClient, history: HandMade) => void;
    }
    const run = ({ delay = 0, v = 5, end, waits = [], after }: Ending): string[] => {
      const { history, pub, sub } = stage();
      sub.subscribe('will', 2);
      sub.receive(pub.publish('a'));
      const mortal = history.client('mortal', { v }).withWill('will', delay);
      mortal.on();
      end(mortal, history);
      for (const ms of waits) {
        history.wait(ms);
        sub.receive({ pub: mortal.publisher, seq: 0 });
      }
      after?.(mortal, history);
      history.wait(30_000);
      return found(judge({ history }));
    };
    const die = (client: HandMadeClient): void => client.off('net');
    const leave = (client: HandMadeClient): void => client.off('client');
    t.same(run({ end: die, waits: [10] }), []);
    t.same(run({ end: die }), ['C10 missing']);
    t.same(run({ end: die, waits: [10, 10] }), ['C10 twice']);
    t.same(run({ end: die, waits: [6000] }), ['C10 late']);
    t.same(run({ end: (client) => client.off('client', 4), waits: [10] }), [], 'DISCONNECT with will');
    t.same(run({ end: leave }), []);
    t.same(run({ end: leave, waits: [10] }), ['C10 unwanted']);
    t.same(run({ end: () => {}, waits: [10] }), ['C10 unwanted'], 'it is still connected');
    t.same(run({ delay: 10, end: die, waits: [10_010] }), []);
    t.same(run({ delay: 10, end: die, waits: [5000] }), ['C10 early']);
    t.same(run({ delay: 10, v: 4, end: die, waits: [10] }), [], 'before MQTT 5 there is no delay');
    const resume = (client: HandMadeClient): void => client.on(true);
    t.same(run({ delay: 10, end: die, after: resume }), [], 'resumed within the delay');
    t.same(
      run({
        delay: 10,
        end: (client, history) => {
          die(client);
          history.wait(2000);
          resume(client);
        },
        waits: [9000],
      }),
      ['C10 unwanted'],
    );
    t.same(
      run({
        delay: 10,
        end: (client, history) => {
          die(client);
          history.wait(2000);
          client.on(false, { clean: true });
        },
        waits: [10],
      }),
      [],
      'its session has ended',
    );
    t.same(
      run({
        end: (client, history) => {
          history.fault('kill');
          die(client);
          history.heal('kill');
        },
      }),
      [],
      'the node took it along',
    );
    t.same(
      run({
        delay: 10,
        end: (client, history) => {
          const own = client.publish('x', 1, { rc: null });
          history.fault('kill');
          history.heal('kill');
          history.wait(3000);
          // It lay in a buffer.
          client.acknowledge(own);
          die(client);
        },
        waits: [7010],
        after: resume,
      }),
      [],
      'the connection ended with the process, whatever was read of it afterwards',
    );
    t.same(
      run({
        end: (client, history) => {
          history.fault('partition');
          die(client);
          history.wait(1000);
          history.heal('partition');
        },
      }),
      [],
      'a broker that was cut off notices nothing without a keep alive',
    );
  },
);

t.test('C10: a will waits for its turn behind what its subscriber is owed', async (t) => {
  const behind = (then: 'next' | 'much later' | 'overtaken', gapMs = 1100): string[] => {
    const { history, pub, sub } = stage();
    sub.subscribe('will', 2);
    const owed = Array.from({ length: 8 }, () => pub.publish('a'));
    const mortal = history.client('mortal').withWill('will', 0);
    mortal.on();
    mortal.off('net');
    for (const m of owed) {
      history.wait(gapMs);
      sub.receive(m);
    }
    if (then === 'overtaken') sub.receive(pub.publish('a'));
    if (then === 'much later') history.wait(6000);
    sub.receive({ pub: mortal.publisher, seq: 0 });
    history.wait(30_000);
    return found(judge({ history })).filter((rule) => rule.startsWith('C10'));
  };
  t.same(behind('next'), []);
  t.same(behind('much later'), ['C10 late']);
  t.same(behind('overtaken'), ['C10 late'], 'what was published since came before it');
  t.same(behind('next', 100), []);
  t.same(behind('much later', 100), ['C10 late'], 'nothing was in its way when it was due');
});

t.test('C10: what a broker had sent before it was killed may come after its wills', async (t) => {
  const miss = (endingFaults: string[]): string[] => {
    const { history, pub, sub } = stage();
    sub.receive(pub.publish('a'));
    const mortal = history.client('mortal').withWill('w');
    mortal.ask();
    history.fault('kill');
    history.heal('kill');
    const late = history.client('late');
    late.on();
    late.subscribe('w');
    mortal.write({ e: 'conn.', present: false, rc: 0 });
    mortal.off('net');
    history.wait(20_000);
    return found(judge({ history }, { okShareMin: 0, willLosingFaults: [], endingFaults }));
  };
  t.same(miss(['kill']), [], 'it was published before anybody subscribed');
  t.same(miss([]), ['C10 missing']);
});

t.test('C11: the longest gap in service after each fault is reported, and may have a limit', async (t) => {
  const { history, pub, sub } = stage();
  sub.receive(pub.publish('a'));
  history.fault('kill');
  pub.publish('a', 1, { rc: null });
  history.wait(1500);
  history.heal('kill');
  history.wait(700);
  sub.receive(pub.publish('a'));
  history.wait(4000);
  history.fault('pause');
  history.heal('pause');
  const slow = pub.publish('a');
  history.wait(300);
  sub.receive(slow);
  history.drain();
  const verdict = checkHistory(history.events, { okShareMin: 0 });
  t.same(verdict.violations, []);
  const [kill, pause] = verdict.figures.faults;
  t.match(kill, { what: 'kill', nodes: ['n1'], topic: 'a', okOverlaps: 0 });
  t.ok((kill?.longestGapMs ?? 0) > 2200 && (kill?.longestGapMs ?? 0) < 2210, `${kill?.longestGapMs} ms`);
  t.ok((pause?.longestGapMs ?? 0) > 300 && (pause?.longestGapMs ?? 0) < 310, `${pause?.longestGapMs} ms`);
  t.same(found(checkHistory(history.events, { okShareMin: 0, recoveryMaxMs: 1000 })), ['C11 gap']);
});

t.test('C11: service that does not come back is a gap to the end of the window', async (t) => {
  const { history, pub, sub } = stage();
  sub.receive(pub.publish('a'));
  history.fault('kill');
  history.heal('kill');
  pub.publish('a', 1, { rc: null });
  history.wait(120_000);
  const verdict = judge({ history }, { recoveryWindowMs: 30_000, okShareMin: 0 });
  const gapMs = verdict.figures.faults[0]?.longestGapMs ?? 0;
  t.ok(gapMs > 29_000 && gapMs <= 30_000, `${gapMs} ms`);
});

t.test('a run in which every publish was refused is inconclusive', async (t) => {
  const { history, pub } = stage();
  for (let count = 0; count < 100; count++) pub.publish('a', 1, { rc: 0x97 });
  const verdict = judge({ history });
  t.equal(verdict.kind, 'inconclusive');
  t.same(verdict.violations, []);
  t.match(verdict.reasons, [/^0\.0 % of the publishes ended ok, not 90\.0 %$/, /nobody was owed anything/]);
});

t.test('so is one in which too few ended ok, nothing was published, or the drain did not end', async (t) => {
  const { history, pub, sub } = stage();
  for (let count = 0; count < 8; count++) sub.receive(pub.publish('a'));
  for (let count = 0; count < 2; count++) pub.publish('a', 1, { rc: null });
  t.match(judge({ history }), { kind: 'inconclusive', reasons: [/^80\.0 %/] });
  t.match(judge(stage()), { kind: 'inconclusive', reasons: [/nothing was published/, /nobody/] });
  const open = stage();
  open.sub.receive(open.pub.publish('a'));
  t.match(checkHistory(open.history.events), { kind: 'inconclusive', reasons: [/drain/] });
});

t.test('a run is about its nemeses: too few publishes that overlap them make it inconclusive', async (t) => {
  const { history, pub, sub } = stage();
  const slow = pub.publish('a', 1, { rc: null });
  history.fault('kill', ['n1']);
  sub.receive(pub.publish('a'));
  history.heal('kill', ['n1']);
  history.fault('kill', ['n2']);
  history.heal('kill', []);
  pub.acknowledge(slow);
  sub.receive(slow);
  history.drain();
  const check = (nemeses: Record<string, number>): Verdict => checkHistory(history.events, { nemeses });
  t.equal(check({ kill: 3 }).violations[0]?.check, 'C4', 'the order of the two was not right');
  t.match(check({ kill: 3 }).reasons, []);
  t.match(check({ kill: 4 }).reasons, [/^3 publishes that ended ok overlapped kill, not 4$/]);
  t.match(check({ cut: 1 }).reasons, [/^0 publishes/]);
});

t.test('a history that contradicts itself is no proof', async (t) => {
  const wrong = (tell: (all: Stage) => void): string => {
    const all = stage();
    all.sub.receive(all.pub.publish('a'));
    tell(all);
    const verdict = judge(all);
    t.equal(verdict.kind, 'inconclusive');
    return verdict.reasons.join();
  };
  t.match(
    wrong(({ pub }) => pub.acknowledge({ pub: 0, seq: 9 })),
    /not sent/,
  );
  t.match(
    wrong(({ history }) => history.client('ghost').publish('a', 0)),
    /without a connection/,
  );
  t.match(
    wrong(({ history }) => {
      const early = history.client('early');
      early.ask();
      early.subscribe('a');
    }),
    /before its CONNACK/,
  );
  t.match(
    wrong(({ pub }) => pub.on(true)),
    /twice at a time/,
  );
  t.match(
    wrong(({ history }) => history.events.push({ ...end(history), run: 'another' })),
    /run another/,
  );
  t.match(
    wrong(({ history }) => history.events.push({ ...end(history), t: 1n })),
    /back in time/,
  );
});

const end = (history: HandMade) =>
  ({ e: 'drain!', t: BigInt(history.nowMs * 1e6), run: 'hand-made', p: 'x', i: 0 }) as const;

t.test(
  'a witness holds the life of the message and what happened around it, in the order of time',
  async (t) => {
    const { history, pub, sub } = stage();
    const bystander = history.client('bystander');
    bystander.on();
    bystander.subscribe('a', 0);
    for (let count = 0; count < 100; count++) sub.receive(pub.publish('a'));
    const lost = pub.publish('a');
    bystander.receive(lost, { q: 0 });
    for (let count = 0; count < 100; count++) sub.receive(pub.publish('a'));
    const [violation] = judge({ history }).violations;
    const witness = violation?.witness ?? [];
    t.ok(witness.length > 20 && witness.length < 70, `${witness.length} events`);
    const ofMessage = witness
      .filter((event) => 'm' in event && event.m?.seq === lost.seq)
      .map(({ e, p }) => `${e} ${p}`);
    t.same(ofMessage, ['pub! pub', 'pub. pub', 'recv bystander']);
    t.ok(witness.some(({ e, p }) => e === 'conn!' && p === 'sub'));
    t.same(
      witness.map(({ t: time }) => time),
      witness.map(({ t: time }) => time).sort((a, b) => (a < b ? -1 : 1)),
    );
  },
);

t.test('of many violations of one check the first are shown and all are counted', async (t) => {
  const { history, sub, pub } = stage();
  sub.receive(pub.publish('a'));
  for (let seq = 0; seq < 50; seq++) sub.receive({ pub: 77, seq }, { topic: 'a', q: 0 });
  const { violations, figures } = judge({ history });
  t.equal(violations.length, 20);
  t.equal(figures.violations.C2, 50);
});

t.test('the longest increasing subsequence has the length that trying all of them finds', async () => {
  const naive = ([first, ...rest]: number[], above = -1): number => {
    if (first === undefined) return 0;
    const without = naive(rest, above);
    return first > above ? Math.max(without, 1 + naive(rest, first)) : without;
  };
  fc.assert(
    fc.property(
      fc.array(fc.nat(9), { maxLength: 10 }),
      (values) => longestIncreasing(values) === naive(values),
    ),
  );
});
