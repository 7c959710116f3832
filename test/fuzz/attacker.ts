/**
 * One party of the attack. Each of its connections behaves for a while, plays one card of the deck, perhaps goes on, and
 * ends in one of the ways in which connections end.
 */
import { decodePacket, type Packet, ProtocolError, type PublishPacket } from '../../lib/protocol/index.js';
import * as wire from '../support/wire.js';
import type { TypeName } from '../support/wire.js';
import { AttackSocket } from './attack-socket.js';
import { type Card, type Deck, nameOf } from './deck.js';
import { FrameSplitter } from './frame-splitter.js';
import { assemble, connectParts, partsOf } from './parts.js';
import type { Random } from './random.js';
import { ENDINGS, type Recorder } from './record.js';
import type { Tally } from './tally.js';

/** Where in the life of a connection the card is played. */
export const STAGES = ['first', 'withConnect', 'duringHandshake', 'connected'] as const;
export type Stage = (typeof STAGES)[number];

export interface AttackerOptions {
  readonly port: number;
  readonly deck: Deck;
  readonly random: Random;
  readonly recorder: Recorder;
  readonly tally: Tally;
  readonly onFault: (fault: string) => void;
}

const HARMLESS: readonly TypeName[] = [
  'publish',
  'publish',
  'publish',
  'subscribe',
  'unsubscribe',
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'pingreq',
];
const CONNACK_TIMEOUT_MS = 5000;
const CLOSE_TIMEOUT_MS = 5000;
/** For an answer that may not come: what was sent may have swallowed the question. */
const ANSWER_TIMEOUT_MS = 40;
const PAUSE_MS = 200;
const TWINS = 8;
const PACKET_MAX_BYTES = 1_048_576;

const hex = (code: number): string => `0x${code.toString(16).padStart(2, '0')}`;

/** What the decoder says of bytes that a connected client sends: undefined where they are not exactly one packet. */
function verdictOn(bytes: Buffer, card: Card): 'fine' | 'refused' | undefined {
  try {
    const splitter = new FrameSplitter();
    const frames = splitter.split(bytes);
    if (frames.length !== 1 || splitter.pending > 0 || bytes.length > PACKET_MAX_BYTES) return undefined;
    decodePacket(bytes, card.version, 'toServer');
    return 'fine';
  } catch (error) {
    return error instanceof ProtocolError ? 'refused' : undefined;
  }
}

export class Attacker {
  readonly #options: AttackerOptions;
  readonly #random: Random;
  /** Of the current connection. */
  #connack: number | undefined;
  #asked = false;
  #answered = false;
  #malformed = false;
  #deliveries: PublishPacket[] = [];

  constructor(options: AttackerOptions) {
    this.#options = options;
    this.#random = options.random;
  }

  async play(card: Card): Promise<void> {
    const { port, recorder, tally } = this.#options;
    this.#connack = undefined;
    this.#asked = this.#answered = this.#malformed = false;
    this.#deliveries = [];
    const record = recorder.begin(nameOf(card));
    const socket = await AttackSocket.open({
      port,
      random: this.#random,
      version: card.version,
      record,
      onPacket: (packet) => this.#onPacket(packet),
      onFault: (fault) => this.#fault(card, fault),
    });
    tally.connections++;
    const stage = this.#stageFor(card);
    const bytes = this.#options.deck.bytesOf(card);
    if (stage === 'first') await this.#playFirst(socket, card, bytes);
    else await this.#playLater(socket, card, bytes, stage);
    await socket.close(this.#random.pick(ENDINGS));
  }

  /** One client id, many CONNECTs at one time: one at most may stay. */
  async storm(): Promise<void> {
    const { port, recorder, tally } = this.#options;
    const clientId = `twin-${this.#random.int(1e9)}`;
    const sockets = await Promise.all(
      Array.from({ length: TWINS }, async () => {
        const version = this.#random.pick([3, 4, 5] as const);
        const onFault = (fault: string): void => this.#options.onFault(`a twin: ${fault}`);
        const record = recorder.begin('twins');
        const socket = await AttackSocket.open({
          port,
          random: this.#random,
          version,
          record,
          onPacket: (packet) => this.#tallyReason(packet),
          onFault,
        });
        tally.connections++;
        const clean = version < 5 ? this.#random.chance(0.5) : true;
        const connect = connectParts(version, this.#random, clientId, clean);
        // Without properties: one that asks for authentication is open for a while and has no client id yet.
        await socket.write(assemble({ ...connect, properties: version === 5 ? [] : undefined }));
        return socket;
      }),
    );
    const allButOne = new Promise<void>((resolve) => {
      let left = sockets.length;
      const gone = (): void => {
        if (--left <= 1) resolve();
      };
      for (const socket of sockets) void socket.until(() => socket.ended, CONNACK_TIMEOUT_MS).then(gone);
    });
    await allButOne;
    const open = sockets.filter((socket) => !socket.ended);
    if (open.length > 1) this.#options.onFault(`${open.length} connections have one client id, ${clientId}`);
    await Promise.all(sockets.map((socket) => socket.close(this.#random.pick(ENDINGS))));
    tally.storms++;
  }

  #fault(card: Card, text: string): void {
    this.#options.onFault(`${nameOf(card)}: ${text}`);
  }

  #stageFor({ type }: Card): Stage {
    if (type === 'connect') return this.#random.chance(0.8) ? 'first' : 'connected';
    return this.#random.pick(['first', 'withConnect', 'connected', 'connected', 'connected', 'connected']);
  }

  #sent(card: Card, stage: Stage): void {
    this.#options.tally.play(card, stage);
  }

  async #playFirst(socket: AttackSocket, card: Card, bytes: Buffer): Promise<void> {
    await socket.write(bytes);
    this.#sent(card, 'first');
    await socket.until(() => socket.ended || this.#connack !== undefined, ANSWER_TIMEOUT_MS);
  }

  async #playLater(socket: AttackSocket, card: Card, bytes: Buffer, stage: Stage): Promise<void> {
    const connect = assemble(connectParts(card.version, this.#random));
    const packet = decodePacket(connect, card.version, 'toServer');
    if (packet.type === 'connect') socket.maximumPacketSize = packet.properties.maximumPacketSize ?? Infinity;
    socket.versionKnown = true;
    if (stage === 'withConnect') {
      this.#asked = true;
      await socket.write(Buffer.concat([connect, bytes, wire.PINGREQ]));
      this.#sent(card, stage);
      await socket.until(() => socket.ended || this.#answered, ANSWER_TIMEOUT_MS);
      return;
    }
    await socket.write(connect);
    const answered = await socket.until(
      () => socket.ended || this.#connack !== undefined,
      CONNACK_TIMEOUT_MS,
    );
    if (!answered) this.#fault(card, 'CONNECT is not answered');
    if (socket.ended) return;
    await this.#misbehave(socket, card, bytes, this.#connack === 0 ? 'connected' : 'duringHandshake');
  }

  async #misbehave(socket: AttackSocket, card: Card, bytes: Buffer, stage: Stage): Promise<void> {
    if (stage === 'connected') await this.#behave(socket, card);
    if (socket.ended) return;
    const verdict = verdictOn(bytes, card);
    await socket.write(bytes);
    if (socket.ended) return;
    this.#sent(card, stage);
    if (verdict === 'refused') {
      if (!(await socket.until(() => socket.ended, CLOSE_TIMEOUT_MS)))
        this.#fault(card, `${bytes.toString('hex')} did not end the connection`);
      return;
    }
    await this.#behave(socket, card);
    this.#asked = true;
    await socket.write(wire.PINGREQ);
    await socket.until(() => socket.ended || this.#answered, ANSWER_TIMEOUT_MS);
    if (verdict === 'fine' && this.#malformed)
      this.#fault(card, `${bytes.toString('hex')} was called malformed`);
    await this.#answerDeliveries(socket);
    if (this.#random.chance(0.01)) await this.#stall(socket, card);
  }

  /** Some well-formed packets in one write. */
  async #behave(socket: AttackSocket, card: Card): Promise<void> {
    const types = Array.from({ length: this.#random.int(5) }, () => this.#random.pick(HARMLESS));
    const packets = types.map((type) => assemble(partsOf(type, card.version, this.#random)));
    if (packets.length === 0) return;
    await socket.write(Buffer.concat(packets));
    this.#options.tally.packets += packets.length;
  }

  /** Acknowledges what it was sent, rightly or with an acknowledgement of another kind. */
  async #answerDeliveries(socket: AttackSocket): Promise<void> {
    const types = ['puback', 'pubrec', 'pubrel', 'pubcomp'] as const;
    const answers = this.#deliveries.splice(0).map(({ qos, packetId = 0 }) => {
      const type = this.#random.chance(0.7) ? (qos === 1 ? 'puback' : 'pubrec') : this.#random.pick(types);
      return wire.ack(type, packetId);
    });
    if (answers.length === 0 || socket.ended) return;
    await socket.write(Buffer.concat(answers));
    this.#options.tally.packets += answers.length;
  }

  /** Subscribes to everything and then reads nothing. */
  async #stall(socket: AttackSocket, { version }: Card): Promise<void> {
    await socket.write(wire.subscribe(7, [{ filter: '#', qos: 2 }], { version }));
    socket.pause();
    await socket.until(() => false, PAUSE_MS);
  }

  #onPacket(packet: Packet): void {
    this.#tallyReason(packet);
    if (packet.type === 'connack') this.#connack = packet.reasonCode;
    if (packet.type === 'auth') this.#connack = -1;
    if (packet.type === 'pingresp' && this.#asked) this.#answered = true;
    if (packet.type === 'disconnect' && packet.reasonCode === 0x81) this.#malformed = true;
    if (packet.type === 'publish' && packet.qos > 0) this.#deliveries.push(packet);
  }

  #tallyReason(packet: Packet): void {
    const { tally } = this.#options;
    if ('reasonCode' in packet && packet.reasonCode !== 0)
      tally.reason(`${packet.type.toUpperCase()} ${hex(packet.reasonCode)}`);
    if (packet.type === 'suback') {
      for (const code of packet.reasonCodes) if (code > 2) tally.reason(`SUBACK ${hex(code)}`);
    }
  }
}
