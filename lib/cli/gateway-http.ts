import type { Config } from '../config/index.js';
import { SprawlError } from '../contracts/errors.js';

const TIMEOUT_MS = 5000;
const DEFAULT_URL = 'http://127.0.0.1:8880';
/** An answer of a gateway that says why not is not longer. */
const REASON_MAX_CHARS = 300;

/** Where a gateway with this configuration answers HTTP. */
export function urlOf({ http }: Config): string {
  if (http.port === false || http.port === 0) return DEFAULT_URL;
  const host = http.host === '0.0.0.0' || http.host === '::' ? '127.0.0.1' : http.host;
  return `http://${host.includes(':') ? `[${host}]` : host}:${http.port}`;
}

/** Below the path of the URL, too: a proxy may have put the gateway there. */
const addressOf = (url: string, path: string): URL =>
  new URL(`${new URL(url).pathname.replace(/\/$/, '')}${path}`, url);

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Asks a running gateway; whatever it answers is an answer. @throws SprawlError HTTP_FAILED where none comes */
export async function askGateway(url: string, path: string, body?: Uint8Array<ArrayBuffer>): Promise<Answer> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const headers = { 'content-type': 'application/octet-stream' };
    const post = body === undefined ? {} : { method: 'POST', headers, body };
    const response = await fetch(addressOf(url, path), { ...post, signal });
    return { status: response.status, text: await response.text() };
  } catch (error) {
    throw noAnswer(url, error);
  }
}

/** Lines of an answer, as they are asked for: however long it is, little of it is in memory. @throws SprawlError HTTP_FAILED */
export async function* askForLines(url: string, path: string): AsyncGenerator<string> {
  const response = await fetch(addressOf(url, path)).catch((error: unknown) => {
    throw noAnswer(url, error);
  });
  if (!response.ok || response.body === null) {
    expectAnswer(url, { status: response.status, text: await response.text() });
    return;
  }
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for await (const bytes of response.body) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
  } catch (error) {
    throw new SprawlError('HTTP_FAILED', `the gateway at ${url} broke off its answer: ${reasonOf(error)}`, {
      ...{ details: { url }, retryable: true, cause: error },
    });
  }
}

function noAnswer(url: string, error: unknown): SprawlError {
  return new SprawlError(
    'HTTP_FAILED',
    `no gateway answers at ${url}: ${reasonOf(error)}; is it running? --url, or the configuration with --config, says where it answers`,
    { details: { url }, cause: error },
  );
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof Error && 'code' in cause && cause.code === 'ERR_SSL_WRONG_VERSION_NUMBER')
    return 'what answers there speaks no TLS, and a gateway takes http://';
  return cause instanceof Error ? cause.message : String(cause);
}

/** @throws SprawlError MESH_MISSING where the gateway is in no mesh, HTTP_FAILED for every other answer but 2xx */
export function expectDone(url: string, { status, text }: Answer): void {
  if (status === 404) {
    throw new SprawlError(
      'MESH_MISSING',
      `the gateway at ${url} is in no mesh: "sprawl-edge join" with a swarm key joins one, "sprawl-edge init" makes one`,
      { details: { url } },
    );
  }
  expectAnswer(url, { status, text });
}

/** @throws SprawlError HTTP_FAILED for every answer but 2xx */
export function expectAnswer(url: string, { status, text }: Answer): void {
  if (status >= 200 && status < 300) return;
  const said = text.trim().split('\n')[0]?.slice(0, REASON_MAX_CHARS) ?? '';
  throw new SprawlError(
    'HTTP_FAILED',
    `the gateway at ${url} answered ${status}${said === '' ? '' : `: ${said}`}`,
    {
      details: { url, status },
    },
  );
}
