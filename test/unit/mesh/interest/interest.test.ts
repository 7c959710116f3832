import t from 'tap';
import { gatewayIdOf, type GatewayId } from '../../../../lib/contracts/gateway-id.js';
import {
  type AnswerFrame,
  type AppliedInterest,
  decodeInterest,
  encodeAnswer,
  encodeUpdate,
  InterestReceiver,
  InterestSender,
  intersect,
  LocalInterest,
  RemoteInterest,
  TopicFilters,
  type UpdateFrame,
} from '../../../../mesh/interest/index.js';
import { MalformedFrame } from '../../../../mesh/wire/bytes.js';

const PEER: GatewayId = gatewayIdOf(new Uint8Array(32).fill(1));

function interestOf(filters: readonly string[] = [], importFilters = ['#']): LocalInterest {
  const interest = new LocalInterest({ life: 1, importFilters, exportFilters: ['#'] });
  for (const filter of filters) interest.add(filter, 1);
  interest.flush();
  return interest;
}

function senderOf(interest: LocalInterest, room = Infinity) {
  const frames: UpdateFrame[] = [];
  const events: string[] = [];
  const sender = new InterestSender(interest, {
    send: (bytes) => {
      const frame = decodeInterest(bytes);
      if (frame.kind === 'update') frames.push(frame);
      return frames.length % room !== 0;
    },
    covered: () => 9,
    acknowledged: (version, head) => events.push(`${version} from ${head}`),
    refused: (version, verdict) => events.push(`${version} ${verdict}`),
  });
  return { sender, frames, events };
}

const answer = (version: number, verdict: AnswerFrame['verdict'] = 'applied'): AnswerFrame => ({
  kind: 'answer',
  version,
  verdict,
  head: 100,
});

t.test('filters meet where both match', async (t) => {
  const cases: readonly [string, string, string | undefined][] = [
    ['#', 'site/#', 'site/#'],
    ['site/#', '+/kitchen/+', 'site/kitchen/+'],
    ['a/#', 'a', 'a'],
    ['a/+', 'b/#', undefined],
    ['a/+', 'a/b/c', undefined],
    ['+/x', '$SYS/#', undefined],
    ['#', '$SYS/x', undefined],
    ['$SYS/#', '#', undefined],
    ['$SYS/#', '$SYS/+/x', '$SYS/+/x'],
    ['+', '/#', undefined],
    ['+/+', '+/#', '+/+'],
  ];
  for (const [a, b, both] of cases) t.equal(intersect(a, b), both, `${a} and ${b}`);
  const long = 'x'.repeat(40_000);
  t.equal(intersect(`${long}/+`, `+/${long}`), undefined, 'no topic is so long');
});

t.test('what begins with $ stays here, whatever the lists say', async (t) => {
  const interest = new LocalInterest({ life: 1, importFilters: ['#'], exportFilters: ['site/+', '$SYS/#'] });
  interest.add('$SYS/#', 1);
  interest.add('$share/g/$SYS/x', 1);
  t.equal(interest.flush(), false);
  t.equal(interest.versionOf('$SYS/#'), 0);
  t.equal(interest.mayExport('site/a'), true);
  t.equal(interest.mayExport('site/a/b'), false);
  t.equal(interest.mayExport('$SYS/x'), false);
  t.equal(new TopicFilters(['#']).allows('a'), true);
  interest.remove('$SYS/#', 1);
});

t.test(
  'what the lists say of a topic is the same however often it is asked, and of however many',
  async (t) => {
    const filters = new TopicFilters(['in/#', 'some/+/x']);
    const long = 'x'.repeat(60_000);
    for (let n = 0; n < 2; n++) {
      for (const topic of ['in', 'in/a', 'some/a/x', `in/${long}`]) t.equal(filters.allows(topic), true);
      for (const topic of ['out', 'some/a/y', '$in/a', long]) t.equal(filters.allows(topic), false);
      for (let i = 0; i < 1500; i++)
        if (!filters.allows(`in/${i}`) || filters.allows(`out/${i}`)) t.fail(`${i}`);
    }
  },
);

t.test('a shared subscription is announced as its filter', async (t) => {
  const interest = interestOf(['$share/g/a/+']);
  t.same([...interest.told], [['a/+', 1]]);
  interest.add('a/+', 2);
  interest.flush();
  t.same([...interest.told], [['a/+', 2]]);
  interest.remove('a/+', 2);
  interest.flush();
  t.same([...interest.told], [['a/+', 1]]);
  t.throws(() => interest.remove('a/+', 2), RangeError);
  t.throws(() => interest.remove('b', 0), RangeError);
});

t.test('changes within a turn are one version', async (t) => {
  const interest = interestOf();
  t.equal(interest.version, 0);
  interest.add('a', 0);
  interest.add('b', 1);
  interest.add('c', 1);
  interest.remove('c', 1);
  t.equal(interest.versionOf('b'), 1, 'the next one');
  t.equal(interest.flush(), true);
  t.equal(interest.flush(), false);
  t.equal(interest.version, 1);
  interest.add('a', 0);
  t.equal(interest.versionOf('a'), 1, 'others know of it already');
  t.equal(interest.flush(), false);
  interest.add('a', 1);
  t.equal(interest.versionOf('a'), 2);
});

t.test('versions go on beyond those of an earlier life that are in use still', async (t) => {
  const interest = new LocalInterest({ life: 1, importFilters: ['#'], exportFilters: ['#'] });
  interest.add('a', 1);
  interest.flush();
  interest.beginBeyond(7);
  t.equal(interest.changesSince(6), undefined, 'nobody was told of those');
  interest.add('b', 1);
  interest.flush();
  t.equal(interest.version, 8);
  t.same([...(interest.changesSince(7) ?? [])], [['b', 1]]);
  interest.beginBeyond(3);
  t.equal(interest.version, 8);
});

t.test('changes are remembered while they are fewer than what is announced', async (t) => {
  const interest = interestOf(['a']);
  for (let n = 0; n < 1_500; n++) {
    interest.add(`b/${n}`, 0);
    interest.flush();
    interest.remove(`b/${n}`, 0);
    interest.flush();
  }
  t.equal(interest.changesSince(1), undefined);
  t.equal(interest.changesSince(interest.version + 1), undefined);
  t.equal(interest.changesSince(interest.version)?.size, 0);
  t.equal(interest.changesSince(interest.version - 1)?.size, 1);
  t.same(interest.changesSince(interest.version - 2)?.get('b/1499'), undefined);
});

t.test('a small set is sent whole, a small change of a large one alone', async (t) => {
  const interest = interestOf(['a']);
  const { sender, frames, events } = senderOf(interest);
  sender.changed();
  t.equal(frames.length, 0, 'there is no link');
  sender.start(undefined);
  sender.answered(answer(1));
  interest.add('b', 2);
  interest.flush();
  sender.changed();
  t.same(
    frames.map(({ base, version, since, filters }) => ({ base, version, since, count: filters.length })),
    [
      { base: undefined, version: 1, since: 9, count: 1 },
      { base: undefined, version: 2, since: 9, count: 2 },
    ],
  );
  for (let n = 0; n < 2_000; n++) interest.add(`c/${n}`, 0);
  interest.flush();
  sender.changed();
  interest.remove('b', 2);
  interest.add('d', 1);
  interest.flush();
  sender.changed();
  const last = frames.at(-1);
  t.equal(last?.base, 3);
  t.same(last?.filters, [
    ['b', undefined],
    ['d', 1],
  ]);
  sender.answered(answer(4));
  t.same(events, ['1 from 100', '4 from 100']);
  t.equal(sender.acknowledgedVersion, 4);
});

t.test('after a reconnect only what changed meanwhile is sent, unless another life asks', async (t) => {
  const interest = interestOf(Array.from({ length: 100 }, (_, n) => `a/${n}`));
  interest.add('b', 0);
  interest.flush();
  const { sender, frames } = senderOf(interest);
  sender.start({ life: 1, version: 1 });
  sender.start({ life: 1, version: 2 });
  sender.start({ life: 2, version: 2 });
  sender.start({ life: 1, version: 99 });
  t.same(
    frames.map(({ base, filters }) => [base, filters.length]),
    [
      [1, 1],
      [2, 0],
      [undefined, 101],
      [undefined, 101],
    ],
  );
});

t.test('whoever lacks the base gets the whole set, once', async (t) => {
  const interest = interestOf(Array.from({ length: 100 }, (_, n) => `a/${n}`));
  const { sender, frames } = senderOf(interest);
  sender.start({ life: 1, version: 1 });
  sender.answered(answer(1, 'baseMissing'));
  t.equal(frames.at(-1)?.filters.length, 100);
  sender.answered(answer(1, 'baseMissing'));
  t.equal(frames.length, 2);
  t.throws(() => sender.answered(answer(2)), MalformedFrame);
  sender.stop();
  sender.answered(answer(1));
  t.equal(sender.acknowledgedVersion, -1);
});

t.test('what a peer refused is not sent again before it is less', async (t) => {
  const interest = interestOf(['a', 'b']);
  const { sender, frames, events } = senderOf(interest);
  sender.start(undefined);
  sender.answered(answer(1, 'tooManyFilters'));
  interest.add('c', 1);
  interest.flush();
  sender.changed();
  t.equal(frames.length, 1);
  interest.remove('c', 1);
  interest.remove('b', 1);
  interest.flush();
  sender.changed();
  t.equal(frames.length, 2);
  t.equal(frames[1]?.base, undefined);
  t.same(events, ['1 tooManyFilters']);
});

t.test('a large set comes in frames, as the link has room, and takes effect as a whole', async (t) => {
  const interest = interestOf(
    Array.from({ length: 20_000 }, (_, n) => `site/building/floor/room/device-${n}`),
  );
  const { sender, frames } = senderOf(interest, 1);
  const remote = new RemoteInterest();
  const answers: unknown[] = [];
  const receiver = new InterestReceiver(PEER, remote, {
    head: () => 55,
    send: (bytes) => answers.push(decodeInterest(bytes)),
    refused: () => undefined,
    applied: ({ grown }) => answers.push(grown.length),
  });
  sender.start(undefined);
  interest.add('late', 2);
  interest.flush();
  sender.changed();
  t.equal(frames.length, 1, 'the link is full');
  for (let last = 0; last < frames.length;) {
    const frame = frames[last++];
    if (frame !== undefined) receiver.updated(frame);
    if (frame?.version === 1 && !frame.last) t.equal(remote.filterCount, 0);
    sender.drained();
  }
  t.equal(frames.length, 4);
  t.equal(remote.filterCount, 20_001);
  t.equal(receiver.matcher('late'), 2);
  t.equal(receiver.matcher('other'), -1);
  t.same(answers, [
    20_000,
    { kind: 'answer', version: 1, verdict: 'applied', head: 55 },
    1,
    { kind: 'answer', version: 2, verdict: 'applied', head: 55 },
  ]);
});

t.test('what is too much is refused, and the version before stays', async (t) => {
  const remote = new RemoteInterest();
  const verdicts: string[] = [];
  const applied: AppliedInterest[] = [];
  const limits = { filtersMaxCount: 3, filtersMaxBytes: 20 };
  const receiver = new InterestReceiver(
    PEER,
    remote,
    {
      head: () => 1,
      send: (bytes) => {
        const frame = decodeInterest(bytes);
        if (frame.kind === 'answer') verdicts.push(frame.verdict);
      },
      refused: () => undefined,
      applied: (update) => applied.push(update),
    },
    limits,
  );
  const tell = (
    base: number | undefined,
    version: number,
    filters: readonly (readonly [string, 0 | 1 | 2 | undefined])[],
  ) => {
    for (const bytes of encodeUpdate({ life: 1, base, version, since: 0 }, filters)) {
      const frame = decodeInterest(bytes);
      if (frame.kind === 'update') receiver.updated(frame);
    }
  };
  tell(undefined, 1, [
    ['a', 1],
    ['b', 1],
    ['c', 1],
  ]);
  tell(undefined, 2, [
    ['a', 1],
    ['b', 1],
    ['c', 1],
    ['d', 1],
  ]);
  tell(1, 2, [['d', 1]]);
  tell(1, 2, [
    ['c', undefined],
    ['x'.repeat(30), 1],
  ]);
  tell(undefined, 2, [['x'.repeat(30), 1]]);
  tell(7, 8, [['d', 1]]);
  t.same(remote.filtersOf(PEER), ['a', 'b', 'c']);
  tell(1, 3, [
    ['a', 2],
    ['c', undefined],
    ['d', 0],
    ['e', undefined],
  ]);
  t.same(remote.filtersOf(PEER), ['a', 'b', 'd']);
  t.same(verdicts, [
    'applied',
    'tooManyFilters',
    'tooManyFilters',
    'tooManyBytes',
    'tooManyBytes',
    'baseMissing',
    'applied',
  ]);
  t.same(applied.at(-1)?.grown, [
    ['a', 2],
    ['d', 0],
  ]);
  t.same(receiver.image, { life: 1, version: 3 });
  tell(undefined, 4, [['b', 0]]);
  t.same(remote.filtersOf(PEER), ['b']);
  t.equal(remote.bytesOf(PEER), 1);
  receiver.forget();
  t.equal(receiver.image, undefined);
  t.equal(remote.filterCount, 0);
});

t.test('parts of an update that do not belong together are malformed', async (t) => {
  const receiver = new InterestReceiver(PEER, new RemoteInterest(), {
    head: () => 1,
    send: () => undefined,
    refused: () => undefined,
    applied: () => undefined,
  });
  const part: UpdateFrame = {
    kind: 'update',
    life: 1,
    base: undefined,
    version: 1,
    since: 0,
    first: true,
    last: false,
    filters: [],
  };
  t.throws(() => receiver.updated({ ...part, first: false }), MalformedFrame);
  receiver.updated(part);
  t.throws(() => receiver.updated(part), MalformedFrame);
  t.throws(() => receiver.updated({ ...part, first: false, version: 2 }), MalformedFrame);
  receiver.unlinked();
  receiver.updated({ ...part, last: true });
});

t.test('frames that no peer sends are malformed', async (t) => {
  const [change] = encodeUpdate({ life: 1, base: 3, version: 3, since: 0 }, []);
  const bent = (at: number, byte: number): Uint8Array => {
    const copy = Uint8Array.from(change ?? []);
    copy[at] = byte;
    return copy;
  };
  t.throws(() => decodeInterest(bent(0, 9)), /no frame/);
  t.throws(() => decodeInterest(bent(1, 4)), /no part/);
  t.throws(() => decodeInterest(bent(8, 4)), /later version/);
  const filterOf = (filter: string, qos = 0): Uint8Array =>
    Uint8Array.from([...(change ?? []), qos, filter.length, ...Buffer.from(filter)]);
  t.throws(() => decodeInterest(filterOf('a#')), /invalid/);
  t.throws(() => decodeInterest(filterOf('$SYS/a')), /begins with/);
  t.throws(() => decodeInterest(filterOf('a', 4)), /no QoS/);
  const refusal = encodeAnswer({ version: 1, verdict: 'applied', head: 1 });
  refusal[2] = 9;
  t.throws(() => decodeInterest(refusal), /no answer/);
});
