/** A connection to a bucket of whatever speaks S3: how it is made, the deadline of a request, and what is made of its faults. */
import { Agent } from 'node:https';
import { rootCertificates } from 'node:tls';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { ObjectFault, type ObjectFaultKind } from './object-store.js';

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
/** Where the credential chain of AWS looks. */
const NO_CREDENTIALS =
  'credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, from ~/.aws, or from the role of the machine';
const CONFLICT = 409;
const SERVER_FAULT = 500;

function agentFor(ca: string): Agent {
  return new Agent({ keepAlive: true, ca: [...rootCertificates, ca] });
}

export class S3Connection {
  /** For people, without anything secret. */
  readonly name: string;
  readonly client: S3Client;
  readonly bucket: string;
  readonly #prefix: string;
  readonly #timeoutMs: number;

  constructor(options: S3Options) {
    const { bucket, prefix, region, endpoint, pathStyle, ca, credentials, timeoutMs } = options;
    this.bucket = bucket;
    this.#prefix = prefix;
    this.#timeoutMs = timeoutMs;
    this.name = `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`;
    this.client = new S3Client({
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
    this.client.destroy();
  }

  /** The key in the bucket of one in the archive. */
  keyOf(key: string): string {
    return this.#prefix === '' ? key : `${this.#prefix}/${key}`;
  }

  /** @param what is done with `key`, for people; an empty one: with the whole of it @throws ObjectFault */
  async ask<T>(what: string, key: string, task: (deadline: AbortSignal) => Promise<T>): Promise<T> {
    const deadline = AbortSignal.timeout(this.#timeoutMs);
    try {
      return await task(deadline);
    } catch (error) {
      const where = `${what} ${key === '' ? '' : `${key} in `}${this.name}`;
      if (deadline.aborted)
        throw new ObjectFault('unknown', `cannot ${where}: no answer in ${this.#timeoutMs} ms`, {
          cause: error,
        });
      const wayOut = nameOf(error) === 'CredentialsProviderError' ? { wayOut: NO_CREDENTIALS } : {};
      throw new ObjectFault(kindOf(error), `cannot ${where}: ${textOf(error)}`, { cause: error, ...wayOut });
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

/** The code that the store gave its fault. */
export const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '');
const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** Of HTTP; undefined: there was no answer. */
export function statusOf(error: unknown): number | undefined {
  const metadata = error instanceof Error && '$metadata' in error ? error.$metadata : undefined;
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined;
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined;
}

/** Of the answer that a fault was; undefined: it had none of this name. @param name in small letters */
export function headerOf(error: unknown, name: string): string | undefined {
  const response = error instanceof Error && '$response' in error ? error.$response : undefined;
  const headers =
    typeof response === 'object' && response !== null && 'headers' in response ? response.headers : undefined;
  if (typeof headers !== 'object' || headers === null) return undefined;
  const value: unknown = Object.entries(headers).find(([one]) => one.toLowerCase() === name)?.[1];
  return typeof value === 'string' ? value : undefined;
}
