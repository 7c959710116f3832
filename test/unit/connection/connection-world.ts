/**
 * Connections over fake transports, with a door that waits for the test and an authenticator that answers when it is told to.
 */
import type { Connection } from '../../../lib/connection/connection.js';
import type { Refusal } from '../../../lib/connection/environment.js';
import type { AuthenticationResult, EnhancedStep } from '../../../lib/contracts/security.js';
import { decodePacket, type Packet } from '../../../lib/protocol/index.js';
import type { LaneLimits } from '../../../lib/broker/lanes.js';
import { connect, type ConnectFields } from '../../support/wire.js';
import { FakeTransport, LaneWorld, splitFrames } from '../delivery/lane-world.js';

export const METHOD = 'FAKE';

export class ConnectionWorld extends LaneWorld {
  /** What an embedder would hear, in order. */
  readonly events: string[] = [];
  /** What an embedder does when it hears of an error. */
  onError: ((connection: Connection) => void) | undefined;
  /** What the authenticator says to credentials; undefined: nothing, for ever. */
  verdict: AuthenticationResult | undefined = { ok: true, username: undefined };
  /** What each step of an exchange leads to, in order; one for which there is nothing yet waits in `undecided`. */
  readonly steps: EnhancedStep[] = [];
  readonly undecided: ((step: EnhancedStep) => void)[] = [];
  /** Authentication Data that arrived. */
  readonly heard: string[] = [];
  offered = true;
  readonly #peers = new Map<Connection, Peer>();

  constructor(limits: Partial<LaneLimits> = {}) {
    super(limits);
    this.lanes.useDoor(
      { open: (connection) => this.#open(connection) },
      {
        keepAliveTimeout: () => this.events.push('keep alive timeout'),
        ping: () => this.events.push('ping'),
        error: (connection, error) => {
          this.events.push(`error: ${error.message}`);
          this.onError?.(connection);
        },
        closed: () => this.events.push('closed'),
      },
    );
    Object.assign(this.env, {
      authenticator: {
        methods: [METHOD],
        authenticate: () => this.#authenticate(),
        startExchange: (method: string) =>
          this.offered && method === METHOD ? { step: (data?: Uint8Array) => this.#step(data) } : undefined,
      },
    });
  }

  dial(): Peer {
    const transport = new FakeTransport();
    const connection = this.lanes.accept(transport);
    if (connection === undefined) throw new Error('there is room');
    const peer = new Peer(this, connection, transport);
    this.#peers.set(connection, peer);
    return peer;
  }

  /** A client that is in. */
  async enter(fields: ConnectFields = {}): Promise<Peer> {
    const peer = this.dial();
    peer.connect(fields);
    await peer.admit();
    peer.finish();
    peer.take();
    return peer;
  }

  advance(ms: number): void {
    this.now += ms;
    this.lanes.tick();
  }

  #open(connection: Connection) {
    this.events.push('door opened');
    const peer = this.#peers.get(connection);
    return { handle: peer, closed: () => this.events.push('door closed') };
  }

  #step(data: Uint8Array | undefined): Promise<EnhancedStep> {
    this.heard.push(Buffer.from(data ?? '-').toString());
    const step = this.steps.shift();
    return new Promise((resolve) => {
      if (step === undefined) this.undecided.push(resolve);
      else resolve(step);
    });
  }

  #authenticate(): Promise<AuthenticationResult> {
    const { verdict } = this;
    return new Promise((resolve) => {
      if (verdict !== undefined) resolve(verdict);
    });
  }
}

/** Lets everything run that a promise holds back. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** One connection: its client on one side, the door on the other. */
export class Peer {
  /** What `admit` was answered: 'in', or why not. */
  answer: 'in' | Refusal | undefined;

  constructor(
    readonly world: ConnectionWorld,
    readonly connection: Connection,
    readonly transport: FakeTransport,
  ) {}

  feed(...frames: Uint8Array[]): void {
    this.connection.data(Buffer.concat(frames));
  }

  connect(fields: ConnectFields = {}): void {
    this.feed(connect({ clientId: 'device', ...fields }));
  }

  /** The door agrees on terms and asks for the session; credentials are checked meanwhile. */
  async admit(hook?: (done: (refusal: Refusal | undefined) => void) => void): Promise<void> {
    const { admission } = this.connection;
    if (admission.negotiate() === undefined) return;
    admission.admit(hook, (refusal) => {
      this.answer = refusal ?? 'in';
    });
    await settled();
  }

  /** The door does the rest. */
  finish(): void {
    this.connection.admission.writeConnack();
    this.connection.ready();
  }

  /** What arrived since the last time, decoded; the client takes it. */
  take(version = this.connection.version): Packet[] {
    this.world.endTurn();
    return splitFrames(this.transport.takeAll()).map((frame) => decodePacket(frame, version, 'toClient'));
  }

  get ended(): boolean {
    return this.transport.log.includes('end');
  }
}
