/**
 * A small S3 server in memory, as much of it as an archive needs: path style, conditional creation, checksums, parts, ranges, lists in
 * pages, signatures of version 4, lifecycle rules (kept, and never carried out), versions where they are enabled. It fails as it is told to.
 */
import { createHash, createHmac } from 'node:crypto';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { crc32 } from 'node:zlib';

export interface S3ServerOptions {
  readonly bucket?: string;
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  /** Whether `If-None-Match` counts; `refused`: 501. */
  readonly conditional?: 'honoured' | 'ignored' | 'refused';
  readonly pageMaxKeys?: number;
  readonly versioning?: 'Enabled' | 'Suspended' | '';
}

/**
 * What the server does with one request. `hangBefore`, `hangAfter`: no answer comes, and nothing or everything was done. `cut`: half of the body.
 * `doubled`: it is done twice, and the answer is that of the second time. `agreed`: what is there already is said to be created.
 */
export type S3Fault =
  | { readonly kind: 'answer'; readonly status: number; readonly code: string }
  | { readonly kind: 'hangBefore' | 'hangAfter' | 'cut' | 'reset' | 'doubled' | 'agreed' };

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

interface PendingUpload {
  readonly key: string;
  readonly parts: Map<number, Buffer>;
  readonly begun: string;
  /** Of the request that began it. */
  readonly headers?: IncomingHttpHeaders;
}

/** undefined: a delete marker. */
interface Version {
  readonly id: string;
  readonly body: Buffer | undefined;
}

const NONE = Buffer.alloc(0);

export class S3Server {
  readonly objects = new Map<string, Buffer>();
  /** Of each key, oldest first; only where versioning is enabled. */
  readonly versions = new Map<string, Version[]>();
  /** `x-amz-meta-…` of each object that has some. */
  readonly metadata = new Map<string, Readonly<Record<string, string>>>();
  readonly uploads = new Map<string, PendingUpload>();
  /** As it was put, XML; undefined: there are none. */
  lifecycle: string | undefined;
  /** `x-amz-transition-default-minimum-object-size`. */
  minimumSize = 'all_storage_classes_128K';
  /** `PUT key?query`, in order. */
  readonly asked: string[] = [];
  fault: (method: string, target: string) => S3Fault | undefined = () => undefined;
  readonly #options: Required<S3ServerOptions>;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #begunCount = 0;
  #versionCount = 0;

  constructor(options: S3ServerOptions = {}) {
    this.#options = {
      ...{ bucket: 'bucket', accessKeyId: 'AKTEST', secretAccessKey: 'very secret', conditional: 'honoured' },
      ...{ pageMaxKeys: 1000, versioning: '' },
      ...options,
    };
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const { pathname, searchParams } = new URL(request.url ?? '', this.endpoint);
    const [bucket = '', ...names] = decodeURIComponent(pathname).slice(1).split('/');
    const key = names.join('/');
    const method = request.method ?? '';
    const target = `${key}${searchParams.size === 0 ? '' : `?${searchParams.toString()}`}`;
    this.asked.push(`${method} ${target}`);
    const fault = this.fault(method, target);
    if (fault?.kind === 'hangBefore') return;
    if (fault?.kind === 'reset') {
      request.socket.destroy();
      return;
    }
    const refusal =
      fault?.kind === 'answer' ? errorAnswer(fault.status, fault.code) : this.#refusal(request, bucket, body);
    const done = (): Answer => refusal ?? this.#answer(method, key, searchParams, request, body);
    if (fault?.kind === 'doubled') done();
    const answer = fault?.kind === 'agreed' ? agreed(done()) : done();
    if (fault?.kind === 'hangAfter') return;
    const bytes = Buffer.from(answer.body ?? NONE);
    const length = answer.headers?.['content-length'] ?? `${bytes.length}`;
    response.writeHead(answer.status, { ...answer.headers, 'content-length': length });
    if (fault?.kind === 'cut') {
      response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy());
      return;
    }
    response.end(method === 'HEAD' ? undefined : bytes);
  }

  #refusal(request: IncomingMessage, bucket: string, body: Buffer): Answer | undefined {
    if (!this.#isSigned(request)) return errorAnswer(403, 'SignatureDoesNotMatch');
    if (bucket !== this.#options.bucket) return errorAnswer(404, 'NoSuchBucket');
    const told = request.headers['x-amz-checksum-crc32'];
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32(body));
    return told !== undefined && told !== sum.toString('base64') ? errorAnswer(400, 'BadDigest') : undefined;
  }

  #answer(
    method: string,
    key: string,
    query: URLSearchParams,
    request: IncomingMessage,
    body: Buffer,
  ): Answer {
    if (query.has('lifecycle')) return this.#lifecycle(method, request, body);
    if (query.has('versioning')) return this.#versioning();
    if (key === '' && method === 'GET' && query.has('uploads')) return this.#listUploads(query);
    if (key === '' && method === 'GET') return this.#list(query);
    const uploadId = query.get('uploadId');
    if (method === 'POST' && query.has('uploads')) return this.#beginUpload(key, request);
    if (uploadId !== null) return this.#ofUpload(method, key, uploadId, query, request, body);
    if (method === 'PUT') return this.#create(key, body, request.headers, request.headers);
    if (method === 'DELETE') return this.#remove(key, query.get('versionId'));
    const found = this.objects.get(key);
    if (found === undefined) return this.#missing(key);
    return method === 'HEAD'
      ? { status: 200, headers: { 'content-length': `${found.length}`, etag: etagOf(found) } }
      : rangeOf(found, request.headers.range);
  }

  /** @param begun with the metadata: of the first request of an upload in parts */
  #create(key: string, body: Buffer, headers: IncomingHttpHeaders, begun: IncomingHttpHeaders): Answer {
    const { conditional } = this.#options;
    if (headers['if-none-match'] !== undefined && conditional === 'refused')
      return errorAnswer(501, 'NotImplemented');
    const isOnce = headers['if-none-match'] === '*' && conditional === 'honoured';
    if (isOnce && this.objects.has(key)) return errorAnswer(412, 'PreconditionFailed');
    this.objects.set(key, body);
    this.#addVersion(key, body);
    const metadata = Object.entries(begun).filter(([name]) => name.startsWith('x-amz-meta-'));
    if (metadata.length > 0)
      this.metadata.set(key, Object.fromEntries(metadata.map(([name, value]) => [name, String(value)])));
    return { status: 200, headers: { etag: etagOf(body) } };
  }

  #addVersion(key: string, body: Buffer | undefined): void {
    if (this.#options.versioning !== 'Enabled') return;
    const versions = this.versions.get(key) ?? [];
    this.versions.set(key, [...versions, { id: `v${++this.#versionCount}`, body }]);
  }

  #remove(key: string, versionId: string | null): Answer {
    if (versionId === null) {
      this.objects.delete(key);
      this.#addVersion(key, undefined);
      return { status: 204 };
    }
    const left = (this.versions.get(key) ?? []).filter(({ id }) => id !== versionId);
    this.versions.set(key, left);
    const current = left.at(-1)?.body;
    if (current === undefined) this.objects.delete(key);
    else this.objects.set(key, current);
    return { status: 204 };
  }

  #missing(key: string): Answer {
    const answer = errorAnswer(404, 'NoSuchKey');
    const marker = this.versions.get(key)?.at(-1);
    if (marker === undefined) return answer;
    const told = { 'x-amz-delete-marker': 'true', 'x-amz-version-id': marker.id };
    return { ...answer, headers: { ...answer.headers, ...told } };
  }

  #beginUpload(key: string, { headers }: IncomingMessage): Answer {
    const id = `upload-${++this.#begunCount}`;
    this.uploads.set(id, { key, parts: new Map(), begun: new Date().toISOString(), headers });
    return xml(
      `<InitiateMultipartUploadResult><Key>${key}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
    );
  }

  #ofUpload(
    method: string,
    key: string,
    id: string,
    query: URLSearchParams,
    request: IncomingMessage,
    body: Buffer,
  ): Answer {
    const upload = this.uploads.get(id);
    if (upload === undefined) return errorAnswer(404, 'NoSuchUpload');
    if (method === 'PUT') {
      upload.parts.set(Number(query.get('partNumber')), body);
      return { status: 200, headers: { etag: etagOf(body) } };
    }
    if (method === 'DELETE') {
      this.uploads.delete(id);
      return { status: 204 };
    }
    const numbers = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber>/g)].map((match) =>
      Number(match[1]),
    );
    const parts = numbers.map((number) => upload.parts.get(number));
    if (parts.includes(undefined)) return errorAnswer(400, 'InvalidPart');
    const created = this.#create(
      key,
      Buffer.concat(parts as Buffer[]),
      request.headers,
      upload.headers ?? {},
    );
    if (created.status !== 200) return created;
    this.uploads.delete(id);
    return xml(`<CompleteMultipartUploadResult><Key>${key}</Key></CompleteMultipartUploadResult>`);
  }

  #list(query: URLSearchParams): Answer {
    const prefix = query.get('prefix') ?? '';
    const after = query.get('continuation-token') ?? query.get('start-after') ?? '';
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    const page = keys.slice(0, this.#options.pageMaxKeys);
    const contents = page
      .map((key) => `<Contents><Key>${key}</Key><Size>${this.objects.get(key)?.length}</Size></Contents>`)
      .join('');
    const next =
      page.length < keys.length ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '';
    return xml(`<ListBucketResult><KeyCount>${page.length}</KeyCount>${contents}${next}</ListBucketResult>`);
  }

  #lifecycle(method: string, { headers }: IncomingMessage, body: Buffer): Answer {
    const header = 'x-amz-transition-default-minimum-object-size';
    if (method === 'PUT') {
      this.lifecycle = body.toString();
      // As AWS does: without the header the default of today is taken.
      this.minimumSize = String(headers[header] ?? 'all_storage_classes_128K');
      return { status: 200 };
    }
    if (this.lifecycle === undefined) return errorAnswer(404, 'NoSuchLifecycleConfiguration');
    return { ...xml(''), headers: { [header]: this.minimumSize }, body: this.lifecycle };
  }

  #versioning(): Answer {
    const { versioning } = this.#options;
    const status = versioning === '' ? '' : `<Status>${versioning}</Status>`;
    return xml(`<VersioningConfiguration>${status}</VersioningConfiguration>`);
  }

  #listUploads(query: URLSearchParams): Answer {
    const prefix = query.get('prefix') ?? '';
    const after = `${query.get('key-marker') ?? ''} ${query.get('upload-id-marker') ?? ''}`;
    const all = [...this.uploads]
      .map(([id, { key, begun }]) => ({ id, key, begun, place: `${key} ${id}` }))
      .filter(({ key, place }) => key.startsWith(prefix) && place > after)
      .sort((a, b) => (a.place < b.place ? -1 : 1));
    const page = all.slice(0, this.#options.pageMaxKeys);
    const last = page.at(-1);
    const next =
      page.length === all.length || last === undefined
        ? '<IsTruncated>false</IsTruncated>'
        : `<IsTruncated>true</IsTruncated><NextKeyMarker>${last.key}</NextKeyMarker><NextUploadIdMarker>${last.id}</NextUploadIdMarker>`;
    const uploads = page
      .map(
        ({ id, key, begun }) =>
          `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${begun}</Initiated></Upload>`,
      )
      .join('');
    return xml(`<ListMultipartUploadsResult>${uploads}${next}</ListMultipartUploadsResult>`);
  }

  /** See "Authenticating Requests (AWS Signature Version 4)". */
  #isSigned(request: IncomingMessage): boolean {
    const { accessKeyId, secretAccessKey } = this.#options;
    const { authorization = '' } = request.headers;
    const [, id, scope = '', names = '', signature] =
      /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\S+), ?SignedHeaders=(\S+), ?Signature=(\w+)$/.exec(
        authorization,
      ) ?? [];
    if (id !== accessKeyId) return false;
    const url = new URL(request.url ?? '', this.endpoint);
    const query = [...url.searchParams]
      .map(([name, value]) => `${escaped(name)}=${escaped(value)}`)
      .sort()
      .join('&');
    const headers = names
      .split(';')
      .map((name) => `${name}:${String(request.headers[name]).trim()}\n`)
      .join('');
    const hash = String(request.headers['x-amz-content-sha256']);
    const canonical = [request.method, url.pathname, query, headers, names, hash].join('\n');
    const digest = createHash('sha256').update(canonical).digest('hex');
    const toSign = ['AWS4-HMAC-SHA256', request.headers['x-amz-date'], scope, digest].join('\n');
    let key: Uint8Array = Buffer.from(`AWS4${secretAccessKey}`);
    for (const part of [...scope.split('/'), toSign]) key = createHmac('sha256', key).update(part).digest();
    return Buffer.from(key).toString('hex') === signature;
  }
}

const escaped = (text: string): string =>
  encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`,
  );
const etagOf = (bytes: Uint8Array): string => `"${createHash('md5').update(bytes).digest('hex')}"`;

function xml(body: string): Answer {
  const text = `<?xml version="1.0" encoding="UTF-8"?>\n${body}`;
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: text };
}

function errorAnswer(status: number, code: string): Answer {
  return { ...xml(`<Error><Code>${code}</Code><Message>${code}, said the test</Message></Error>`), status };
}

function rangeOf(bytes: Buffer, range: string | undefined): Answer {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  if (from === undefined) return { status: 200, headers: { etag: etagOf(bytes) }, body: bytes };
  if (Number(from) >= bytes.length) return errorAnswer(416, 'InvalidRange');
  return { status: 206, body: bytes.subarray(Number(from), Number(to) + 1) };
}

function agreed(answer: Answer): Answer {
  return answer.status === 412 ? { status: 200, headers: { etag: etagOf(NONE) } } : answer;
}
