/** Whether bytes are JSON in UTF-8, without making anything of them: each message that is archived is looked at once. */
import { isUtf8 } from 'node:buffer';

const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const LOWER_E = 0x65;
const LOWER_U = 0x75;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** Of letters: makes a small one of a large one. */
const SMALL = 0x20;

const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const WORDS = [ascii('true'), ascii('false'), ascii('null')];

/** What a byte may be, by its value. */
const SPACE = 1;
const IN_STRING = 2;
const ESCAPED = 4;
const HEX = 8;
const KINDS = new Uint8Array(256);
for (const byte of ascii(' \t\n\r')) KINDS[byte] = SPACE;
for (let byte = 0x20; byte <= 0xff; byte++)
  if (byte !== QUOTE && byte !== BACKSLASH) KINDS[byte] = (KINDS[byte] as number) | IN_STRING;
for (const byte of ascii('"\\/bfnrt')) KINDS[byte] = (KINDS[byte] as number) | ESCAPED;
for (const byte of ascii('0123456789abcdefABCDEF')) KINDS[byte] = (KINDS[byte] as number) | HEX;
const HEX_DIGITS = 4;

/** What is deeper is left to the parser. */
const DEPTH_MAX = 64;
const NOT_JSON = -1;
/** What closes each of the lists and objects that are open. */
const closers = new Uint8Array(DEPTH_MAX);

export function isJson(payload: Uint8Array): boolean {
  let depth = 0;
  let at = skipSpace(payload, 0);
  for (;;) {
    const opened = payload[at];
    if (opened === OPEN_OBJECT || opened === OPEN_LIST) {
      if (depth === DEPTH_MAX) return isParsed(payload);
      const closer = opened === OPEN_LIST ? CLOSE_LIST : CLOSE_OBJECT;
      closers[depth++] = closer;
      at = skipSpace(payload, at + 1);
      if (payload[at] !== closer) {
        if (opened === OPEN_OBJECT) at = endOfName(payload, at);
        if (at === NOT_JSON) return false;
        continue;
      }
    } else {
      at = endOfScalar(payload, at);
      if (at === NOT_JSON) return false;
      at = skipSpace(payload, at);
    }
    // Behind a value, or at what closes the one around it.
    while (depth > 0 && payload[at] === closers[depth - 1]) {
      depth--;
      at = skipSpace(payload, at + 1);
    }
    if (depth === 0) return at === payload.length && isUtf8(payload);
    if (payload[at] !== COMMA) return false;
    at = skipSpace(payload, at + 1);
    if (closers[depth - 1] === CLOSE_OBJECT) at = endOfName(payload, at);
    if (at === NOT_JSON) return false;
  }
}

function isParsed(payload: Uint8Array): boolean {
  if (!isUtf8(payload)) return false;
  try {
    JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

function kindOf(bytes: Uint8Array, at: number): number {
  return at < bytes.length ? (KINDS[bytes[at] as number] as number) : 0;
}

function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  while ((kindOf(bytes, at) & SPACE) !== 0) at++;
  return at;
}

/** The name of a field, its colon, and the space behind them. */
function endOfName(bytes: Uint8Array, from: number): number {
  if (bytes[from] !== QUOTE) return NOT_JSON;
  const end = endOfString(bytes, from + 1);
  if (end === NOT_JSON) return NOT_JSON;
  const colon = skipSpace(bytes, end);
  return bytes[colon] === COLON ? skipSpace(bytes, colon + 1) : NOT_JSON;
}

function endOfScalar(bytes: Uint8Array, from: number): number {
  const first = bytes[from];
  if (first === QUOTE) return endOfString(bytes, from + 1);
  if (first === MINUS || isDigit(first)) return endOfNumber(bytes, from);
  for (const word of WORDS) if (word[0] === first) return endOfWord(bytes, from, word);
  return NOT_JSON;
}

/** @param from behind the quote */
function endOfString(bytes: Uint8Array, from: number): number {
  const { length } = bytes;
  let at = from;
  while (at < length) {
    const byte = bytes[at++] as number;
    if (((KINDS[byte] as number) & IN_STRING) !== 0) continue;
    if (byte === QUOTE) return at;
    if (byte !== BACKSLASH) return NOT_JSON;
    if (bytes[at] === LOWER_U) {
      for (let digit = 1; digit <= HEX_DIGITS; digit++)
        if ((kindOf(bytes, at + digit) & HEX) === 0) return NOT_JSON;
      at += 1 + HEX_DIGITS;
    } else if ((kindOf(bytes, at) & ESCAPED) === 0) return NOT_JSON;
    else at++;
  }
  return NOT_JSON;
}

function endOfNumber(bytes: Uint8Array, from: number): number {
  let at = bytes[from] === MINUS ? from + 1 : from;
  const whole = endOfDigits(bytes, at);
  // No zero before other digits.
  if (whole === NOT_JSON || (bytes[at] === ZERO && whole > at + 1)) return NOT_JSON;
  at = whole;
  if (bytes[at] === DOT) at = endOfDigits(bytes, at + 1);
  if (at === NOT_JSON || ((bytes[at] ?? 0) | SMALL) !== LOWER_E) return at;
  const sign = bytes[at + 1];
  return endOfDigits(bytes, sign === MINUS || sign === PLUS ? at + 2 : at + 1);
}

/** At least one. */
function endOfDigits(bytes: Uint8Array, from: number): number {
  let at = from;
  while (isDigit(bytes[at])) at++;
  return at === from ? NOT_JSON : at;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}

function endOfWord(bytes: Uint8Array, from: number, word: Uint8Array): number {
  for (let i = 0; i < word.length; i++) if (bytes[from + i] !== word[i]) return NOT_JSON;
  return from + word.length;
}
