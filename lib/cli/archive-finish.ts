import { SprawlError } from '../contracts/errors.js';
import { askedUrl } from './asked-gateway.js';
import type { Invocation, World } from './command.js';
import { ExitCode } from './exit-code.js';
import { askGateway, expectAnswer } from './gateway-http.js';

interface Begun {
  readonly gateway: string;
  readonly archivedUpTo: number;
  readonly upTo: number;
}

const BAD_REQUEST = 400;

/** `archive finish`: has a running gateway bring what it keeps of the archive of another one into it. @throws SprawlError HTTP_FAILED */
export async function runArchiveFinish(invocation: Invocation, world: World): Promise<number> {
  const url = askedUrl(invocation, world);
  const [gateway] = invocation.positionals;
  const body = JSON.stringify({ gateway, giveUpRest: invocation.has('give-up-rest') });
  const answer = await askGateway(url, '/api/v1/archive/finish', new TextEncoder().encode(body));
  if (answer.status === BAD_REQUEST) {
    const { message } = JSON.parse(answer.text) as { readonly message: string };
    throw new SprawlError('HTTP_FAILED', message, { details: { url } });
  }
  expectAnswer(url, answer);
  const begun = JSON.parse(answer.text) as Begun;
  world.stdout.write(invocation.has('json') ? `${JSON.stringify(begun, undefined, 2)}\n` : textOf(begun));
  return ExitCode.done;
}

function textOf({ gateway, archivedUpTo, upTo }: Begun): string {
  if (upTo <= archivedUpTo)
    return `nothing of ${gateway} waits: its archive is there up to ${archivedUpTo}\n`;
  return `the archive of ${gateway} goes on behind ${archivedUpTo} and ends with ${upTo}: "sprawl-edge archive status" shows how far it is\n`;
}
