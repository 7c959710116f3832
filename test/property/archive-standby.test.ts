/**
 * A gateway that appends, starts again, is put back to old copies of its data and archives; one that keeps copies for it over links that break, and is
 * killed. At any time what is kept is what the one had in its log, position by position: never less is claimed to be there than is, and never more.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { unpackRows } from '../../bridge/archive/row-columns.js';
import { decodeCopyFrame, encodeOffer } from '../../bridge/archive/standby/copy-frames.js';
import { CopySender } from '../../bridge/archive/standby/copy-sender.js';
import { Keeper } from '../../bridge/archive/standby/keeper.js';
import { KeptRows } from '../../bridge/archive/standby/kept-rows.js';
import type { Lineage } from '../../lib/contracts/epoch.js';
import { gatewayIdOf } from '../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import { ArchivingOrigin, type Truth } from '../support/archiving-origin.js';
import { KeptStore } from '../support/kept-store.js';
import { nullLogger } from '../support/null-logger.js';

const ORIGIN = gatewayIdOf(new Uint8Array(32).fill(1));

/** @returns what was there, in the path of lives */
function truthAt(origin: ArchivingOrigin, lineage: Lineage, position: LogPosition): Truth {
  const life = lineage.findLast(({ after }) => after < position);
  return origin.truth.get(`${life?.nonce}:${position}`);
}

class World {
  readonly origin = new ArchivingOrigin();
  readonly store = new KeptStore();
  keeper = this.#keeper();
  #sender: CopySender | undefined;
  #toStandby: Uint8Array[] = [];
  #toOrigin: Uint8Array[] = [];
  #now = 0;

  #keeper(): Keeper {
    return new Keeper(
      ORIGIN,
      {
        ...{ store: this.store, logger: nullLogger },
        send: (frame) => this.#toOrigin.push(frame),
        whenCommitted: (done, position) => this.store.whenCommitted(done, position),
      },
      { maxBytes: 1e9, chunkMaxBytes: 1e6 },
    );
  }

  linkUp(): void {
    this.linkDown();
    const { origin } = this;
    this.#sender = new CopySender(
      {
        now: () => this.#now,
        send: (frame) => this.#toStandby.push(frame),
        head: () => origin.committed,
        read: (after) => origin.read(after),
      },
      { bytesPerSecond: 0 },
    );
    this.keeper.linkUp();
    this.#toStandby.push(encodeOffer(origin.offer));
  }

  linkDown(): void {
    this.#sender?.halt();
    this.#sender = undefined;
    this.#toStandby = [];
    this.#toOrigin = [];
    this.keeper.linkDown();
  }

  restart(): void {
    this.linkDown();
    this.origin.start();
  }

  putBack(share: number): void {
    this.linkDown();
    this.origin.putBack(Math.floor(this.origin.committed * share));
  }

  archive(share: number): void {
    const { origin } = this;
    origin.done += Math.floor((origin.committed - origin.done) * share);
    if (this.#sender !== undefined) this.#toStandby.push(encodeOffer(origin.offer));
  }

  async kill(): Promise<void> {
    this.linkDown();
    this.store.crash();
    this.keeper = this.#keeper();
    await this.keeper.open();
  }

  async deliver(count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      const [frame] = this.#toStandby.splice(0, 1);
      const told = frame && decodeCopyFrame(frame);
      if (told !== undefined) assert.equal(this.keeper.frame(told), undefined);
      const [answer] = this.#toOrigin.splice(0, 1);
      const asked = answer && decodeCopyFrame(answer);
      if (asked?.kind === 'want') this.#sender?.wanted(asked.after, asked.maxBytes);
      if (asked?.kind === 'ack') this.#sender?.acknowledged(asked.upTo);
      await settled();
    }
  }

  async tick(): Promise<void> {
    this.#now += 1000;
    this.#sender?.tick();
    this.keeper.tick();
    await settled();
  }

  get isAllKept(): boolean {
    return this.keeper.state?.upTo === this.origin.committed;
  }

  /** What is claimed is what was there. */
  async check(): Promise<void> {
    const { state, name } = this.keeper;
    if (state === undefined) return;
    const rows = new KeptRows({ log: this.store, through: async () => undefined }, name, state, false);
    const { lineage } = state.offer;
    const found = new Map<LogPosition, string>();
    for (let at = 0; at < state.upTo;) {
      const read = await rows.read({ upTo: state.upTo, atMs: 0 }, at);
      assert.deepEqual(read.lost, []);
      for (const { sequence, payload } of unpackRows(read.rows))
        found.set(sequence, Buffer.from(payload).toString());
      at = read.next - 1;
    }
    for (let position = 1; position <= state.upTo; position++) {
      const is: Truth = position <= state.after ? undefined : truthAt(this.origin, lineage, position);
      assert.equal(found.get(position), is, `position ${position}`);
    }
    await assert.rejects(rows.read({ upTo: state.upTo + 1, atMs: 0 }, state.upTo), /are not in the log/);
  }
}

async function settled(): Promise<void> {
  for (let n = 0; n < 8; n++) await Promise.resolve();
}

type Event = (world: World) => void | Promise<void>;

const events: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }).map(
      (messages): Event =>
        ({ origin }) =>
          messages.forEach((is) => origin.append(is)),
    ),
  },
  {
    weight: 10,
    arbitrary: fc.integer({ min: 1, max: 6 }).map(
      (n): Event =>
        (world) =>
          world.deliver(n),
    ),
  },
  { weight: 6, arbitrary: fc.constant<Event>(({ store }) => store.commit()) },
  { weight: 4, arbitrary: fc.constant<Event>((world) => world.tick()) },
  { weight: 3, arbitrary: fc.constant<Event>((world) => world.linkUp()) },
  { weight: 1, arbitrary: fc.constant<Event>((world) => world.linkDown()) },
  { weight: 2, arbitrary: fc.constant<Event>(({ store }) => store.checkpoint()) },
  { weight: 1, arbitrary: fc.constant<Event>(({ store }) => store.appendOther()) },
  { weight: 1, arbitrary: fc.constant<Event>((world) => world.restart()) },
  {
    weight: 1,
    arbitrary: fc.double({ min: 0, max: 1, noNaN: true }).map(
      (share): Event =>
        (world) =>
          world.putBack(share),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.double({ min: 0, max: 1, noNaN: true }).map(
      (share): Event =>
        (world) =>
          world.archive(share),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constant<Event>(async (world) => {
      await world.kill();
      await world.check();
    }),
  },
);

t.test('what is kept of an archive is what its origin had, whatever happens', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(events, { minLength: 10, maxLength: 120 }), async (steps) => {
      const world = new World();
      await world.keeper.open();
      for (const step of steps) await step(world);
      await world.check();
      // In the end all of it comes.
      world.origin.append(true);
      world.linkUp();
      for (let round = 0; round < 200 && !world.isAllKept; round++) {
        await world.deliver(2);
        world.store.commit();
        await world.tick();
      }
      assert.equal(world.keeper.state?.upTo, world.origin.committed);
      await world.check();
    }),
    { numRuns: 200 },
  );
});
