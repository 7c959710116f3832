import t from 'tap';
import { MembershipWorld } from './world.js';

/** Each a gateway that ends and one that tells its load. */
const CHANGES = 3;

// On a machine that has other work, too.
t.setTimeout(300_000);

t.test('a thousand gateways with a few links each stay within what a gateway may send', async (t) => {
  const gateways = 1000;
  const seconds = 45;
  const world = new MembershipWorld({ seed: 1, gateways, links: 16 });
  world.startAll();
  world.acquaint();
  await world.advance(2000);
  const total = (): { messages: number; bytes: number } => {
    let [messages, bytes] = [0, 0];
    for (const { core } of world.hosts) {
      messages += (core?.sent.datagrams ?? 0) + (core?.sent.frames ?? 0);
      bytes += core?.sent.bytes ?? 0;
    }
    return { messages, bytes };
  };
  const before = total();
  for (let n = 0; n < CHANGES; n++) {
    world.kill(world.host(100 * n + 7));
    world.call(world.host(100 * n + 50), (core) => core.setLoad(0.5, ['busy']));
    await world.advance((seconds * 1000) / CHANGES);
  }
  const after = total();
  const messages = (after.messages - before.messages) / gateways / seconds;
  const kilobytes = (after.bytes - before.bytes) / gateways / seconds / 1000;
  t.comment(
    `1000 gateways: ${messages.toFixed(1)} messages, ${kilobytes.toFixed(2)} kB per gateway and second`,
  );
  t.ok(messages < 40, `${messages}`);
  t.ok(kilobytes < 20, `${kilobytes}`);
  t.same(world.falseDeaths, []);
  for (let n = 0; n < CHANGES; n++) t.ok(world.isGoneForAll(world.host(100 * n + 7)));
  t.equal(world.disagreement(), undefined);
});
