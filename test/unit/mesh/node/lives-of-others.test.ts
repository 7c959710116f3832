/** The lives of other gateways, as they are known and as they are written down. */
import t from 'tap';
import type { Lineage } from '../../../../lib/contracts/epoch.js';
import type { GatewayId } from '../../../../lib/contracts/gateway-id.js';
import { LivesOfOthers } from '../../../../mesh/node/lives-of-others.js';
import { idOf } from './fake-link.js';

const [A, B] = [idOf(1), idOf(2)];
const start = (counter: number, digit = 'a') => ({ counter, nonce: digit.repeat(16), after: 0 });

class World {
  readonly saved: Lineage[][] = [];
  readonly #waiting: { done: () => void; position: number | undefined }[] = [];
  readonly lives: LivesOfOthers;

  constructor(written: ReadonlyMap<GatewayId, Lineage> = new Map()) {
    const whenCommitted = (done: () => void, position?: number): void =>
      void this.#waiting.push({ done, position });
    this.lives = new LivesOfOthers({ whenCommitted }, written, (lineages) =>
      this.saved.push([...lineages.values()]),
    );
  }

  get positions(): unknown[] {
    return this.#waiting.map(({ position }) => position);
  }

  /** What waits for position `of` is committed. */
  commit(of = 0): void {
    this.#waiting.splice(of, 1)[0]?.done();
  }
}

t.test('what a gateway tells is known at once, and written when the log is so far', (t) => {
  const world = new World();
  const { lives } = world;
  lives.told(A, [start(1)], 7);
  t.same([lives.of(A), lives.lastOf(A)], [[start(1)], start(1)]);
  t.same([world.saved, world.positions], [[], [7]]);
  world.commit();
  t.same(world.saved, [[[start(1)]]]);
  lives.forget(A);
  t.equal(lives.of(A), undefined);
  world.commit();
  t.same(world.saved.at(-1), []);
  lives.forget(A);
  t.same(world.positions, [], 'there is nothing to forget');
  t.end();
});

t.test('lives of one gateway are not written before their record because another one has its own', (t) => {
  const world = new World(new Map([[A, [start(1)]]]));
  world.lives.told(A, [start(1), start(2)], 9);
  world.lives.told(B, [start(5)], 0);
  world.commit(1);
  t.same(world.saved, [[[start(1)], [start(5)]]]);
  world.commit();
  t.same(world.saved.at(-1), [[start(1), start(2)], [start(5)]]);
  t.same([...world.lives.gateways()], [A, B]);
  t.end();
});

t.test('of a life between those that a gateway remembers nothing is to come', (t) => {
  const { lives } = new World(new Map([[A, [start(1), start(3)]]]));
  t.equal(lives.mayCome(A, start(3)), true);
  t.equal(lives.mayCome(A, start(4)), true, 'it may have begun since');
  t.equal(lives.mayCome(A, start(3, 'b')), false, 'that is of another branch');
  t.equal(lives.mayCome(A, start(2)), false);
  t.equal(lives.mayCome(B, start(1)), true, 'of one that was never met all may');
  t.end();
});
