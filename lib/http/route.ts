import type { IncomingHttpHeaders } from 'node:http';

/** Methods that a route may have; HEAD is answered by GET without its body. */
export type HttpMethod = 'DELETE' | 'GET' | 'POST' | 'PUT';

export interface HttpRequest {
  readonly method: HttpMethod;
  readonly path: string;
  /** What follows `?`, as it came. */
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
  /** Empty where the route takes none. */
  readonly body: Uint8Array;
  /** Whoever asked has gone. */
  readonly signal: AbortSignal;
}

interface AnswerHead {
  readonly status: number;
  readonly contentType: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface TextResponse extends AnswerHead {
  readonly body: string;
}

/** What comes one after the other, as fast as it is taken; whoever reads it ends it (`return`). */
export interface StreamResponse extends AnswerHead {
  readonly chunks: AsyncIterable<Uint8Array>;
}

export type HttpResponse = TextResponse | StreamResponse;

export interface Route {
  /**
   * What is not GET changes something: only a program on this machine may ask for it, with a body (which may be empty) of
   * the type `application/octet-stream`: no page of the web can send that without asking first.
   */
  readonly method: HttpMethod;
  /** Whole and exact. */
  readonly path: string;
  /** What it is for, in a few words; shown at `/`. */
  readonly summary: string;
  /** Of the body of what is not GET. Default: 0. */
  readonly bodyMaxBytes?: number;
  /** It shows what only programs on this machine may see. What is not GET is for them alone in any case. */
  readonly isLocal?: true;
  /** What it throws is logged and answered with 500. */
  handle(request: HttpRequest): HttpResponse | Promise<HttpResponse>;
}

export type RouteMatch =
  { kind: 'found'; method: HttpMethod; route: Route } | { kind: 'method'; allow: string } | { kind: 'none' };

/** Routes by path and method. */
export class RouteTable {
  readonly #byPath = new Map<string, Map<string, Route>>();

  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      const methods = this.#byPath.get(route.path) ?? new Map<string, Route>();
      if (methods.has(route.method)) throw new Error(`two routes for ${route.method} ${route.path}`);
      this.#byPath.set(route.path, methods.set(route.method, route));
    }
  }

  find(method: string, path: string): RouteMatch {
    const methods = this.#byPath.get(path);
    if (methods === undefined) return { kind: 'none' };
    const route = methods.get(method === 'HEAD' ? 'GET' : method);
    if (route === undefined) return { kind: 'method', allow: allowOf(methods) };
    return { kind: 'found', method: route.method, route };
  }
}

function allowOf(methods: ReadonlyMap<string, Route>): string {
  const names = [...methods.keys()].flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
  return names.sort().join(', ');
}
