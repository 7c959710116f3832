/** Relays by themselves: three of them, A and X at the ends and R in the middle, and what hostile members may do to them. */
import fc from 'fast-check';
import t from 'tap';
import { type GatewayId, publicKeyOf, shortId } from '../../../../lib/contracts/gateway-id.js';
import {
  Channel,
  DATAGRAM_MAX_BYTES,
  type LinkHandlers,
  type PeerLink,
} from '../../../../mesh/link/peer-link.js';
import {
  RELAY_AFTER_MS,
  RELAY_AGAIN_MS,
  RELAY_MAX_QUEUED_BYTES,
  RELAYED_MAX_COUNT,
} from '../../../../mesh/node/limits.js';
import { Relay } from '../../../../mesh/node/relay.js';
import { ByteWriter, MalformedFrame } from '../../../../mesh/wire/bytes.js';
import { FakeLink, idOf } from './fake-link.js';

const OPEN = 1;
const ACCEPT = 2;
const DATA = 3;
const DATAGRAM = 4;
const CLOSE = 5;
const DELIVERED = 0x80;

class End {
  readonly links = new Map<GatewayId, FakeLink>();
  readonly up: PeerLink[] = [];
  readonly relay: Relay;
  readonly heard: string[] = [];
  now = 0;

  constructor(
    readonly id: GatewayId,
    isWilling = true,
  ) {
    this.relay = new Relay({
      ...{ self: id, isWilling, clock: { now: () => this.now }, random: () => 0 },
      direct: (other) => this.links.get(other),
      neighbours: () => [...this.links.keys()],
      isLinked: (other) => this.links.has(other) || this.up.some(({ peer }) => peer === other),
      linkUp: (link) => {
        this.up.push(link);
        link.handlers = this.#handlers(link);
      },
    });
  }

  #handlers(link: PeerLink): LinkHandlers {
    return {
      onFrame: (channel, frame) => this.heard.push(`frame ${channel} ${Buffer.from(frame).toString()}`),
      onDatagram: (bytes) => this.heard.push(`datagram ${Buffer.from(bytes).toString()}`),
      onDrain: () => this.heard.push('drain'),
      onClose: (reason) => {
        this.up.splice(this.up.indexOf(link), 1);
        this.heard.push(`close ${reason}`);
      },
    };
  }

  linked(...others: readonly GatewayId[]): this {
    for (const other of others) this.links.set(other, new FakeLink(other));
    return this;
  }

  linkTo(other: GatewayId): FakeLink {
    const link = this.links.get(other);
    if (link === undefined) throw new Error(`no link to ${other}`);
    return link;
  }

  heardNow(): string[] {
    return this.heard.splice(0);
  }
}

const [A, R, X, Y] = [idOf(1), idOf(2), idOf(3), idOf(4)];

function frameOf(
  kind: number,
  other: GatewayId,
  more: (writer: ByteWriter) => unknown = () => 0,
): Uint8Array {
  const writer = new ByteWriter(64).u8(kind).raw(publicKeyOf(other));
  more(writer);
  return writer.finish();
}

interface Three {
  readonly a: End;
  readonly r: End;
  readonly x: End;
  /** Carries everything that was sent. */
  settle(): void;
}

function three(isWilling = true): Three {
  const a = new End(A).linked(R);
  const r = new End(R, isWilling).linked(A, X);
  const x = new End(X).linked(R);
  const ends = [a, r, x];
  const settle = (): void => {
    for (let moved = true; moved;) {
      moved = false;
      for (const from of ends)
        for (const link of from.links.values())
          for (const frame of link.take(Channel.relay)) {
            moved = true;
            ends.find(({ id }) => id === link.peer)?.relay.onFrame(from.id, frame);
          }
    }
  };
  return { a, r, x, settle };
}

/** A and X have a link through R. */
function joined(): Three & { readonly atA: PeerLink; readonly atX: PeerLink } {
  const all = three();
  const { a, x, settle } = all;
  a.relay.tick([A, R, X]);
  a.now = RELAY_AFTER_MS;
  a.relay.tick([A, R, X]);
  settle();
  const [atA, atX] = [a.up[0], x.up[0]];
  if (atA === undefined || atX === undefined) throw new Error('no relayed link');
  return { ...all, atA, atX };
}

t.test(
  'after a while without a link the smaller id asks a neighbour for a way, and both have a link',
  (t) => {
    const { a, x, settle, atA, atX } = joined();
    t.match(atA, { peer: X, path: 'relayed', remoteAddress: `gateway ${shortId(R)}` });
    t.match(atX, { peer: A, path: 'relayed' });
    t.equal(a.relay.failureOf(X), undefined);
    x.now = RELAY_AFTER_MS * 2;
    x.relay.tick([A]);
    t.same(x.linkTo(R).sent, [], 'the greater one never asks, and both are linked');
    t.ok(atA.send(Channel.forward, Buffer.from('to x')));
    t.ok(atX.send(Channel.hello, Buffer.from('to a')));
    atA.sendDatagram(Buffer.from('ping'));
    settle();
    t.same(x.heardNow(), [`frame ${Channel.forward} to x`, 'datagram ping']);
    t.same(a.heardNow(), [`frame ${Channel.hello} to a`]);
    t.end();
  },
);

t.test('the one in the middle counts what it passes on and keeps nothing', (t) => {
  const { r, settle, atA } = joined();
  const before = r.relay.passed;
  for (let n = 0; n < 5; n++) atA.send(Channel.forward, Buffer.from('x'));
  settle();
  t.equal(r.relay.passed, before + 5);
  t.end();
});

t.test('who has no neighbour, or none that reaches the other, says so and asks again', (t) => {
  const alone = new End(A);
  alone.relay.tick([X]);
  t.equal(alone.relay.failureOf(X), undefined, 'nothing was tried yet');
  alone.now = RELAY_AFTER_MS;
  alone.relay.tick([X]);
  t.match(alone.relay.failureOf(X), /no other gateway is reachable/);

  const { a, settle } = three(false);
  a.relay.tick([X]);
  a.now = RELAY_AFTER_MS;
  a.relay.tick([X]);
  settle();
  t.match(a.relay.failureOf(X), /the gateway in the middle does not reach it/);
  a.relay.tick([X]);
  t.same(a.linkTo(R).sent, [], 'not at once again');
  a.linked(Y);
  a.now += RELAY_AGAIN_MS;
  a.relay.tick([X]);
  t.equal(a.linkTo(Y).sent.length, 1, 'the next neighbour in turn');
  a.relay.tick([]);
  t.equal(a.relay.failureOf(X), undefined, 'who is no member any more is forgotten');
  t.end();
});

t.test('either end may close, and the other hears why', (t) => {
  for (const side of ['atA', 'atX'] as const) {
    const all = joined();
    const { a, x, settle } = all;
    all[side].close('enough');
    all[side].close('twice');
    t.ok(all[side].send(Channel.forward, Buffer.from('late')), 'nothing happens on a closed link');
    all[side].sendDatagram(Buffer.from('late'));
    settle();
    t.same([a.heardNow(), x.heardNow()].sort(), [['close enough'], ['close relay: enough']]);
    t.same([a.up, x.up], [[], []]);
  }
  t.end();
});

t.test('the end of the link to the one in the middle ends what went through it', (t) => {
  const { a, atA } = joined();
  a.relay.lost(Y);
  t.same(a.heardNow(), []);
  a.links.delete(R);
  t.ok(atA.send(Channel.forward, Buffer.from('lost')));
  atA.sendDatagram(Buffer.from('lost'));
  t.equal(atA.queuedBytes, 0);
  a.relay.lost(R);
  t.same(a.heardNow(), ['close relay: the gateway in the middle is gone']);
  t.end();
});

t.test('a relayed link is as full as the link that it goes through', (t) => {
  const { a, atA } = joined();
  a.linkTo(R).queuedBytes = 77;
  a.linkTo(R).isWritable = false;
  t.equal(atA.queuedBytes, 77);
  t.notOk(atA.send(Channel.forward, Buffer.from('x')));
  a.relay.drained(Y);
  t.same(a.heardNow(), []);
  a.relay.drained(R);
  t.same(a.heardNow(), ['drain']);
  a.linkTo(R).take(Channel.relay);
  a.linkTo(R).queuedBytes = RELAY_MAX_QUEUED_BYTES + 1;
  atA.sendDatagram(Buffer.from('dropped'));
  t.same(a.linkTo(R).sent, []);
  t.end();
});

t.test(
  'where too much waits in the middle, frames end the link on both sides and datagrams are dropped',
  (t) => {
    const { a, r, x, settle, atA } = joined();
    r.linkTo(X).queuedBytes = RELAY_MAX_QUEUED_BYTES + 1;
    atA.sendDatagram(Buffer.from('dropped'));
    settle();
    t.same([a.heardNow(), x.heardNow()], [[], []]);
    atA.send(Channel.forward, Buffer.from('too much'));
    settle();
    const closed = ['close relay: too much waits at the gateway in the middle'];
    t.same([a.heardNow(), x.heardNow()], [closed, closed]);
    t.end();
  },
);

t.test('an end that begins anew replaces the link of the other one', (t) => {
  const { a, r, x, settle, atA } = joined();
  r.relay.onFrame(A, frameOf(OPEN, X));
  x.relay.onFrame(R, r.linkTo(X).take(Channel.relay)[0] as Uint8Array);
  t.same(x.heardNow(), ['close relay: the other side began anew']);
  t.equal(x.up.length, 1);
  settle();
  t.same(a.up, [atA], 'an accept for a link that there is, by the same way, is no news');
  t.end();
});

t.test('who has a link, or too many relayed ones, does not take another', (t) => {
  const x = new End(X).linked(R, A);
  x.relay.onFrame(R, frameOf(OPEN | DELIVERED, A));
  t.equal(x.up.length, 0);
  t.equal(x.linkTo(R).take(Channel.relay)[0]?.[0], CLOSE);
  for (let n = 0; n <= RELAYED_MAX_COUNT; n++) {
    const stranger = `${n.toString(16).padStart(4, '0')}`.repeat(16) as GatewayId;
    x.relay.onFrame(R, frameOf(OPEN | DELIVERED, stranger));
  }
  t.equal(x.up.length, RELAYED_MAX_COUNT);
  t.end();
});

t.test('what does not belong to a link that there is changes nothing', (t) => {
  const a = new End(A).linked(R, Y);
  a.relay.onFrame(
    R,
    frameOf(DATA | DELIVERED, X, (to) => to.u8(3)),
  );
  a.relay.onFrame(R, frameOf(DATAGRAM | DELIVERED, X));
  a.relay.onFrame(
    R,
    frameOf(CLOSE | DELIVERED, X, (to) => to.text('why')),
  );
  a.relay.onFrame(R, frameOf(ACCEPT | DELIVERED, X));
  t.same(a.up, []);
  t.equal(a.linkTo(R).take(Channel.relay)[0]?.[0], CLOSE, 'an accept that nobody asked for is taken back');

  const { a: joinedA, atA } = joined();
  joinedA.linked(Y);
  joinedA.relay.onFrame(
    Y,
    frameOf(DATA | DELIVERED, X, (to) => to.u8(3)),
  );
  joinedA.relay.onFrame(
    Y,
    frameOf(CLOSE | DELIVERED, X, (to) => to.text('not yours')),
  );
  joinedA.relay.onFrame(
    R,
    frameOf(DATAGRAM | DELIVERED, X, (to) => to.raw(new Uint8Array(DATAGRAM_MAX_BYTES + 1))),
  );
  t.same(joinedA.heardNow(), []);
  t.same(joinedA.up, [atA]);
  t.end();
});

t.test('who asks for nonsense is to blame, and not the one that passes it on', (t) => {
  const cases = [
    frameOf(0, X),
    frameOf(9, X),
    frameOf(DATA, X),
    frameOf(CLOSE, X),
    frameOf(CLOSE, X, (to) => to.text('y'.repeat(201))),
    Uint8Array.of(OPEN),
    new Uint8Array(0),
  ];
  for (const frame of cases) {
    const r = new End(R).linked(A, X);
    t.throws(() => r.relay.onFrame(A, frame), MalformedFrame);
    t.same(r.linkTo(X).sent, []);
  }
  t.throws(() => new End(A).linked(R).relay.onFrame(R, frameOf(9 | DELIVERED, X)), /relayed 9/);
  t.end();
});

t.test('whatever a member asks to be relayed, the other end can read what it gets', (t) => {
  const asked = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc
      .tuple(fc.integer({ min: 0, max: 127 }), fc.uint8Array({ maxLength: 20 }))
      .map(([kind, rest]) => frameOf(kind, X, (to) => to.raw(rest))),
  );
  fc.assert(
    fc.property(asked, (frame) => {
      const { r, x } = joined();
      r.linkTo(X).take(Channel.relay);
      try {
        r.relay.onFrame(A, frame);
      } catch (error) {
        if (!(error instanceof MalformedFrame)) throw error;
      }
      for (const passed of r.linkTo(X).take(Channel.relay)) x.relay.onFrame(R, passed);
    }),
    { numRuns: 500 },
  );
  t.end();
});

t.test('what is for a gateway that is not there is answered, but for a goodbye', (t) => {
  const r = new End(R).linked(A);
  r.relay.onFrame(
    A,
    frameOf(CLOSE, X, (to) => to.text('bye')),
  );
  t.same(r.linkTo(A).sent, []);
  r.relay.onFrame(
    A,
    frameOf(DATA, X, (to) => to.u8(3)),
  );
  t.equal(r.linkTo(A).take(Channel.relay)[0]?.[0], CLOSE | DELIVERED);
  r.links.delete(A);
  r.relay.onFrame(
    A,
    frameOf(DATA, X, (to) => to.u8(3)),
  );
  t.same(r.links.size, 0, 'and where the asker is gone, nobody is');
  t.end();
});
