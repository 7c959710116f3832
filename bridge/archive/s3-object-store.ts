/**
 * Objects in a bucket of whatever speaks S3. Each is written with `If-None-Match: *` and with a checksum that the store compares; a large
 * one in parts, of which nobody sees anything before all are there.
 *
 * Every request has a deadline, and is made once: who asked decides whether to try again.
 */
import { randomBytes } from 'node:crypto';
import { Agent } from 'node:https';
import { rootCertificates } from 'node:tls';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompletedPart,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import {
  bodyOf,
  type ByteRange,
  expectKey,
  type ObjectBody,
  ObjectFault,
  type ObjectFaultKind,
  type ObjectStat,
  type ObjectStore,
} from './object-store.js';

export interface S3Options {
  readonly bucket: string;
  /** In front of all keys: names with `/` between them, and without one at the end; empty: none. */
  readonly prefix: string;
  /** Empty: that of the environment, see the credential chain of AWS. */
  readonly region: string;
  /** undefined: AWS. */
  readonly endpoint?: string | undefined;
  /** `https://endpoint/bucket/key` and not `https://bucket.endpoint/key`. */
  readonly pathStyle: boolean;
  /** Of one request, milliseconds. */
  readonly timeoutMs: number;
  /** Objects that are larger go in parts of this size, in bytes: at least 5 MiB, but for stores that take less. */
  readonly partBytes: number;
  /** PEM: who may have signed the certificate of the endpoint, besides those that Node.js knows. */
  readonly ca?: string | undefined;
  /** undefined: the credential chain of AWS. */
  readonly credentials?: S3ClientConfig['credentials'];
}

const KINDS: Readonly<Record<string, ObjectFaultKind>> = {
  AccessDenied: 'denied',
  InvalidAccessKeyId: 'denied',
  SignatureDoesNotMatch: 'denied',
  ExpiredToken: 'denied',
  CredentialsProviderError: 'denied',
  RequestTimeTooSkewed: 'clock',
  NoSuchBucket: 'missing',
  SlowDown: 'busy',
  ServiceUnavailable: 'busy',
  OperationAborted: 'busy',
  ConditionalRequestConflict: 'busy',
  // What was sent had changed on its way: nothing was stored.
  BadDigest: 'busy',
  QuotaExceeded: 'full',
  EntityTooLarge: 'other',
  ECONNREFUSED: 'unreachable',
  ENOTFOUND: 'unreachable',
  EAI_AGAIN: 'unreachable',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
};
const NOT_FOUND = 404;
const CONFLICT = 409;
const PRECONDITION_FAILED = 412;
const RANGE_NOT_SATISFIABLE = 416;
const NOT_IMPLEMENTED = 501;
const SERVER_FAULT = 500;
const ALL = '*';

function agentFor(ca: string): Agent {
  return new Agent({ keepAlive: true, ca: [...rootCertificates, ca] });
}

export class S3ObjectStore implements ObjectStore {
  readonly name: string;
  readonly #client: S3Client;
  readonly #options: S3Options;
  #isConditional: boolean | undefined;

  constructor(options: S3Options) {
    const { bucket, prefix, region, endpoint, pathStyle, ca, credentials } = options;
    this.#options = options;
    this.name = `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`;
    this.#client = new S3Client({
      ...(region === '' ? {} : { region }),
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(credentials === undefined ? {} : { credentials }),
      ...(ca === undefined ? {} : { requestHandler: { httpsAgent: agentFor(ca) } }),
      forcePathStyle: pathStyle,
      maxAttempts: 1,
    });
  }

  /** Connections are given back. */
  close(): void {
    this.#client.destroy();
  }

  async createsOnce(): Promise<boolean> {
    if (this.#isConditional !== undefined) return this.#isConditional;
    const key = `probe/${randomBytes(8).toString('hex')}`;
    try {
      const first = await this.#put(key, bodyOf(Buffer.from('sprawl-edge')), true);
      this.#isConditional = first && !(await this.#put(key, bodyOf(Buffer.from('sprawl-edge')), true));
    } catch (error) {
      if (!(error instanceof ObjectFault) || statusOf(error.cause) !== NOT_IMPLEMENTED) throw error;
      this.#isConditional = false;
    }
    await this.remove(key);
    return this.#isConditional;
  }

  async create(key: string, body: ObjectBody): Promise<boolean> {
    expectKey(key);
    if (await this.createsOnce()) return this.#put(key, body, true);
    // Two at the same time may both believe that they came first: see createsOnce.
    return (await this.stat(key)) === undefined && (await this.#put(key, body, false));
  }

  async read(key: string, range?: ByteRange): Promise<Uint8Array | undefined> {
    expectKey(key);
    if (range?.length === 0) return (await this.stat(key)) && new Uint8Array(0);
    const Range = range && `bytes=${range.offset}-${range.offset + range.length - 1}`;
    try {
      return await this.#ask('read', key, async (abortSignal) => {
        const command = new GetObjectCommand({ ...this.#at(key), ...(Range !== undefined && { Range }) });
        const { Body, ContentLength } = await this.#client.send(command, { abortSignal });
        const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array(0);
        if (ContentLength !== undefined && bytes.length !== ContentLength)
          throw new Error(`${bytes.length} of ${ContentLength} bytes came`);
        return bytes;
      });
    } catch (error) {
      const status = error instanceof ObjectFault ? statusOf(error.cause) : undefined;
      if (status === NOT_FOUND && !isMissingBucket(error)) return undefined;
      if (status === RANGE_NOT_SATISFIABLE) return new Uint8Array(0);
      throw error;
    }
  }

  async stat(key: string): Promise<ObjectStat | undefined> {
    expectKey(key);
    try {
      return await this.#ask('look at', key, async (abortSignal) => {
        const { ContentLength = 0 } = await this.#client.send(new HeadObjectCommand(this.#at(key)), {
          abortSignal,
        });
        return { key, length: ContentLength };
      });
    } catch (error) {
      // HEAD has no body that could tell a missing bucket.
      if (error instanceof ObjectFault && statusOf(error.cause) === NOT_FOUND) return undefined;
      throw error;
    }
  }

  async *list(prefix: string, after = ''): AsyncGenerator<ObjectStat> {
    const { bucket: Bucket } = this.#options;
    const Prefix = this.#keyOf(prefix);
    const skipped = this.#keyOf('').length;
    let ContinuationToken: string | undefined;
    do {
      const start = after === '' ? {} : { StartAfter: this.#keyOf(after) };
      const token = ContinuationToken === undefined ? start : { ContinuationToken };
      const page = await this.#ask('list', prefix, (abortSignal) =>
        this.#client.send(new ListObjectsV2Command({ Bucket, Prefix, ...token }), { abortSignal }),
      );
      for (const { Key, Size = 0 } of page.Contents ?? [])
        if (Key !== undefined) yield { key: Key.slice(skipped), length: Size };
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
  }

  async remove(key: string): Promise<void> {
    expectKey(key);
    await this.#ask('remove', key, (abortSignal) =>
      this.#client.send(new DeleteObjectCommand(this.#at(key)), { abortSignal }),
    );
  }

  /** @returns false: there is one already */
  async #put(key: string, body: ObjectBody, isConditional: boolean): Promise<boolean> {
    const condition = isConditional ? { IfNoneMatch: ALL } : {};
    try {
      if (body.length > this.#options.partBytes) await this.#putInParts(key, body, condition);
      else {
        const Body = await body.read(0, body.length);
        const command = new PutObjectCommand({ ...this.#at(key), ...condition, Body });
        await this.#ask('create', key, (abortSignal) => this.#client.send(command, { abortSignal }));
      }
      return true;
    } catch (error) {
      if (error instanceof ObjectFault && statusOf(error.cause) === PRECONDITION_FAILED) return false;
      throw error;
    }
  }

  async #putInParts(key: string, body: ObjectBody, condition: { IfNoneMatch?: string }): Promise<void> {
    const { partBytes } = this.#options;
    const at = this.#at(key);
    const { UploadId } = await this.#ask('create', key, (abortSignal) =>
      this.#client.send(new CreateMultipartUploadCommand({ ...at, ChecksumAlgorithm: 'CRC32' }), {
        abortSignal,
      }),
    );
    try {
      const Parts: CompletedPart[] = [];
      for (let offset = 0; offset < body.length; offset += partBytes) {
        const Body = await body.read(offset, Math.min(partBytes, body.length - offset));
        const PartNumber = Parts.length + 1;
        const command = new UploadPartCommand({
          ...at,
          UploadId,
          PartNumber,
          Body,
          ChecksumAlgorithm: 'CRC32',
        });
        const { ETag, ChecksumCRC32 } = await this.#ask('create', key, (abortSignal) =>
          this.#client.send(command, { abortSignal }),
        );
        Parts.push({ PartNumber, ETag, ChecksumCRC32 });
      }
      const complete = new CompleteMultipartUploadCommand({
        ...at,
        UploadId,
        ...condition,
        MultipartUpload: { Parts },
      });
      await this.#ask('create', key, (abortSignal) => this.#client.send(complete, { abortSignal }));
    } catch (error) {
      // Where that does not get through either, the bucket's rule for abandoned uploads does it.
      await this.#ask('give up', key, (abortSignal) =>
        this.#client.send(new AbortMultipartUploadCommand({ ...at, UploadId }), { abortSignal }),
      ).catch(() => undefined);
      throw error;
    }
  }

  #at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#options.bucket, Key: this.#keyOf(key) };
  }

  #keyOf(key: string): string {
    const { prefix } = this.#options;
    return prefix === '' ? key : `${prefix}/${key}`;
  }

  async #ask<T>(what: string, key: string, task: (deadline: AbortSignal) => Promise<T>): Promise<T> {
    const deadline = AbortSignal.timeout(this.#options.timeoutMs);
    try {
      return await task(deadline);
    } catch (error) {
      const { timeoutMs } = this.#options;
      const where = `${what} ${key === '' ? '' : `${key} in `}${this.name}`;
      if (deadline.aborted)
        throw new ObjectFault('unknown', `cannot ${where}: no answer in ${timeoutMs} ms`, { cause: error });
      throw new ObjectFault(kindOf(error), `cannot ${where}: ${textOf(error)}`, { cause: error });
    }
  }
}

function kindOf(error: unknown): ObjectFaultKind {
  const named = KINDS[nameOf(error)] ?? KINDS[codeOf(error)];
  if (named !== undefined) return named;
  const status = statusOf(error);
  if (status === CONFLICT) return 'busy';
  if (status === undefined || status >= SERVER_FAULT) return 'unknown';
  return status === 401 || status === 403 ? 'denied' : 'other';
}

/** What people are to read: no request, and no key of an account is in it. */
function textOf(error: unknown): string {
  const status = statusOf(error);
  const name = nameOf(error);
  const message = error instanceof Error ? error.message : String(error);
  return `${name === 'Error' || name === 'Unknown' ? '' : `${name}: `}${message}${status === undefined ? '' : ` (HTTP ${status})`}`;
}

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '');
const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

function statusOf(error: unknown): number | undefined {
  const metadata = error instanceof Error && '$metadata' in error ? error.$metadata : undefined;
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined;
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined;
}

function isMissingBucket(error: unknown): boolean {
  return error instanceof ObjectFault && error.kind === 'missing';
}
