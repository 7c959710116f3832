import { SprawlError } from '../contracts/errors.js';
import type { InputStream, World } from './command.js';

const END_OF_TEXT = '\u0003'; // Ctrl-C
const END_OF_TRANSMISSION = '\u0004'; // Ctrl-D
const ERASERS: ReadonlySet<string> = new Set(['\b', '\u007f']);
const LINE_ENDS: ReadonlySet<string> = new Set(['\r', '\n']);

function nothingGiven(noun: string): SprawlError {
  return new SprawlError('USAGE', `no ${noun} was given`);
}

/** Collects the characters of one line typed without echo. */
class HiddenLine {
  readonly #noun: string;
  #text: string[] = [];

  constructor(noun: string) {
    this.#noun = noun;
  }

  /** The line once it is complete. @throws SprawlError USAGE at Ctrl-C or Ctrl-D. */
  take(char: string): string | undefined {
    if (char === END_OF_TEXT || char === END_OF_TRANSMISSION) throw nothingGiven(this.#noun);
    if (LINE_ENDS.has(char)) return this.#text.join('');
    if (ERASERS.has(char)) this.#text.pop();
    else this.#text.push(char);
    return undefined;
  }
}

/** Asks on a terminal, without echo. */
async function ask(question: string, { stdin, stderr }: World, noun = 'password'): Promise<string> {
  stderr.write(question);
  stdin.setRawMode?.(true);
  const line = new HiddenLine(noun);
  try {
    return await new Promise<string>((resolve, reject) => {
      const onEnd = (): void => reject(nothingGiven(noun));
      const onData = (chunk: Buffer): void => {
        try {
          const chars = [...chunk.toString('utf8')];
          for (const [index, char] of chars.entries()) {
            const text = line.take(char);
            if (text === undefined) continue;
            stdin.off('data', onData).off('end', onEnd);
            stdin.pause();
            stdin.unshift(Buffer.from(chars.slice(index + 1).join(''))); // Typed or pasted ahead: the next answer.
            resolve(text);
            return;
          }
        } catch (error) {
          stdin.off('data', onData).off('end', onEnd);
          reject(error);
        }
      };
      stdin.on('data', onData).on('end', onEnd);
      stdin.resume();
    });
  } finally {
    stdin.setRawMode?.(false);
    stdin.pause();
    stderr.write('\n');
  }
}

async function firstLine(stdin: InputStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stdin) chunks.push(Buffer.from(chunk));
  return (Buffer.concat(chunks).toString('utf8').split('\n')[0] ?? '').replace(/\r$/, '');
}

/**
 * A new password: asked twice without echo on a terminal, else the first line of standard input.
 * @throws SprawlError USAGE where none is given or the two differ.
 */
export async function readNewPassword(world: World): Promise<string> {
  if (world.stdin.isTTY !== true) {
    const password = await firstLine(world.stdin);
    if (password === '') throw new SprawlError('USAGE', 'no password on standard input');
    return password;
  }
  const password = await ask('Password: ', world);
  if (password === '') throw new SprawlError('USAGE', 'an empty password is not allowed');
  if ((await ask('Reenter password: ', world)) !== password)
    throw new SprawlError('USAGE', 'the passwords do not match');
  return password;
}

/**
 * A secret that is there already: asked for without echo on a terminal, else the first line of standard input.
 * @param noun `swarm key`. @throws SprawlError USAGE where none is given
 */
export async function readSecret(noun: string, world: World): Promise<string> {
  const isTerminal = world.stdin.isTTY === true;
  const question = `${noun.slice(0, 1).toUpperCase()}${noun.slice(1)}: `;
  const secret = (isTerminal ? await ask(question, world, noun) : await firstLine(world.stdin)).trim();
  if (secret === '')
    throw new SprawlError('USAGE', isTerminal ? `no ${noun} was given` : `no ${noun} on standard input`);
  return secret;
}
