/**
 * Not a broker: the least that looks like one to the load generator. It forwards the publishers' bytes to the
 * subscribers of the topic and answers hand-shakes from the packet type alone. Two uses: what it reaches is the ceiling
 * of generator and kernel together (`--target reflector`), and with a fault it shows that the generator notices.
 *
 * It only serves what the generator sends: one topic per publisher, packet ids that subscribers can be sent as they are.
 */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { PacketType } from '../../lib/protocol/packet.js';

/** What the reflector does wrong, once, at the thousandth message of a publisher. */
export const Fault = {
  none: 'none',
  /** The message is acknowledged and not delivered. */
  drop: 'drop',
  duplicate: 'duplicate',
  /** The message trades places with the one before it. */
  swap: 'swap',
  /** The last byte of the payload changes, and of all messages after it (only one in 256 is compared in full). */
  corrupt: 'corrupt',
  /** QoS 2 answered with PUBACK. */
  puback: 'puback',
  /** No acknowledgement from here on. */
  silent: 'silent',
} as const;
export type Fault = (typeof Fault)[keyof typeof Fault];

const FAULT_AT = 200;
/** So long a subscription at `farPort` is not known where messages are published: longer than a run that does not wait for it. */
const FAR_KNOWN_AFTER_MS = 300;

export interface Reflector {
  readonly port: number;
  /** As another server of a mesh: subscribers that connect here get what is published at `port`, a little later than they have their SUBACK. */
  readonly farPort: number;
  close(): void;
}

/** Listens on loopback; port 0: one that the system chooses. */
export async function startReflector(fault: Fault = Fault.none, port = 0): Promise<Reflector> {
  const topics: Topics = new Map();
  const peers = new Set<Socket>();
  const serve = (knownAfterMs: number): Server =>
    createServer((socket) => {
      peers.add(socket);
      socket.on('close', () => {
        peers.delete(socket);
        for (const subscribers of topics.values()) subscribers.delete(socket);
      });
      const peer = new Peer(socket, topics, fault, knownAfterMs);
      socket.on('data', (chunk) => peer.read(chunk));
    });
  const servers = [serve(0), serve(FAR_KNOWN_AFTER_MS)] as const;
  const close = (): void => {
    for (const server of servers) server.close();
    for (const socket of peers) socket.destroy();
  };
  return { port: await listen(servers[0], port), farPort: await listen(servers[1], 0), close };
}

/** @returns the port, which the system chooses for 0 */
async function listen(server: Server, port: number): Promise<number> {
  await once(server.listen(port, '127.0.0.1'), 'listening');
  const address = server.address();
  return address === null || typeof address === 'string' ? port : address.port;
}

type Topics = Map<string, Set<Socket>>;

class Peer {
  private readonly socket: Socket;
  private readonly topics: Topics;
  private readonly fault: Fault;
  private readonly knownAfterMs: number;
  private leftOver: Buffer = Buffer.alloc(0);
  private version = 4;
  private published = 0;
  private held: Buffer | undefined;
  private replies = Buffer.allocUnsafe(REPLY_BYTES);
  private repliesLength = 0;

  constructor(socket: Socket, topics: Topics, fault: Fault, knownAfterMs: number) {
    this.knownAfterMs = knownAfterMs;
    this.socket = socket;
    this.topics = topics;
    this.fault = fault;
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
  }

  /** Publishes are forwarded in runs: whatever stands between two other packets, in one write per subscriber. */
  read(chunk: Buffer): void {
    const bytes = this.leftOver.length === 0 ? chunk : Buffer.concat([this.leftOver, chunk]);
    const pieces: Buffer[] = [];
    let at = 0;
    let runFrom = 0;
    for (let end = frameEnd(bytes, at); end !== undefined; end = frameEnd(bytes, at)) {
      const isPublish = (bytes[at] ?? 0) >> 4 === PacketType.publish;
      if (isPublish) this.answerPublish(bytes, at);
      else this.control(bytes.subarray(at, end));
      if (!isPublish || (this.fault !== Fault.none && this.published >= FAULT_AT)) {
        if (runFrom < at) pieces.push(bytes.subarray(runFrom, at));
        if (isPublish) pieces.push(...this.tamper(bytes.subarray(at, end)));
        runFrom = end;
      }
      at = end;
    }
    if (runFrom < at) pieces.push(bytes.subarray(runFrom, at));
    this.leftOver = bytes.subarray(at);
    this.forward(pieces);
    if (this.repliesLength > 0) this.socket.write(this.replies.subarray(0, this.repliesLength));
    if (this.socket.writableLength > 0) this.replies = Buffer.allocUnsafe(REPLY_BYTES);
    this.repliesLength = 0;
  }

  private forward(pieces: readonly Buffer[]): void {
    const [first] = pieces;
    if (first === undefined) return;
    const topicAt = lengthEnd(first, 0) + 2;
    const topic = first.toString('latin1', topicAt, topicAt + first.readUInt16BE(topicAt - 2));
    for (const subscriber of this.topics.get(topic) ?? []) {
      subscriber.cork();
      for (const piece of pieces) subscriber.write(piece);
      subscriber.uncork();
    }
  }

  private tamper(frame: Buffer): Buffer[] {
    const isDue = this.published === FAULT_AT;
    switch (this.fault) {
      case Fault.drop:
        return isDue ? [] : [frame];
      case Fault.duplicate:
        return isDue ? [frame, frame] : [frame];
      case Fault.swap: {
        const held = this.held;
        this.held = isDue ? Buffer.from(frame) : undefined;
        if (isDue) return [];
        return held === undefined ? [frame] : [frame, held];
      }
      case Fault.corrupt:
        frame.writeUInt8(0, frame.length - 1);
        return [frame];
      default:
        return [frame];
    }
  }

  private answerPublish(bytes: Buffer, at: number): void {
    this.published++;
    const qos = ((bytes[at] ?? 0) >> 1) & 3;
    if (qos === 0 || (this.fault === Fault.silent && this.published >= FAULT_AT)) return;
    const topicAt = lengthEnd(bytes, at) + 2;
    const idAt = topicAt + bytes.readUInt16BE(topicAt - 2);
    const isWrong = this.fault === Fault.puback && this.published === FAULT_AT;
    this.reply(qos === 1 || isWrong ? 0x40 : 0x50, bytes[idAt] ?? 0, bytes[idAt + 1] ?? 0);
  }

  private control(frame: Buffer): void {
    switch ((frame[0] ?? 0) >> 4) {
      case PacketType.connect:
        this.version = frame[8] ?? 4;
        this.socket.write(Buffer.from(this.version === 5 ? [0x20, 3, 0, 0, 0] : [0x20, 2, 0, 0]));
        return;
      case PacketType.subscribe: {
        const topicAt = lengthEnd(frame, 0) + (this.version === 5 ? 5 : 4);
        const topic = frame.toString('latin1', topicAt, frame.length - 1);
        if (this.knownAfterMs === 0) this.subscribed(topic);
        else setTimeout(() => this.subscribed(topic), this.knownAfterMs);
        const qos = frame[frame.length - 1] ?? 0;
        this.socket.write(Buffer.from(this.version === 5 ? [0x90, 4, 0, 1, 0, qos] : [0x90, 3, 0, 1, qos]));
        return;
      }
      case PacketType.pubrec:
        return this.reply(0x62, frame[2] ?? 0, frame[3] ?? 0);
      case PacketType.pubrel:
        return this.reply(0x70, frame[2] ?? 0, frame[3] ?? 0);
    }
  }

  private subscribed(topic: string): void {
    this.topics.set(topic, (this.topics.get(topic) ?? new Set()).add(this.socket));
  }

  private reply(first: number, idHigh: number, idLow: number): void {
    if (this.repliesLength + 4 > REPLY_BYTES) {
      this.socket.write(Buffer.from(this.replies.subarray(0, this.repliesLength)));
      this.repliesLength = 0;
    }
    this.replies[this.repliesLength++] = first;
    this.replies[this.repliesLength++] = 2;
    this.replies[this.repliesLength++] = idHigh;
    this.replies[this.repliesLength++] = idLow;
  }
}

const REPLY_BYTES = 64 * 1024;

/** Offset of the first byte after the fixed header of the frame at `at`. */
function lengthEnd(bytes: Buffer, at: number): number {
  let end = at + 1;
  while ((bytes[end] ?? 0) > 0x7f) end++;
  return end + 1;
}

/** Offset of the byte after the frame at `at`; undefined while it is incomplete. */
function frameEnd(bytes: Buffer, at: number): number | undefined {
  let length = 0;
  for (let i = at + 1, shift = 0; i < bytes.length; i++, shift += 7) {
    const byte = bytes[i] ?? 0;
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) return i + 1 + length <= bytes.length ? i + 1 + length : undefined;
  }
  return undefined;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await startReflector(Fault.none, Number(process.argv[2]));
