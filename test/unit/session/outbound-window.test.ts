import fc from 'fast-check';
import t from 'tap';
import { OutboundWindow, SlotState } from '../../../lib/session/outbound-window.js';
import { Message, NEVER } from '../../../lib/message/message.js';
import { message } from '../delivery/lane-world.js';
import { str } from '../../support/protocol-bytes.js';

t.test('a window that has sent nothing knows no id', async (t) => {
  const window = new OutboundWindow();
  t.equal(window.used, 0);
  t.equal(window.stateOf(1), SlotState.free);
  t.same(window.idsInOrder(), []);
  window.detachMessages();
});

t.test('an id keeps its message until PUBREC, and itself until it is freed', async (t) => {
  const window = new OutboundWindow();
  const one = message({ qos: 2 });
  const id = window.allocate(one, 6, [3], 100);
  t.equal(id, 1);
  t.equal(window.stateOf(id), SlotState.publish);
  t.equal(window.messageOf(id), one);
  t.equal(window.flagsOf(id), 6);
  t.same(window.identifiersOf(id), [3]);
  t.equal(window.attemptsOf(id), 1);
  t.equal(window.sentAtOf(id), 100);
  window.retried(id, 150);
  t.equal(window.attemptsOf(id), 2);
  t.equal(window.sentAtOf(id), 150);
  window.toPubrel(id, 200);
  t.equal(window.stateOf(id), SlotState.pubrel);
  t.equal(window.messageOf(id), undefined);
  t.equal(window.identifiersOf(id), undefined);
  t.equal(window.sentAtOf(id), 200);
  t.equal(window.used, 1);
  window.free(id);
  t.equal(window.used, 0);
  t.equal(window.stateOf(id), SlotState.free);
});

t.test('tries are counted up to 255', async (t) => {
  const window = new OutboundWindow();
  const id = window.allocate(message(), 1, undefined, 0);
  for (let i = 0; i < 300; i++) window.retried(id, i);
  t.equal(window.attemptsOf(id), 255);
});

t.test('ids wrap around at 65535 and pass over 0 and those in use', async (t) => {
  const window = new OutboundWindow();
  const stuck = window.allocate(message(), 1, undefined, 0);
  const ids: number[] = [];
  for (let i = 0; i < 65_536; i++) {
    const id = window.allocate(message(), 1, undefined, 0);
    ids.push(id);
    window.free(id);
  }
  t.notOk(ids.includes(0));
  t.notOk(ids.includes(stuck));
  const wrapped = ids.findIndex((id, index) => id < (ids[index - 1] ?? 0));
  t.same(ids.slice(wrapped - 1, wrapped + 1), [65_535, 2]);
});

t.test('all 65535 ids can be in use', async (t) => {
  const window = new OutboundWindow();
  const ids = new Set<number>();
  for (let i = 0; i < 65_535; i++) ids.add(window.allocate(message(), 1, undefined, 0));
  t.equal(ids.size, 65_535);
  t.notOk(ids.has(0));
  t.equal(window.used, 65_535);
});

t.test('messages in flight let go of the buffers that they came in', async (t) => {
  const window = new OutboundWindow();
  const read = Buffer.alloc(65_536);
  const held = new Message('t', str('t'), read, 0, 10, new Uint8Array(0), 1, false, NEVER, 'c');
  window.allocate(held, 1, undefined, 0);
  window.detachMessages();
  t.ok(held.bytes.length <= 10);
});

t.test('any course of a window keeps ids apart and in their order', async () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.constant({ kind: 'send' as const, pick: 0 }) },
    { weight: 2, arbitrary: fc.nat(1000).map((pick) => ({ kind: 'free' as const, pick })) },
    { weight: 1, arbitrary: fc.nat(1000).map((pick) => ({ kind: 'pubrel' as const, pick })) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300, size: 'max' }), (steps) => {
      const window = new OutboundWindow();
      const model: { id: number; flags: number; pubrel: boolean }[] = [];
      let sent = 0;
      for (const { kind, pick } of steps) {
        const index = model.length === 0 ? -1 : pick % model.length;
        const entry = model[index];
        if (kind === 'send') {
          const flags = 1 + (sent++ % 2);
          const id = window.allocate(message({ payload: `${sent}` }), flags, undefined, sent);
          if (model.some((other) => other.id === id)) throw new Error(`${id} is used twice`);
          model.push({ id, flags, pubrel: false });
        } else if (entry !== undefined && kind === 'free') {
          window.free(entry.id);
          model.splice(index, 1);
        } else if (entry !== undefined) {
          window.toPubrel(entry.id, 0);
          entry.pubrel = true;
        }
      }
      if (window.idsInOrder().join() !== model.map(({ id }) => id).join()) throw new Error('order');
      for (const { id, flags, pubrel } of model) {
        const state = pubrel ? SlotState.pubrel : SlotState.publish;
        if (window.stateOf(id) !== state || window.flagsOf(id) !== flags) throw new Error(`slot of ${id}`);
        if ((window.messageOf(id) === undefined) !== pubrel) throw new Error(`message of ${id}`);
      }
    }),
  );
});

t.test('an id that was given up is passed over until its client has settled it', async (t) => {
  const window = new OutboundWindow();
  const id = window.allocate(message({ qos: 2 }), 2, undefined, 0);
  window.burn(id);
  t.equal(window.used, 0);
  const seen = new Set<number>();
  for (let count = 0; count < 65535; count++) {
    const next = window.allocate(message({ qos: 1 }), 1, undefined, 0);
    seen.add(next);
    window.free(next);
  }
  t.notOk(seen.has(id));
  window.settle(id);
  for (let count = 0; count < 65535; count++) {
    const next = window.allocate(message({ qos: 1 }), 1, undefined, 0);
    seen.add(next);
    window.free(next);
  }
  t.ok(seen.has(id));
});

t.test('there is an id for a message even where all that have a place were given up', async (t) => {
  const window = new OutboundWindow();
  // One of eight slots is left: that of the ids that eight divides.
  for (let count = 0; count < 7; count++) window.allocate(message({ qos: 2 }), 2, undefined, 0);
  const given = new Set<number>();
  for (let count = 0; count < 8191; count++) {
    const id = window.allocate(message({ qos: 2 }), 2, undefined, 0);
    given.add(id);
    window.burn(id);
  }
  t.equal(given.size, 8191, 'each once');
  t.ok(given.has(window.allocate(message({ qos: 2 }), 2, undefined, 0)));
  t.equal(window.used, 8);
});
