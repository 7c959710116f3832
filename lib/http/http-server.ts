/**
 * Health and metrics over HTTP. Small answers to questions without a body; everything else is refused in JSON, and what a
 * client does wrong ends at most its own connection.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { listenFailure } from '../contracts/listen-failure.js';
import type { Logger } from '../contracts/logger.js';
import { isLoopbackAddress, namesLoopback } from './host-check.js';
import {
  CLOSE_GRACE_MS,
  CONNECTIONS_MAX_COUNT,
  HEADERS_MAX_BYTES,
  HEADERS_TIMEOUT_MS,
  KEEP_ALIVE_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
  SOCKET_TIMEOUT_MS,
} from './limits.js';
import { faultResponse, headersOf, HttpFault } from './response.js';
import {
  type HttpResponse,
  type Route,
  RouteTable,
  type StreamResponse,
  type TextResponse,
} from './route.js';
import { createRoutes, type RouteOptions } from './routes.js';

const BODY_TYPE = 'application/octet-stream';
const NO_BODY = new Uint8Array(0);

export interface HttpServerOptions extends RouteOptions {
  readonly host: string;
  /** 0 is any free port. */
  readonly port: number;
  readonly logger: Logger;
}

export interface HttpServer {
  /** @throws SprawlError LISTEN_FAILED */
  listen(): Promise<AddressInfo>;
  /** Takes no more connections, lets answers under way leave, then cuts the rest. Idempotent. */
  close(): Promise<void>;
}

export function createHttpServer(options: HttpServerOptions): HttpServer {
  return new NodeHttpServer(options);
}

class NodeHttpServer implements HttpServer {
  readonly #options: HttpServerOptions;
  readonly #routes: RouteTable;
  readonly #server: Server;
  #onLoopback = false;
  #closed: Promise<void> | undefined;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#routes = new RouteTable(createRoutes(options));
    this.#server = createServer({
      maxHeaderSize: HEADERS_MAX_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      connectionsCheckingInterval: 1000,
      // Asked for in #refusal, so that the answer is JSON too.
      requireHostHeader: false,
    });
    this.#server.maxConnections = CONNECTIONS_MAX_COUNT;
    this.#server.timeout = SOCKET_TIMEOUT_MS;
    const answer = (request: IncomingMessage, response: ServerResponse): void =>
      void this.#answer(request, response);
    this.#server.on('request', answer);
    // `Expect: 100-continue`: whoever asks before sending its body is told no like everyone else.
    this.#server.on('checkContinue', answer);
    this.#server.on('clientError', answerClientError);
  }

  async listen(): Promise<AddressInfo> {
    const { host, port, logger } = this.#options;
    await new Promise<void>((resolve, reject) => {
      const keys = { hostKey: 'http.host', portKey: 'http.port (--http-port)' };
      const failed = (error: Error): void =>
        reject(listenFailure({ listener: 'http', host, port, ...keys }, error));
      this.#server.once('error', failed);
      this.#server.listen(port, host, () => {
        this.#server.off('error', failed);
        resolve();
      });
    });
    // A connection that cannot be accepted, e.g. for want of file descriptors, is no reason to end.
    this.#server.on('error', (error) => logger.warn('the HTTP listener failed', { error: error.message }));
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has an address');
    this.#onLoopback = isLoopbackAddress(address.address);
    return address;
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      const cut = setTimeout(() => this.#server.closeAllConnections(), CLOSE_GRACE_MS);
      this.#server.close(() => {
        clearTimeout(cut);
        resolve();
      });
      this.#server.closeIdleConnections();
    });
    return this.#closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const answer = await this.#respond(request, gone.signal);
    if ('chunks' in answer) return this.#stream(request, response, answer);
    if (response.destroyed) return;
    // Nobody reads a body: after one the connection is of no more use.
    if (hasBody(request)) response.setHeader('Connection', 'close');
    response.writeHead(answer.status, headersOf(answer));
    response.end(answer.body);
  }

  /** What fails on the way cuts the connection: the client sees that the answer is not whole. */
  async #stream(request: IncomingMessage, response: ServerResponse, answer: StreamResponse): Promise<void> {
    const chunks = answer.chunks[Symbol.asyncIterator]();
    try {
      if (!response.destroyed) response.writeHead(answer.status, headersOf(answer));
      // Whether it is the client that is slow, or we are.
      const isWanted = (): boolean => request.method !== 'HEAD' && !response.destroyed;
      while (isWanted()) {
        request.socket.setTimeout(0);
        const { done, value } = await chunks.next();
        request.socket.setTimeout(SOCKET_TIMEOUT_MS);
        if (done === true) break;
        if (!response.write(value) && isWanted()) await drained(response);
      }
      response.end();
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      if (!response.destroyed) this.#options.logger.warn('an HTTP answer was cut off', { error: text });
      // What was written before leaves first, without the chunk that ends an answer.
      request.socket.destroySoon();
    } finally {
      await chunks.return?.();
    }
  }

  async #respond(request: IncomingMessage, signal: AbortSignal): Promise<HttpResponse> {
    const refusal = this.#refusal(request);
    if (refusal !== undefined) return refusal;
    const { path, query } = splitTarget(request.url ?? '/');
    const match = this.#routes.find(request.method ?? '', path);
    switch (match.kind) {
      case 'none':
        return faultResponse(HttpFault.notFound, 'nothing has this path; GET / lists what there is');
      case 'method':
        return faultResponse(HttpFault.methodNotAllowed, `this path takes ${match.allow}`, {
          Allow: match.allow,
        });
      case 'found':
        break;
    }
    const { method, route } = match;
    if ((route.method !== 'GET' || route.isLocal === true) && !isFromHere(request))
      return faultResponse(
        HttpFault.notLocal,
        'only a program on the machine of the gateway may ask for this, by a name of loopback (localhost, 127.0.0.1 or [::1])',
      );
    try {
      const body = await bodyOf(request, route);
      if (!(body instanceof Uint8Array)) return body;
      return await route.handle({ method, path, query, headers: request.headers, body, signal });
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#options.logger.error('an HTTP request failed: a bug', { method, path, error: text });
      return faultResponse(HttpFault.internal, 'a bug; the log of the gateway says more');
    }
  }

  #refusal(request: IncomingMessage): HttpResponse | undefined {
    const { host } = request.headers;
    if (host === undefined) {
      // HTTP/1.0 has no Host, and no browser speaks it.
      if (request.httpVersion === '1.0') return undefined;
      return faultResponse(HttpFault.badRequest, 'the request has no Host header');
    }
    if (!this.#onLoopback || namesLoopback(host)) return undefined;
    this.#options.logger.debug('an HTTP request was refused for its Host header', { host });
    return faultResponse(
      HttpFault.forbiddenHost,
      'the Host header does not name this machine (localhost, 127.0.0.1 or [::1]): while the gateway listens on loopback, other names are refused, since a web page could use them to ask through a browser on this machine',
    );
  }
}

/** Also where we listen on other addresses a web page may know a name of loopback: see host-check.ts. */
function isFromHere({ socket, headers }: IncomingMessage): boolean {
  return (
    isLoopbackAddress(socket.remoteAddress ?? '') &&
    (headers.host === undefined || namesLoopback(headers.host))
  );
}

/** Resolves when more is taken, or the connection is over. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}

/** @returns why the request is refused, where it is */
async function bodyOf(request: IncomingMessage, route: Route): Promise<Uint8Array | HttpResponse> {
  const { method, bodyMaxBytes = 0 } = route;
  if (method === 'GET') {
    if (!hasBody(request)) return NO_BODY;
    return faultResponse(HttpFault.bodyNotTaken, 'this path takes no body; ask without one');
  }
  if (request.headers['content-type'] !== BODY_TYPE)
    return faultResponse(
      HttpFault.contentType,
      `this path takes a body of the type ${BODY_TYPE}, which may be empty`,
    );
  try {
    return await readBody(request, bodyMaxBytes);
  } catch {
    // Whoever asked has gone before its body was here: nobody reads the answer.
    return faultResponse(HttpFault.badRequest, 'the body did not come whole');
  }
}

async function readBody(request: IncomingMessage, maxBytes: number): Promise<Uint8Array | HttpResponse> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Uint8Array>) {
    bytes += part.length;
    if (bytes > maxBytes)
      return faultResponse(HttpFault.bodyNotTaken, `the body is larger than ${maxBytes} bytes`);
    parts.push(part);
  }
  return Uint8Array.from(Buffer.concat(parts));
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function splitTarget(target: string): { path: string; query: string } {
  const mark = target.indexOf('?');
  return mark < 0
    ? { path: target, query: '' }
    : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

/** Bytes that are no request: there is no response object yet. */
function answerClientError(error: Error & { code?: string }, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const response = clientErrorResponse(error.code);
  const headers = Object.entries({ ...headersOf(response), Connection: 'close' })
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
  socket.end(`HTTP/1.1 ${response.status} Refused\r\n${headers}\r\n${response.body}`, () => socket.destroy());
}

function clientErrorResponse(code: string | undefined): TextResponse {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return faultResponse(
        HttpFault.headersTooLarge,
        `request line and headers take more than ${HEADERS_MAX_BYTES} bytes`,
      );
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return faultResponse(HttpFault.timeout, 'the request did not arrive in time');
    default:
      return faultResponse(HttpFault.badRequest, 'this is no HTTP/1.1 request');
  }
}
