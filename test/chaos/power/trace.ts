/** What strace wrote of a process: its system calls one after the other, as they began and as they ended. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

export interface SystemCall {
  readonly name: string;
  /** As strace wrote them; all of them once it has ended. */
  readonly args: string;
  /** -1 where it failed; undefined until it has ended, and where the process ended in it. */
  readonly result: number | undefined;
}

export interface CallVisitor {
  began(call: SystemCall): void | Promise<void>;
  ended(call: SystemCall): void | Promise<void>;
}

/** Everything that the model of a disk and of the sockets needs; -xx: strings are bytes in hexadecimal. */
export const TRACE_OPTIONS: readonly string[] = [
  ...['-q', '-xx', '-s', '16777216', '-e'],
  'trace=openat,read,write,writev,pwrite64,pwritev,fdatasync,fsync,rename,ftruncate,unlink,mkdir,rmdir,close,accept4',
];

const CALL = /^(\d+) +([a-z0-9_]+)\((.*)$/s;
const RESUMED = /^(\d+) +<\.\.\. ([a-z0-9_]+) resumed>(.*)$/s;
const UNFINISHED = ' <unfinished ...>';
const END = /^(.*)\) += (-?\d+)(?: .*)?$/s;

/** @throws Error for a line that is none of strace's. */
export async function readTrace(path: string, visitor: CallVisitor): Promise<void> {
  /** By thread. */
  const begun = new Map<string, string>();
  for await (const line of createInterface({ input: createReadStream(path, { encoding: 'latin1' }) })) {
    const resumed = RESUMED.exec(line);
    if (resumed !== null) {
      const [, thread = '', name = '', rest = ''] = resumed;
      const end = parseEnd((begun.get(thread) ?? '') + rest);
      begun.delete(thread);
      if (end !== undefined) await visitor.ended({ name, ...end });
      continue;
    }
    const call = CALL.exec(line);
    if (call === null) {
      // Exits, signals, and a call of a thread that was killed before strace saw which.
      if (/^\d+ +(\+\+\+|---|\?\?\?\(|<\.\.\. \?\?\? )/.test(line)) continue;
      throw new Error(`no system call: ${line.slice(0, 200)}`);
    }
    const [, thread = '', name = '', rest = ''] = call;
    if (rest.endsWith(UNFINISHED)) {
      const args = rest.slice(0, -UNFINISHED.length);
      begun.set(thread, args);
      await visitor.began({ name, args, result: undefined });
      continue;
    }
    const end = parseEnd(rest);
    if (end === undefined) continue;
    await visitor.began({ name, args: end.args, result: undefined });
    await visitor.ended({ name, ...end });
  }
}

/** @returns undefined for a call that the process did not come back from. */
function parseEnd(text: string): { readonly args: string; readonly result: number } | undefined {
  const end = END.exec(text);
  if (end === null) return undefined;
  return { args: end[1] ?? '', result: Number(end[2]) };
}

/** The first argument as a number: a file descriptor. */
export function descriptorOf({ args }: SystemCall): number {
  return Number.parseInt(args, 10);
}

/** All strings among the arguments. */
export function stringsOf({ args }: SystemCall): Buffer[] {
  return [...args.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, text = '']) =>
    Buffer.from(text.replaceAll('\\x', ''), 'hex'),
  );
}

/** The last argument as a number. */
export function lastNumberOf({ args }: SystemCall): number {
  return Number(args.slice(args.lastIndexOf(',') + 1));
}
