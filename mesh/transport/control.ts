/**
 * What two transports say to each other on a proven connection, on a channel that the protocols do not have.
 *
 *     1 introduction   u8 version · 32 secret for datagrams · 78 instance · u16 TCP port · u16 UDP port (0: none) · u8 count · count × text
 *     2 use            this connection of the pair is the link
 *     3 ping, 4 pong   u32 number
 *     5 bye            u8 code · text: why this side closes
 *     text             u8 length · UTF-8
 */
import { SEAL_SECRET_BYTES } from './datagram-seal.js';

/** Beside those of mesh/link, which count from 0. */
export const CONTROL_CHANNEL = 255;
export const DATAGRAM_CHANNEL = 254;

/** What the other side makes of a bye; the text is for people. */
export const ByeCode = {
  /** Something went wrong. */
  fault: 0,
  /** There is a connection, and it stays. */
  duplicate: 1,
  /** Another connection took its place. */
  replaced: 2,
  evicted: 3,
  stopping: 4,
  /** Another process with the same key is connected, and alive; the text is the instance of that one in hexadecimal digits. */
  twin: 5,
} as const;
export type ByeCode = (typeof ByeCode)[keyof typeof ByeCode];

/** Of the process, with its signature: two with one key differ in it. */
export const INSTANCE_BYTES = 78;
const VERSION = 2;
const HOSTS_MAX_COUNT = 8;
const TEXT_MAX_BYTES = 255;
const CONTROL_MAX_BYTES = 4096;

export interface Introduction {
  readonly datagramSecret: Uint8Array;
  /** Of INSTANCE_BYTES. */
  readonly instance: Uint8Array;
  readonly tcpPort: number;
  readonly udpPort: number;
  /** Of its network interfaces: what another gateway on the same network can reach. */
  readonly hosts: readonly string[];
}

export type Control =
  | ({ readonly kind: 'introduction' } & Introduction)
  | { readonly kind: 'use' }
  | { readonly kind: 'ping' | 'pong'; readonly number: number }
  | { readonly kind: 'bye'; readonly code: ByeCode; readonly reason: string };

const Type = { introduction: 1, use: 2, ping: 3, pong: 4, bye: 5 } as const;

export function encodeControl(control: Control): Uint8Array {
  switch (control.kind) {
    case 'introduction':
      return encodeIntroduction(control);
    case 'use':
      return Uint8Array.of(Type.use);
    case 'ping':
    case 'pong': {
      const bytes = Buffer.alloc(5);
      bytes.writeUInt8(Type[control.kind], 0);
      bytes.writeUInt32BE(control.number, 1);
      return bytes;
    }
    case 'bye':
      return Buffer.concat([Uint8Array.of(Type.bye, control.code), textOf(control.reason)]);
  }
}

function encodeIntroduction(introduction: Introduction): Uint8Array {
  const hosts = introduction.hosts.slice(0, HOSTS_MAX_COUNT);
  const ports = Buffer.alloc(5);
  ports.writeUInt16BE(introduction.tcpPort, 0);
  ports.writeUInt16BE(introduction.udpPort, 2);
  ports.writeUInt8(hosts.length, 4);
  return Buffer.concat([
    Uint8Array.of(Type.introduction, VERSION),
    introduction.datagramSecret,
    introduction.instance,
    ports,
    ...hosts.map(textOf),
  ]);
}

function textOf(text: string): Uint8Array {
  const bytes = Buffer.from(text).subarray(0, TEXT_MAX_BYTES);
  return Buffer.concat([Uint8Array.of(bytes.length), bytes]);
}

/** `unknown`: of a newer version, to be passed over. undefined: malformed. */
export function decodeControl(frame: Uint8Array): Control | 'unknown' | undefined {
  if (frame.length === 0 || frame.length > CONTROL_MAX_BYTES) return undefined;
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
  switch (bytes[0]) {
    case Type.introduction:
      return decodeIntroduction(bytes);
    case Type.use:
      return bytes.length === 1 ? { kind: 'use' } : undefined;
    case Type.ping:
    case Type.pong: {
      if (bytes.length !== 5) return undefined;
      return { kind: bytes[0] === Type.ping ? 'ping' : 'pong', number: bytes.readUInt32BE(1) };
    }
    case Type.bye: {
      const texts = readTexts(bytes, 2, 1);
      if (texts === undefined) return undefined;
      return { kind: 'bye', code: parseByeCode(bytes[1]), reason: printable(texts[0] ?? '') };
    }
    default:
      return 'unknown';
  }
}

function parseByeCode(code: number | undefined): ByeCode {
  return Object.values(ByeCode).find((known) => known === code) ?? ByeCode.fault;
}

const INSTANCE_FROM = 2 + SEAL_SECRET_BYTES;
const HOSTS_FROM = INSTANCE_FROM + INSTANCE_BYTES + 5;

function decodeIntroduction(bytes: Buffer): Control | undefined {
  if (bytes.length < HOSTS_FROM || bytes[1] !== VERSION) return undefined;
  const count = bytes.readUInt8(HOSTS_FROM - 1);
  if (count > HOSTS_MAX_COUNT) return undefined;
  const hosts = readTexts(bytes, HOSTS_FROM, count);
  if (hosts === undefined) return undefined;
  return {
    kind: 'introduction',
    datagramSecret: Uint8Array.from(bytes.subarray(2, 2 + SEAL_SECRET_BYTES)),
    instance: Uint8Array.from(bytes.subarray(INSTANCE_FROM, INSTANCE_FROM + INSTANCE_BYTES)),
    tcpPort: bytes.readUInt16BE(HOSTS_FROM - 5),
    udpPort: bytes.readUInt16BE(HOSTS_FROM - 3),
    hosts,
  };
}

/** `count` texts that fill the frame from `at`. */
function readTexts(bytes: Buffer, at: number, count: number): string[] | undefined {
  const texts: string[] = [];
  let offset = at;
  for (let index = 0; index < count; index++) {
    const length = bytes[offset];
    if (length === undefined || offset + 1 + length > bytes.length) return undefined;
    texts.push(bytes.toString('utf8', offset + 1, offset + 1 + length));
    offset += 1 + length;
  }
  return offset === bytes.length ? texts : undefined;
}

/** It goes to the log: another gateway does not write lines there. */
function printable(text: string): string {
  return [...text]
    .map((character) => (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(character) ? '?' : character))
    .join('');
}
