import { usageError } from '../arguments.js';
import type { Invocation } from '../command.js';
import { compileFormat, type ReceivedMessage } from './message-format.js';

/** What is printed of a message, with the end of its line. */
export type MessagePrinter = (message: ReceivedMessage) => Buffer;

/** By `-F` and `-N`. @param usual the format where there is no `-F` @throws SprawlError USAGE */
export function printerOf(invocation: Invocation, usual: string): MessagePrinter {
  const format = invocation.value('format') ?? usual;
  const end = Buffer.from(invocation.has('no-newline') ? '' : '\n');
  try {
    const render = compileFormat(format);
    return (message) => Buffer.concat([render(message), end]);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw usageError(invocation.command, `-F: ${JSON.stringify(error.message)} means nothing`);
  }
}
