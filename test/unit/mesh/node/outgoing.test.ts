/** Which gateways get what is published here, and by which lane. */
import t from 'tap';
import type { GatewayId } from '../../../../lib/contracts/gateway-id.js';
import type { Run } from '../../../../lib/delivery/fan-out.js';
import type { Message } from '../../../../lib/message/message.js';
import { LocalInterest, RemoteInterest } from '../../../../mesh/interest/index.js';
import { EndOfTurn } from '../../../../mesh/node/end-of-turn.js';
import { Outgoing } from '../../../../mesh/node/outgoing.js';
import type { Peers } from '../../../../mesh/node/peers.js';
import { RUN_MAX_BYTES } from '../../../../mesh/node/runs.js';
import { messageAt } from '../forward/fixture.js';
import { idOf } from './fake-link.js';

const [A, B, UNKNOWN] = [idOf(1), idOf(2), idOf(3)];

class World {
  readonly said: string[] = [];
  turns = 0;
  readonly outgoing: Outgoing;

  constructor() {
    const peers = new Map([A, B].map((id, n) => [id, this.#peer(id, 'ab'.charAt(n))]));
    const all = {
      get: (id: GatewayId) => peers.get(id),
      count: peers.size,
      [Symbol.iterator]: () => peers.values(),
    };
    const local = new LocalInterest({ life: 0, importFilters: ['#'], exportFilters: ['site/#'] });
    const parts = { local, remote: new RemoteInterest(() => undefined) };
    const turn = new EndOfTurn(
      () => this.turns++,
      () => undefined,
    );
    this.outgoing = new Outgoing(parts, all as unknown as Peers, turn);
  }

  #peer(gateway: GatewayId, name: string): object {
    const say = (text: string): void => void this.said.push(`${name} ${text}`);
    return {
      gateway,
      requestRound: () => say('compares'),
      sender: {
        committed: ({ topic }: Message, qos?: number) =>
          say(`is sent ${topic}${qos === undefined ? '' : ` ${qos}`}`),
        notWanted: ({ topic }: Message) => say(`does not want ${topic}`),
      },
      passing: {
        send: ({ topic }: Message) => say(`is passed ${topic}`),
        sendRun: (_v5: boolean, _publisher: string, _bytes: Uint8Array, count: number) =>
          say(`is passed ${count}`),
      },
    };
  }

  forward(message: Message, ...to: readonly GatewayId[]): readonly string[] {
    this.outgoing.forward(
      message,
      to.map((gateway) => ({ gateway, qos: 1 })),
    );
    return this.said.splice(0);
  }
}

t.test('what is stored is sent to those who want it, and the others may come to want it', (t) => {
  const world = new World();
  t.same(world.forward(messageAt(5, 'site/x'), A), ['b does not want site/x', 'a is sent site/x 1']);
  t.same(world.forward(messageAt(6, 'site/x'), A, B), ['a is sent site/x 1', 'b is sent site/x 1']);
  t.same(
    world.forward(messageAt(7, 'site/x'), A, B, UNKNOWN),
    ['a is sent site/x 1', 'b is sent site/x 1'],
    'who is gone is passed over',
  );
  t.equal(world.turns, 1);
  t.end();
});

t.test('what is in no log, or has QoS 0, is passed to those who want it now', (t) => {
  const world = new World();
  t.same(world.forward(messageAt(5, 'site/x', { qos: 0 }), A), ['a is passed site/x']);
  t.same(world.forward(messageAt(0, 'site/x'), B), ['b is passed site/x']);
  t.end();
});

t.test('what is retained goes to all, whatever they want: by the log, or by a comparison alone', (t) => {
  const world = new World();
  const retained = { retain: true };
  t.same(world.forward(messageAt(5, 'site/x', retained), A), ['a is sent site/x', 'b is sent site/x']);
  t.same(world.forward(messageAt(0, 'site/x', retained), A), ['a compares', 'b compares']);
  t.end();
});

t.test('what is not exported stays here', (t) => {
  const world = new World();
  for (const topic of ['other/x', '$SYS/x']) {
    t.same(world.forward(messageAt(5, topic, { retain: true }), A), []);
    t.same(world.outgoing.targets(topic), []);
  }
  t.equal(world.turns, 0);
  t.end();
});

t.test('a run goes whole, but for one that is larger than a frame', (t) => {
  const world = new World();
  const runOf = (bytes: number): Run =>
    ({
      ...{ bytes: new Uint8Array(bytes), v5: true, publisher: 'p', count: 2 },
      messages: () => [messageAt(0, 'site/x'), messageAt(0, 'site/y')],
    }) as unknown as Run;
  const to = [A, UNKNOWN].map((gateway) => ({ gateway, qos: 0 as const }));
  world.outgoing.forwardRun(runOf(RUN_MAX_BYTES), to);
  t.same(world.said.splice(0), ['a is passed 2']);
  world.outgoing.forwardRun(runOf(RUN_MAX_BYTES + 1), to);
  t.same(world.said, ['a is passed site/x', 'a is passed site/y']);
  t.end();
});
