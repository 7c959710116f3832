/**
 * What two gateways say to each other of which one archives through the other: u8 kind · u32 number of the request · numbers · the rest.
 *
 *     serves ── offer ──▶                   it serves
 *     ◀── create, read, stat, … ── asks     a request
 *     serves ── pull ──▶ ◀── part ── asks   pieces of the body of what is to be created, in the order in which they were asked for
 *     serves ── is, bytes, fault, … ──▶     its answer
 *
 * Numbers have the least significant byte first. Kinds that are not known are passed over: whoever comes later may say more.
 */
import type { ObjectFaultKind } from '../object-store.js';
import { TEXT_MAX_BYTES } from './limits.js';
import type { ObjectAnswer, ObjectRequest } from './object-request.js';
import { IDENTITY_BYTES } from './store-identity.js';

export const RELAY_VERSION = 1;

/** Bytes of each number in front of the rest. */
const LAYOUTS = {
  offer: { code: 1, numbers: [1] },
  identify: { code: 2, numbers: [] },
  createsOnce: { code: 3, numbers: [] },
  create: { code: 4, numbers: [6] },
  read: { code: 5, numbers: [6, 4] },
  stat: { code: 6, numbers: [] },
  part: { code: 7, numbers: [6] },
  noPart: { code: 8, numbers: [] },
  pull: { code: 9, numbers: [6, 4] },
  identity: { code: 10, numbers: [] },
  is: { code: 11, numbers: [1] },
  length: { code: 12, numbers: [6] },
  bytes: { code: 13, numbers: [1] },
  none: { code: 14, numbers: [] },
  fault: { code: 15, numbers: [1] },
} as const satisfies Record<string, { readonly code: number; readonly numbers: readonly number[] }>;

export type FrameKind = keyof typeof LAYOUTS;

export interface RelayFrame {
  readonly kind: FrameKind;
  /** Of the request that it is about. */
  readonly id: number;
  readonly numbers: readonly number[];
  /** Of a decoded one: a view into the frame. */
  readonly rest: Uint8Array;
}

const KINDS = new Map(
  Object.entries(LAYOUTS).map(([kind, { code, numbers }]) => [
    code as number,
    { kind: kind as FrameKind, numbers: numbers as readonly number[] },
  ]),
);
const FAULTS: readonly ObjectFaultKind[] = [
  ...(['busy', 'unreachable', 'unknown', 'denied', 'clock', 'full', 'missing', 'other'] as const),
];
const HEAD_BYTES = 5;
const KEY_MAX_BYTES = 1024;
const NOTHING = new Uint8Array(0);

/** @param rest text, or bytes, which are copied */
export function encodeFrame(
  kind: FrameKind,
  id: number,
  numbers: readonly number[] = [],
  rest: Uint8Array | string = NOTHING,
): Uint8Array {
  const tail = typeof rest === 'string' ? Buffer.from(rest, 'utf8') : rest;
  const layout = LAYOUTS[kind];
  const widths: readonly number[] = layout.numbers;
  const size = widths.reduce((sum, width) => sum + width, HEAD_BYTES);
  const frame = Buffer.allocUnsafeSlow(size + tail.length);
  frame[0] = layout.code;
  let at = frame.writeUInt32LE(id, 1);
  for (const [i, width] of widths.entries()) at = frame.writeUIntLE(numbers[i] ?? 0, at, width);
  frame.set(tail, at);
  return frame;
}

/** @returns undefined: of a kind that is not known; text: what is wrong with it */
export function decodeFrame(bytes: Uint8Array): RelayFrame | string | undefined {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (frame.length < HEAD_BYTES) return 'it sent what cannot be read: a frame of an archive without a head';
  const found = KINDS.get(frame.readUInt8(0));
  if (found === undefined) return undefined;
  const numbers: number[] = [];
  let at = HEAD_BYTES;
  for (const width of found.numbers) {
    if (at + width > frame.length) return `it sent what cannot be read: ${found.kind} is cut off`;
    numbers.push(frame.readUIntLE(at, width));
    at += width;
  }
  return { kind: found.kind, id: frame.readUInt32LE(1), numbers, rest: bytes.subarray(at) };
}

export function encodeRequest(id: number, request: ObjectRequest): Uint8Array {
  switch (request.kind) {
    case 'create':
      return encodeFrame('create', id, [request.length], request.key);
    case 'read':
      return encodeFrame('read', id, [request.offset, request.length], request.key);
    case 'stat':
      return encodeFrame('stat', id, [], request.key);
    default:
      return encodeFrame(request.kind, id);
  }
}

/** @returns undefined: it is no request */
export function requestOf({ kind, numbers, rest }: RelayFrame): ObjectRequest | undefined {
  const [first = 0, second = 0] = numbers;
  switch (kind) {
    case 'create':
      return { kind, key: keyOf(rest), length: first };
    case 'read':
      return { kind, key: keyOf(rest), offset: first, length: second };
    case 'stat':
      return { kind, key: keyOf(rest) };
    case 'identify':
    case 'createsOnce':
      return { kind };
    default:
      return undefined;
  }
}

/** @param answer its bytes are copied */
export function encodeAnswer(id: number, answer: ObjectAnswer): Uint8Array {
  switch (answer.kind) {
    case 'identity':
      return encodeFrame(
        'identity',
        id,
        [],
        Buffer.concat([Buffer.from(answer.identity, 'hex'), textBytes(answer.name)]),
      );
    case 'is':
      return encodeFrame('is', id, [answer.value ? 1 : 0]);
    case 'stat':
      return encodeFrame('length', id, [answer.length]);
    case 'bytes':
      return encodeFrame('bytes', id, [answer.isEnd ? 1 : 0], answer.bytes);
    case 'none':
      return encodeFrame('none', id);
    default:
      return encodeFrame('fault', id, [FAULTS.indexOf(answer.fault)], textBytes(answer.text));
  }
}

/** @returns undefined: it is no answer. Its bytes are its own. */
export function answerOf({ kind, numbers, rest }: RelayFrame): ObjectAnswer | undefined {
  const [first = 0] = numbers;
  switch (kind) {
    case 'identity': {
      const identity = Buffer.from(rest.subarray(0, IDENTITY_BYTES)).toString('hex');
      return { kind, identity, name: textOf(rest.subarray(IDENTITY_BYTES)) };
    }
    case 'is':
      return { kind, value: first === 1 };
    case 'length':
      return { kind: 'stat', length: first };
    case 'bytes':
      return { kind, bytes: Uint8Array.from(rest), isEnd: first === 1 };
    case 'none':
      return { kind };
    case 'fault':
      return { kind, fault: FAULTS[first] ?? 'other', text: textOf(rest) };
    default:
      return undefined;
  }
}

/** What is too long for a key is none, and is refused as such. */
function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, KEY_MAX_BYTES + 1)).toString('latin1');
}

function textBytes(text: string): Uint8Array {
  return Buffer.from(text, 'utf8').subarray(0, TEXT_MAX_BYTES);
}

/** For people, who are not to see what moves their cursor. */
export function textOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, TEXT_MAX_BYTES)).toString('utf8');
  // oxlint-disable-next-line no-control-regex -- these are what is meant
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}
