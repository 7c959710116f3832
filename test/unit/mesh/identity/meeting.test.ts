import t from 'tap';
import type { Epoch, EpochStart, Lineage } from '../../../../lib/contracts/epoch.js';
import { gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';
import { judge, type Meeting, type Verdict } from '../../../../mesh/identity/meeting.js';
import { meetingText } from '../../../../mesh/identity/meeting-text.js';
import { LINEAGE_MAX_COUNT } from '../../../../mesh/identity/lineage.js';

const OWN = gatewayIdOf(new Uint8Array(32).fill(1));
const OTHER = gatewayIdOf(new Uint8Array(32).fill(2));
const NAMES = { other: '02020202 (harbour)', address: '10.0.0.7:4430' };

/** `3a` is the life with counter 3 of the branch `a`. */
function epoch(name: string): Epoch {
  const branch = name.slice(-1);
  return { counter: Number(name.slice(0, -1)), nonce: Buffer.from(branch.repeat(8)).toString('hex') };
}
/** `1a 0, 2a 100`: lives and after what they begin. */
function lineage(text: string): Lineage {
  return text.split(', ').map((start): EpochStart => {
    const [name = '', after = ''] = start.split(' ');
    return { ...epoch(name), after: Number(after) };
  });
}

interface Row {
  readonly title: string;
  readonly lives: string;
  readonly head: number;
  /** The newest known life, and covered. */
  readonly had?: readonly [string, number];
  readonly remembered?: string;
  readonly expected: Partial<Verdict> & { readonly kind: Verdict['kind'] };
}

const ROWS: readonly Row[] = [
  {
    title: 'nothing was ever had: from now on',
    lives: '1a 0, 2a 100',
    head: 150,
    expected: { kind: 'firstMeeting', covered: 150 },
  },
  {
    title: 'the same life',
    lives: '1a 0, 2a 100',
    head: 150,
    had: ['2a', 120],
    remembered: '1a 0, 2a 100',
    expected: { kind: 'healthy', covered: 120, isProven: true },
  },
  {
    title: 'two starts later',
    lives: '1a 0, 2a 100, 3a 150, 4a 150',
    head: 170,
    had: ['2a', 120],
    remembered: '1a 0, 2a 100',
    expected: { kind: 'healthy', covered: 120, isProven: true },
  },
  {
    title: 'covered to the end of a life',
    lives: '1a 0, 2a 100, 3a 150',
    head: 170,
    had: ['2a', 150],
    expected: { kind: 'healthy', covered: 150, isProven: true },
  },
  {
    title: 'put back to within the life that we knew',
    lives: '1a 0, 2a 100, 3b 130',
    head: 170,
    had: ['2a', 150],
    remembered: '1a 0, 2a 100',
    expected: { kind: 'rolledBack', covered: 130, lostFrom: 131, lostTo: 150, known: epoch('2a') },
  },
  {
    title: 'put back to before the life that we knew',
    lives: '1a 0, 2b 60, 3b 90',
    head: 200,
    had: ['2a', 150],
    remembered: '1a 0, 2a 100',
    expected: { kind: 'rolledBack', covered: 60, lostFrom: 61, lostTo: 150, known: epoch('2a') },
  },
  {
    title: 'the same where its earlier lives were not remembered: nothing counts as had',
    lives: '1a 0, 2b 60, 3b 90',
    head: 200,
    had: ['2a', 150],
    expected: { kind: 'rolledBack', covered: 0, lostFrom: 1, lostTo: 150 },
  },
  {
    title: 'what is remembered is of other lives than what was had: it does not count',
    lives: '1a 0, 2b 60, 3b 90',
    head: 200,
    had: ['2a', 150],
    remembered: '1a 0, 2c 90',
    expected: { kind: 'rolledBack', covered: 0 },
  },
  {
    title: 'put back beyond what we had: nothing is lost that we know of',
    lives: '1a 0, 2b 60',
    head: 80,
    had: ['2a', 50],
    remembered: '1a 0, 2a 100',
    expected: { kind: 'rolledBack', covered: 50, lostFrom: 0, lostTo: 0 },
  },
  {
    title: 'the old card is put in again after its copy ran',
    lives: '1a 0, 2a 500',
    head: 520,
    had: ['2b', 400],
    remembered: '1a 0, 2b 300',
    expected: { kind: 'rolledBack', covered: 300, lostFrom: 301, lostTo: 400 },
  },
  {
    title: 'its log became shorter without a trace in its lives',
    lives: '1a 0, 2a 100, 3a 20',
    head: 30,
    had: ['1a', 90],
    remembered: '1a 0',
    expected: { kind: 'rolledBack', covered: 20, lostFrom: 21, lostTo: 90 },
  },
  {
    title: 'its head is behind what we had',
    lives: '1a 0',
    head: 80,
    had: ['1a', 90],
    remembered: '1a 0',
    expected: { kind: 'rolledBack', covered: 80, lostFrom: 81, lostTo: 90 },
  },
  {
    title: 'the life that we knew is older than what it remembers',
    lives: '70a 900, 71a 950',
    head: 960,
    had: ['3a', 120],
    remembered: '1a 0, 2a 50, 3a 100',
    expected: { kind: 'healthy', covered: 120, isProven: false },
  },
  {
    title: 'the same, with more had than it had then',
    lives: '70a 100, 71a 950',
    head: 960,
    had: ['3a', 120],
    expected: { kind: 'rolledBack', covered: 100, lostFrom: 101, lostTo: 120 },
  },
  {
    title: 'another branch, and the lives that both share are forgotten',
    lives: '70b 100, 71b 110',
    head: 960,
    had: ['71a', 120],
    remembered: '70a 100, 71a 115',
    expected: { kind: 'rolledBack', covered: 0, lostFrom: 1, lostTo: 120 },
  },
  {
    title: 'its lives were begun anew',
    lives: '1b 500',
    head: 510,
    had: ['7a', 400],
    expected: { kind: 'rolledBack', covered: 400, lostFrom: 0, lostTo: 0 },
  },
];

function meetingOf({ lives, head, had, remembered }: Row): Meeting {
  return {
    own: { id: OWN, lineage: lineage('5z 10'), head: 20 },
    other: { id: OTHER, lineage: lineage(lives), head },
    image: had === undefined ? undefined : { epoch: epoch(had[0]), covered: had[1] },
    remembered: remembered === undefined ? undefined : lineage(remembered),
    theirImage: undefined,
    liveEpochs: [],
    isOldAlive: false,
  };
}

for (const row of ROWS) {
  t.test(`${row.expected.kind}: ${row.title}`, async (t) => {
    t.match(judge(meetingOf(row)), row.expected);
  });
}

const HEALTHY: Row = {
  title: '',
  lives: '1a 0',
  head: 150,
  had: ['1a', 120],
  expected: { kind: 'healthy' },
};

t.test(
  'a gateway that was put back learns from the other what it lost, and the other stream goes on',
  async (t) => {
    const own = { id: OWN, lineage: lineage('1o 0, 2p 40, 3p 70'), head: 90 };
    const base = { ...meetingOf(HEALTHY), own };
    const other = { kind: 'healthy', covered: 120, isProven: true };
    t.match(judge({ ...base, theirImage: { epoch: epoch('2o'), covered: 60 } }), {
      kind: 'weAreRolledBack',
      known: epoch('2o'),
      present: { counter: 3 },
      lostFrom: 41,
      lostTo: 60,
      other,
    });
    t.match(judge({ ...base, theirImage: { epoch: epoch('1o'), covered: 60 } }), {
      kind: 'weAreRolledBack',
      lostFrom: 41,
      lostTo: 60,
    });
    t.match(judge({ ...base, theirImage: { epoch: epoch('9o'), covered: 80 } }), {
      kind: 'weAreRolledBack',
      lostFrom: 71,
      lostTo: 80,
    });
    t.match(judge({ ...base, theirImage: { epoch: epoch('9o'), covered: 30 } }), {
      kind: 'weAreRolledBack',
      lostFrom: 0,
      lostTo: 0,
    });
    t.match(judge({ ...base, theirImage: { epoch: epoch('3p'), covered: 95 } }), {
      kind: 'weAreRolledBack',
      lostFrom: 91,
      lostTo: 95,
    });
    t.same(judge({ ...base, theirImage: { epoch: epoch('3p'), covered: 90 } }), other);
    t.same(judge({ ...base, theirImage: { epoch: epoch('1o'), covered: 40 } }), other);
  },
);

t.test(
  'two lives of one key are clones when both are alive, and a restart when the old one is dead',
  async (t) => {
    const base = { ...meetingOf(HEALTHY), liveEpochs: [epoch('1b')] };
    const report = { id: OTHER, epochs: [epoch('1a'), epoch('1b')] };
    t.same(judge({ ...base, isOldAlive: true }), { kind: 'clone', report });
    t.match(judge({ ...base, isOldAlive: false }), { kind: 'healthy' });
    t.match(judge({ ...base, liveEpochs: [epoch('1a')], isOldAlive: true }), { kind: 'healthy' });
    t.match(judge({ ...base, liveEpochs: [], isOldAlive: true }), { kind: 'healthy' });
    const restarted = lineage('1a 0, 2a 130');
    t.match(
      judge({
        ...base,
        other: { ...base.other, lineage: restarted },
        liveEpochs: [epoch('1a')],
        isOldAlive: true,
      }),
      { kind: 'clone', report: { epochs: [epoch('1a'), epoch('2a')] } },
    );
  },
);

t.test('a lineage as long as it may be is judged as any other', async (t) => {
  const starts = Array.from({ length: LINEAGE_MAX_COUNT }, (_, i) => `${i + 1}a ${i * 10}`).join(', ');
  const row: Row = { ...HEALTHY, lives: starts, head: 1000, had: ['1a', 5], remembered: '1a 0' };
  t.match(judge(meetingOf(row)), { kind: 'healthy', covered: 5, isProven: true });
});

t.test('what people are told names both epochs and what is lost', async (t) => {
  const text = (row: Row, more: Partial<Meeting> = {}): string | undefined =>
    meetingText(judge({ ...meetingOf(row), ...more }), NAMES);
  const rowOf = (title: string): Row => ROWS.find((row) => row.title.startsWith(title)) ?? HEALTHY;
  t.equal(text(HEALTHY), undefined);
  t.equal(text(rowOf('nothing was ever')), undefined);
  t.match(text(rowOf('the life that we knew is older')), /^02020202 \(harbour\) has started so often/);
  t.match(
    text(rowOf('put back to within')),
    /harbour\) was put back to an old copy.*not remember all of start 2 \(61616161\).*present one is 3 \(62626262\); positions 131 to 150 of its log are gone/,
  );
  t.match(text(rowOf('put back beyond')), /nothing that was received from it is gone there$/);
  const own = { id: OWN, lineage: lineage('2p 40'), head: 90 };
  t.match(
    text(HEALTHY, { own, theirImage: { epoch: epoch('2o'), covered: 41 } }),
    /^this gateway was put back.*knows more of start 2 \(6f6f6f6f\).*present one is 2 \(70707070\); position 41 of the log.*missing here\. It goes on/,
  );
  t.match(
    text(HEALTHY, { own, theirImage: { epoch: epoch('9o'), covered: 3 } }),
    /nothing that was sent there/,
  );
  t.match(
    text(HEALTHY, { liveEpochs: [epoch('1b')], isOldAlive: true }),
    /identity 02020202 is also used by another machine \(10\.0\.0\.7:4430\).*join --new-identity/,
  );
});
