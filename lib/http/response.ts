import type { HttpResponse, TextResponse } from './route.js';

export const JSON_CONTENT_TYPE = 'application/json; charset=utf-8';

/** Why a request is not answered with what it asked for; the words stand in the answer's `error`. */
export const HttpFault = {
  badRequest: { status: 400, error: 'bad_request' },
  forbiddenHost: { status: 403, error: 'forbidden_host' },
  notLocal: { status: 403, error: 'not_local' },
  notFound: { status: 404, error: 'not_found' },
  methodNotAllowed: { status: 405, error: 'method_not_allowed' },
  timeout: { status: 408, error: 'timeout' },
  bodyNotTaken: { status: 413, error: 'body_not_taken' },
  contentType: { status: 415, error: 'content_type' },
  headersTooLarge: { status: 431, error: 'headers_too_large' },
  internal: { status: 500, error: 'internal' },
  unavailable: { status: 503, error: 'unavailable' },
} as const satisfies Record<string, { status: number; error: string }>;
export type HttpFault = (typeof HttpFault)[keyof typeof HttpFault];

export function json(status: number, value: unknown): TextResponse {
  return { status, contentType: JSON_CONTENT_TYPE, body: `${JSON.stringify(value)}\n` };
}

/** @param message one line that says what is wrong and what to do about it; nothing of the request is repeated in it. */
export function faultResponse(
  fault: HttpFault,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): TextResponse {
  return { ...json(fault.status, { error: fault.error, message }), headers };
}

/** Headers of every answer. Nothing here may be stored, guessed at or shown inside another page. */
export function headersOf(response: HttpResponse): Record<string, string> {
  return {
    'Content-Type': response.contentType,
    ...('body' in response ? { 'Content-Length': String(Buffer.byteLength(response.body)) } : {}),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...response.headers,
  };
}
