import { readFile, stat } from 'node:fs/promises';
import { SprawlError, type ErrorCode } from '../contracts/errors.js';
import { SECURITY_LIMITS } from './limits.js';

/** A line with its number, counted from 1, without its end and without white space around it. */
export interface TextLine {
  readonly number: number;
  readonly text: string;
}

export interface TextFile {
  readonly text: string;
  /** Any user of the machine may read it. */
  readonly worldReadable: boolean;
}

/** Reads a UTF-8 file of bounded size. @throws SprawlError `code` naming the file and what is wrong with it. */
export async function readTextFile(path: string, code: ErrorCode): Promise<TextFile> {
  const invalid = (what: string, cause?: unknown) =>
    new SprawlError(code, `${path}: ${what}`, { details: { file: path }, cause });
  try {
    const status = await stat(path);
    if (!status.isFile()) throw invalid('is not a file');
    if (status.size > SECURITY_LIMITS.fileMaxBytes) {
      throw invalid(`has ${status.size} bytes, more than the ${SECURITY_LIMITS.fileMaxBytes} that are read`);
    }
    const bytes = await readFile(path);
    const text = decodeUtf8(bytes);
    if (text === undefined) throw invalid('is not UTF-8 text');
    return { text, worldReadable: (status.mode & 0o004) !== 0 };
  } catch (error) {
    if (error instanceof SprawlError) throw error;
    throw invalid(`cannot be read: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

/** The lines that say something: neither blank nor a comment, which begins with #. */
export function significantLines(text: string): TextLine[] {
  const lines: TextLine[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = trimBlanks(line);
    if (trimmed !== '' && !trimmed.startsWith('#')) lines.push({ number: index + 1, text: trimmed });
  }
  return lines;
}

/** Without the ASCII white space around it: what mosquitto trims. Other spaces may belong to a name. */
export function trimBlanks(text: string): string {
  return text.replace(/^[ \t\r\v\f]+/, '').replace(/[ \t\r\v\f]+$/, '');
}

/** Undefined where `bytes` are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
