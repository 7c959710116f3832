/** A program of an image or a package, as another user where this one is root. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cleanCommand, cleanEnvironment } from '../support/clean-process.js';

/** Of images and of Debian's first user; it need not be known here. */
export const OTHER_USER = 1000;
export const isRoot = process.getuid?.() === 0;

export class PackedProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  output = '';

  constructor(command: readonly string[], env: Readonly<Record<string, string>>, input = '') {
    const [file = '', ...args] = command;
    this.child = spawn(...cleanCommand(file, args), {
      cwd: '/',
      env: { ...cleanEnvironment(), ...env },
      ...(isRoot ? { uid: OTHER_USER, gid: OTHER_USER } : {}),
    });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
        this.child.emit('told');
      });
    this.child.stdin?.on('error', () => undefined); // It may end before it has read everything.
    this.child.stdin?.end(input);
    this.ended = once(this.child, 'close').then(([code]) => (typeof code === 'number' ? code : null));
  }

  /** Resolves once it has printed `text`; rejects where it ends before. */
  async told(text: string): Promise<void> {
    const gone = this.ended.then(() =>
      Promise.reject(new Error(`it ended without "${text}": ${this.output}`)),
    );
    gone.catch(() => undefined); // Only the race below looks at it.
    while (!this.output.includes(text)) await Promise.race([once(this.child, 'told'), gone]);
  }
}

/** Of certificates: tests run without those that a proxy may need. */
const NO_WAY =
  /ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|npm: not found|\bSELF_SIGNED_CERT|UNABLE_TO_(?:VERIFY|GET_ISSUER)/;

/** What stands in the way of an install here and not at another place; undefined: nothing. */
export function unreachable(output: string): string | undefined {
  return NO_WAY.exec(output)?.[0];
}
