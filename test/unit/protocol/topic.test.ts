import t from 'tap';
import {
  isShared,
  isValidSubscription,
  isValidTopicFilter,
  isValidTopicName,
  levelsBeforeWildcard,
  parseSharedFilter,
  topicLevels,
  topicMatchesFilter,
} from '../../../lib/protocol/index.js';
import { refusalOf } from '../../support/protocol-bytes.js';

t.test('a topic name is any non-empty text without wildcards and U+0000', async (t) => {
  for (const topic of ['a', '/', '//', 'a b', '$SYS/x', 'constructor', '__proto__', 'é/😀', '$share/g/a']) {
    t.ok(isValidTopicName(topic), topic);
  }
  t.notOk(isValidTopicName(''), 'empty [MQTT-4.7.3-1]');
  t.notOk(isValidTopicName('a\0'), 'U+0000 [MQTT-4.7.3-2]');
  for (const topic of ['+', '#', 'a/+', 'a#', 'a/#/b', 'a+b']) t.notOk(isValidTopicName(topic), topic);
});

t.test('names and filters have at most 65535 bytes in UTF-8 [MQTT-4.7.3-3]', async (t) => {
  for (const isValid of [isValidTopicName, isValidTopicFilter]) {
    t.ok(isValid('a'.repeat(65_535)));
    t.notOk(isValid('a'.repeat(65_536)));
    t.ok(isValid('€'.repeat(21_845)));
    t.notOk(isValid(`${'€'.repeat(21_845)}a`));
  }
});

t.test(
  'wildcards of a filter are whole levels, and # is the last [MQTT-4.7.1-1, MQTT-4.7.1-2]',
  async (t) => {
    for (const filter of [
      '+',
      '#',
      '/',
      '/#',
      '+/+',
      'a/+/b',
      'a/#',
      '+/a/#',
      '/+',
      '+/',
      '$SYS/#',
      'a//+',
    ]) {
      t.ok(isValidTopicFilter(filter), filter);
    }
    for (const filter of [
      '',
      'a+',
      '+a',
      'a#',
      '#a',
      'a/+b',
      'a/b+/c',
      '#/',
      '#/a',
      '##',
      '++',
      'a/#/b',
      '+#',
      'a\0',
    ]) {
      t.notOk(isValidTopicFilter(filter), JSON.stringify(filter));
    }
  },
);

t.test('a shared filter has a group and a filter [MQTT-4.8.2-1, MQTT-4.8.2-2]', async (t) => {
  t.same(parseSharedFilter('$share/g/a/+/#'), { group: 'g', filter: 'a/+/#' });
  t.same(
    parseSharedFilter('$share/g//'),
    { group: 'g', filter: '/' },
    'a filter may start with an empty level',
  );
  t.same(parseSharedFilter('$share/__proto__/$SYS/#'), { group: '__proto__', filter: '$SYS/#' });
  for (const filter of ['$share', '$shared/g/a', 'a/$share/g', '$SHARE/g/a', '#']) {
    t.equal(parseSharedFilter(filter), undefined, `${filter} is an ordinary filter`);
    t.notOk(isShared(filter));
    t.ok(isValidSubscription(filter), filter);
  }
  for (const filter of [
    '$share/',
    '$share/g',
    '$share/g/',
    '$share//a',
    '$share/+/a',
    '$share/#',
    '$share/g+/a',
  ]) {
    t.equal(
      refusalOf(() => parseSharedFilter(filter)),
      0x8f,
      filter,
    );
    t.ok(isShared(filter));
    t.notOk(isValidSubscription(filter), filter);
  }
  t.equal(
    refusalOf(() => parseSharedFilter('$share/g/a#')),
    0x8f,
    'the filter behind the group is checked too',
  );
  t.notOk(isValidSubscription('a#'));
  t.ok(isValidSubscription('$share/g/a'));
});

const MATCHES: readonly [topic: string, filter: string, matches: boolean][] = [
  ['a/b', 'a/b', true],
  ['a/b', 'a/B', false],
  ['a/b', 'a', false],
  ['a', 'a/b', false],
  ['a/b', 'a/+', true],
  ['a/b', '+/b', true],
  ['a/b/c', 'a/+', false],
  ['a', 'a/+', false],
  ['a/', 'a/+', true],
  ['/a', '+/a', true],
  ['/a', '+', false],
  ['/', '+/+', true],
  ['a', '#', true],
  ['/', '#', true],
  ['a', 'a/#', true],
  ['a/b/c', 'a/#', true],
  ['ab', 'a/#', false],
  ['a/b', 'a/b/#', true],
  ['a', 'a/+/#', false],
  ['a/b', 'a/+/#', true],
  ['$SYS/x', '#', false],
  ['$SYS/x', '+/x', false],
  ['$SYS', '+', false],
  ['$SYS/x', '$SYS/#', true],
  ['$SYS/x', '$SYS/+', true],
  ['a/$SYS', 'a/+', true],
  ['a/$SYS', '#', true],
];
for (const [topic, filter, matches] of MATCHES) {
  t.test(
    `${topic} ${matches ? 'matches' : 'does not match'} ${filter} [MQTT-4.7.2-1, section 4.7.1]`,
    async (t) => {
      t.equal(topicMatchesFilter(topic, filter), matches);
    },
  );
}

t.test('levels are counted with the empty ones', async (t) => {
  t.equal(topicLevels('a'), 1);
  t.equal(topicLevels('a/b'), 2);
  t.equal(topicLevels('/'), 2);
  t.equal(topicLevels('//a'), 3);
});

t.test('the levels before a wildcard are counted, empty ones too', async (t) => {
  for (const [filter, levels] of [
    ['#', 0],
    ['+', 0],
    ['+/a/#', 0],
    ['/#', 1],
    ['/+', 1],
    ['a/#', 1],
    ['$SYS/#', 1],
    ['a/b/+/c/#', 2],
    ['a//#', 2],
    ['a/b', Infinity],
    ['/', Infinity],
  ] as const)
    t.equal(levelsBeforeWildcard(filter), levels, filter);
});
