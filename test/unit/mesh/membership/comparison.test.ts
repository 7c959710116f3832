import t from 'tap';
import { decodeMessage, encodeMessage, type Body } from '../../../../mesh/membership/index.js';
import { epoch, gateway, record, Rig } from './rig.js';

const digestLine = (n: number, more = {}): object => ({
  id: gateway(n),
  counter: 1,
  incarnation: 0,
  status: 'alive',
  metadataVersion: 1,
  ...more,
});

function digest(...entries: object[]): Body {
  const body = { kind: 'digest', entries } as Extract<Body, { kind: 'digest' }>;
  return decodeMessage(encodeMessage(body))?.body ?? body;
}

t.test('when a link comes up everything known is sent', (t) => {
  const rig = new Rig();
  rig.meet(2, 3);
  rig.core.linkUp(gateway(4));
  t.same(
    rig.frames.flatMap(({ to, message }) => [to, ...message.records.map(({ id }) => id)]),
    [gateway(4), gateway(1), gateway(2), gateway(3)],
  );
  t.end();
});

t.test('a large mesh sends its view first, and its digest where the view differs', (t) => {
  const rig = new Rig({ fullStateMaxCount: 2 });
  rig.meet(2, 3);
  rig.core.linkUp(gateway(4));
  t.match(rig.frames, [{ to: gateway(4), message: { body: { kind: 'view', view: rig.core.view } } }]);
  rig.core.linkUp(gateway(0));
  t.equal(rig.frames.length, 1, 'the other one begins');
  rig.frame(0, [], { kind: 'view', view: rig.core.view });
  t.equal(rig.frames.length, 1);
  rig.frame(0, [], { kind: 'view', view: 1 });
  t.match(rig.frames[1], { to: gateway(0), message: { body: { kind: 'digest' } } });
  t.end();
});

t.test('a digest is answered with what is newer here, and asks for what is newer there', (t) => {
  const rig = new Rig();
  rig.meet(2, 3, 4, 5);
  rig.frame(2, [record(3, { incarnation: 2 })]);
  rig.run(10);
  rig.forgetSent();
  rig.frame(
    2,
    [],
    digest(
      digestLine(1, { counter: 5 }),
      digestLine(2),
      digestLine(3),
      digestLine(4, { metadataVersion: 2 }),
      digestLine(6),
      digestLine(7, { status: 'dead' }),
      digestLine(8, { counter: 2, status: 'suspect' }),
    ),
  );
  t.same(
    rig.frames.flatMap(({ message }) => message.records.map(({ id }) => id)),
    [gateway(3), gateway(5)],
  );
  t.same(
    rig.frames.map(({ message }) => message.body).filter(({ kind }) => kind === 'want'),
    [{ kind: 'want', ids: [gateway(4), gateway(6), gateway(8)] }],
  );
  rig.forgetSent();
  rig.frame(2, [], { kind: 'want', ids: [gateway(3), gateway(77)] });
  t.match(rig.told(3), [{ record: { incarnation: 2, metadata: { version: 1 } } }]);
  t.end();
});

t.test('a digest that holds this gateway dead is answered by it', (t) => {
  const rig = new Rig();
  rig.meet(2);
  rig.frame(2, [], digest(digestLine(1, { counter: 5, status: 'dead' })));
  t.match(rig.core.self, { status: 'alive', incarnation: 1, epoch: epoch(5) });
  t.end();
});

t.test(
  'a ping from one that sees others leads to a comparison, less and less often while it brings nothing',
  (t) => {
    const rig = new Rig();
    rig.meet(2, 3);
    rig.runAnswered(1500);
    const comparisons = (ms: number): number => {
      const before = rig.core.comparisons;
      for (let n = 0; n < ms; n += 100) {
        rig.datagram(2, { kind: 'ping', sequence: n, target: gateway(1), view: 1 });
        rig.runAnswered(100);
      }
      return rig.core.comparisons - before;
    };
    t.ok(comparisons(3000) >= 2);
    t.ok(comparisons(60_000) <= 8);
    rig.datagram(9, { kind: 'ping', sequence: 1, target: gateway(1), view: 1 });
    t.end();
  },
);

t.test('one linked peer after the other is compared with now and then', (t) => {
  const rig = new Rig({ syncPeriodMs: 1000 });
  rig.runAnswered(3000);
  t.equal(rig.core.comparisons, 0, 'nobody is there');
  rig.meet(2);
  rig.runAnswered(5000);
  t.ok(rig.core.comparisons >= 4);
  t.end();
});

t.test(
  'for one without a link news rides on datagrams, and a record that is too long goes without its metadata',
  (t) => {
    const rig = new Rig();
    rig.meet(2);
    const long = {
      version: 2,
      site: 's',
      addresses: new Array<string>(8).fill('x'.repeat(128)),
      software: '',
      load: 0,
      health: new Array<string>(8).fill('y'.repeat(64)),
    };
    rig.frame(2, [record(3), record(4, { metadata: long })]);
    rig.runAnswered(10);
    rig.datagram(3, { kind: 'ping', sequence: 1, target: gateway(1), view: 1 });
    const records = rig.datagrams.find(({ to }) => to === gateway(3))?.message.records ?? [];
    t.ok(records.some(({ id, metadata }) => id === gateway(4) && metadata === undefined));
    t.ok(records.some(({ id, metadata }) => id === gateway(3) && metadata !== undefined));
    for (let n = 0; n < 30; n++) rig.datagram(3, { kind: 'ping', sequence: n, target: gateway(1), view: 1 });
    t.equal(rig.datagrams.at(-1)?.message.records.length, 0, 'told often enough');
    t.end();
  },
);

t.test('much is sent in several frames', (t) => {
  const rig = new Rig({ fullStateMaxCount: 1000 });
  rig.meet(2);
  const addresses = new Array<string>(8).fill('x'.repeat(128));
  const known = Array.from({ length: 200 }, (_, n) => ({
    ...record(n),
    metadata: { version: 1, site: '', addresses, software: '', load: 0, health: [] },
  }));
  rig.core.restore(known);
  rig.core.linkUp(gateway(250));
  t.equal(rig.frames.length, 2);
  t.equal(
    rig.frames.reduce((sum, { message }) => sum + message.records.length, 0),
    200,
  );
  t.end();
});
