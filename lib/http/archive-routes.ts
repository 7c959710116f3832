/** Archived messages over HTTP: lines of JSON, as fast as they are taken. */
import type { ArchivesStatus, ServedStatus } from '../contracts/archive-status.js';
import { SprawlError } from '../contracts/errors.js';
import { isValidTopicFilter } from '../protocol/topic.js';
import { realClock } from '../real-clock.js';
import { parseTimeText, TIME_FORMS } from '../time-text.js';
import { ARCHIVE_LIMIT_COUNT, ARCHIVE_READERS_MAX_COUNT, LOG_READERS_MAX_COUNT } from './limits.js';
import { faultResponse, HttpFault, json } from './response.js';
import type { HttpRequest, HttpResponse, Route } from './route.js';

export interface ArchiveQuery {
  /** First characters of the ids of gateways; none: all of them. */
  readonly origins: readonly string[];
  /** Milliseconds since 1970, included; -Infinity: from the beginning. */
  readonly fromMs: number;
  /** Not included; Infinity: to the end. */
  readonly toMs: number;
  /** Valid topic filters; none: every topic. */
  readonly filters: readonly string[];
  /** Messages at most. */
  readonly limit: number;
  /** Nobody wants them any more. */
  readonly signal: AbortSignal;
}

/** Which part of the log of the gateway is wanted. */
export interface LogQuery {
  /** Positions behind this one, */
  readonly after: number;
  /** and up to this one, as far as it goes. */
  readonly upTo: number;
  /** Nobody wants it any more. */
  readonly signal: AbortSignal;
}

/** The archive that the gateway writes to. */
export interface ArchiveView {
  status(): ArchivesStatus;
  /** Lines of JSON, as they are asked for. @throws SprawlError ARCHIVE_… */
  messages(query: ArchiveQuery): AsyncIterable<Uint8Array>;
  /** Lines of JSON, as they are asked for. */
  log(query: LogQuery): AsyncIterable<Uint8Array>;
  /** Brings what is kept here of the archive of another gateway into it. @returns why not, as text */
  finish(gateway: string, tellsRest: boolean): FinishBegun | string;
}

/** Positions of the log of the gateway. */
export interface FinishBegun {
  readonly gateway: string;
  readonly archivedUpTo: number;
  readonly upTo: number;
}

/** What the gateway does in its archive for others. */
export interface ServedView {
  status(): ServedStatus;
}

const NDJSON_CONTENT_TYPE = 'application/x-ndjson; charset=utf-8';
const ID_START = /^[0-9a-f]{1,64}$/;
const PARAMETERS = ['topic', 'from', 'to', 'origin', 'limit'];
const FINISH_MAX_BYTES = 1024;

/** @param archive undefined: the gateway has none @param served undefined: it archives for nobody else */
export function createArchiveRoutes(
  archive: ArchiveView | undefined,
  served: ServedView | undefined,
): readonly Route[] {
  const archiveReaders = new Readers(ARCHIVE_READERS_MAX_COUNT, 'the archive');
  const logReaders = new Readers(LOG_READERS_MAX_COUNT, 'the log');
  return [
    {
      method: 'GET',
      path: '/api/v1/archive',
      summary: 'how far the archive is, and what waits',
      handle: () => (archive === undefined ? nothingArchived() : json(200, archive.status())),
    },
    {
      method: 'GET',
      path: '/api/v1/archive/served',
      summary: 'what it archives for other gateways',
      handle: () =>
        served === undefined
          ? faultResponse(
              HttpFault.notFound,
              'this gateway archives for no other one: archive.forPeers says whether it does',
            )
          : json(200, served.status()),
    },
    {
      method: 'GET',
      path: '/api/v1/archive/messages',
      summary: 'archived messages as lines of JSON',
      isLocal: true,
      handle: async (request) => {
        if (archive === undefined) return nothingArchived();
        const query = queryOf(request);
        if (typeof query === 'string') return faultResponse(HttpFault.badRequest, query);
        return archiveReaders.begin(request, () => archive.messages(query));
      },
    },
    {
      method: 'GET',
      path: '/api/v1/archive/log',
      summary: 'what the log has that the archive is to have, to compare them',
      isLocal: true,
      handle: async (request) => {
        if (archive === undefined) return nothingArchived();
        const query = logQueryOf(request);
        if (typeof query === 'string') return faultResponse(HttpFault.badRequest, query);
        return logReaders.begin(request, () => archive.log(query));
      },
    },
    {
      method: 'POST',
      path: '/api/v1/archive/finish',
      summary: 'finishes the archive of a gateway that is gone, from what is kept here',
      bodyMaxBytes: FINISH_MAX_BYTES,
      handle: ({ body }) => {
        if (archive === undefined) return nothingArchived();
        const wanted = finishOf(body);
        if (typeof wanted === 'string') return faultResponse(HttpFault.badRequest, wanted);
        const answer = archive.finish(wanted.gateway, wanted.giveUpRest);
        return typeof answer === 'string' ? faultResponse(HttpFault.badRequest, answer) : json(200, answer);
      },
    },
  ];
}

/** Each holds a part of what it reads in memory: there are not many at a time. */
class Readers {
  readonly #maxCount: number;
  readonly #what: string;
  #count = 0;

  constructor(maxCount: number, what: string) {
    this.#maxCount = maxCount;
    this.#what = what;
  }

  async begin({ signal }: HttpRequest, read: () => AsyncIterable<Uint8Array>): Promise<HttpResponse> {
    if (this.#count >= this.#maxCount)
      return faultResponse(
        HttpFault.unavailable,
        `${this.#maxCount} others read ${this.#what}: ask again when one is done`,
      );
    this.#count++;
    return begun(read(), signal, () => this.#count--);
  }
}

/** @returns what is wrong with it, as text */
function logQueryOf({ query, signal }: HttpRequest): LogQuery | string {
  const given = new URLSearchParams(query);
  const unknown = [...given.keys()].find((name) => name !== 'after' && name !== 'upTo');
  if (unknown !== undefined) return 'this path takes after, upTo and nothing else';
  const [afterText, upToText] = [given.get('after'), given.get('upTo')];
  const after = afterText === null ? 0 : positionOf(afterText);
  const upTo = upToText === null ? Infinity : positionOf(upToText);
  if (after === undefined || upTo === undefined)
    return 'after and upTo are positions of the log: whole numbers';
  return { after, upTo, signal };
}

const positionOf = (text: string): number | undefined => (/^\d{1,15}$/.test(text) ? Number(text) : undefined);

function finishOf(body: Uint8Array): { readonly gateway: string; readonly giveUpRest: boolean } | string {
  const form = 'the body is JSON with gateway, a text, and giveUpRest, true or false';
  try {
    const fields: unknown = JSON.parse(Buffer.from(body).toString('utf8'));
    const { gateway, giveUpRest = false } = fields as Readonly<Record<string, unknown>>;
    return typeof gateway === 'string' && gateway !== '' && typeof giveUpRest === 'boolean'
      ? { gateway, giveUpRest }
      : form;
  } catch {
    return form;
  }
}

function nothingArchived(): HttpResponse {
  return faultResponse(
    HttpFault.notFound,
    'this gateway archives nothing: archive.topics says what is to be archived',
  );
}

/** @returns what is wrong with it, as text */
function queryOf({ query, signal }: HttpRequest): ArchiveQuery | string {
  const given = new URLSearchParams(query);
  const nowMs = realClock.wall();
  const unknown = [...given.keys()].find((name) => !PARAMETERS.includes(name));
  if (unknown !== undefined) return `this path takes ${PARAMETERS.join(', ')} and nothing else`;
  const [fromText, toText, limitText] = [given.get('from'), given.get('to'), given.get('limit')];
  const fromMs = fromText === null ? -Infinity : parseTimeText(fromText, nowMs);
  const toMs = toText === null ? Infinity : parseTimeText(toText, nowMs);
  const limit = limitText === null ? ARCHIVE_LIMIT_COUNT : countOf(limitText);
  const filters = given.getAll('topic');
  const origins = given.getAll('origin').map((text) => text.toLowerCase());
  if (fromMs === undefined || toMs === undefined) return `from and to are ${TIME_FORMS}`;
  if (fromMs >= toMs) return 'from is not before to: no message can be';
  if (limit === undefined) return 'limit is a whole number from 1 on';
  if (!filters.every((filter) => isValidTopicFilter(filter)))
    return 'topic is a topic filter: + stands for one whole level, # for all at the end (%2B and %23 in a URL)';
  if (!origins.every((text) => ID_START.test(text))) return 'origin is the beginning of an id of a gateway';
  return { origins, fromMs, toMs, filters, limit, signal };
}

function countOf(text: string): number | undefined {
  const count = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  return count > 0 ? count : undefined;
}

/** Waits for the first lines: what goes wrong before them has a status of its own. @param onEnd called once */
async function begun(
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  onEnd: () => void,
): Promise<HttpResponse> {
  const source = chunks[Symbol.asyncIterator]();
  let isOver = false;
  const end = (): void => {
    if (!isOver) onEnd();
    isOver = true;
  };
  let first: IteratorResult<Uint8Array> | undefined;
  try {
    first = await source.next();
  } catch (error) {
    end();
    // Nobody reads this answer.
    if (signal.aborted) return faultResponse(HttpFault.badRequest, 'whoever asked has gone');
    return failureOf(error);
  }
  const next = async (): Promise<IteratorResult<Uint8Array>> => {
    try {
      const result = first ?? (await source.next());
      first = undefined;
      if (result.done === true) end();
      return result;
    } catch (error) {
      end();
      throw error;
    }
  };
  const stop = async (): Promise<IteratorResult<Uint8Array>> => {
    end();
    await source.return?.();
    return { done: true, value: undefined };
  };
  const iterator = { next, return: stop };
  return {
    ...{ status: 200, contentType: NDJSON_CONTENT_TYPE },
    chunks: { [Symbol.asyncIterator]: () => iterator },
  };
}

/** @throws what is a bug */
function failureOf(error: unknown): HttpResponse {
  if (!(error instanceof SprawlError)) throw error;
  const fault = error.code === 'ARCHIVE_MISSING' ? HttpFault.notFound : HttpFault.unavailable;
  return faultResponse(fault, error.message);
}
