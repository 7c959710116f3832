/** Secrets as text that people copy: bech32m (BIP 350), whose checksum finds every mistake in up to four characters of a short one. */
import { bech32m } from '@scure/base';

const CHARACTERS = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const CHECKSUM_CHARACTERS = 6;
const BITS_PER_CHARACTER = 5;

export interface KeyTextForm {
  /** Before the `1`. */
  readonly prefix: string;
  readonly bytes: number;
  /** `swarm key` */
  readonly noun: string;
}

/** What is wrong with a text, in words, without the text. Who parses makes an error with a code of it. */
export class KeyTextFault extends Error {}

/** @param text with spaces or line ends around it. @throws KeyTextFault */
export function parseKeyText(text: string, { prefix, bytes, noun }: KeyTextForm): Uint8Array {
  const trimmed = text.trim();
  const lower = trimmed.toLowerCase();
  if (trimmed !== lower && trimmed !== trimmed.toUpperCase())
    throw new KeyTextFault('it has capital and small letters; it is written in one of the two throughout');
  if (!lower.startsWith(`${prefix}1`)) throw new KeyTextFault(`it does not begin with "${prefix}1"`);
  const rest = [...lower.slice(prefix.length + 1)];
  const wrong = rest.findIndex((character) => !CHARACTERS.includes(character));
  if (wrong >= 0) {
    const at = prefix.length + 2 + wrong;
    throw new KeyTextFault(`its character ${at} is ${JSON.stringify(rest[wrong])}, which no ${noun} has`);
  }
  const characters = Math.ceil((bytes * 8) / BITS_PER_CHARACTER) + CHECKSUM_CHARACTERS;
  if (rest.length !== characters) {
    const whole = prefix.length + 1 + characters;
    const why = rest.length < characters ? 'it was not copied whole' : `there is more in it than a ${noun}`;
    throw new KeyTextFault(`it has ${lower.length} characters instead of ${whole}: ${why}`);
  }
  const decoded = bech32m.decodeUnsafe(lower, false);
  if (decoded === undefined)
    throw new KeyTextFault('its checksum is wrong: at least one character is mistyped');
  const secret = bech32m.fromWordsUnsafe(decoded.words);
  if (secret?.length !== bytes)
    throw new KeyTextFault(
      `its checksum is right, but there is no ${noun} in it: it was not made by "sprawl-edge init"`,
    );
  return secret;
}

export function renderKeyText(prefix: string, bytes: Uint8Array): string {
  return bech32m.encode(prefix, bech32m.toWords(bytes), false);
}
