/**
 * Objects in a bucket of whatever speaks S3. Each is written with `If-None-Match: *` and with a checksum that the store compares; a large
 * one in parts, of which nobody sees anything before all are there.
 *
 * Every request has a deadline, and is made once: who asked decides whether to try again.
 */
import { randomBytes } from 'node:crypto';
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
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { MasterKey } from '../../lib/contracts/master-key.js';
import {
  bodyOf,
  type ByteRange,
  expectKey,
  type ObjectBody,
  ObjectFault,
  type ObjectStat,
  type ObjectStore,
} from './object-store.js';
import { headerOf, S3Connection, type S3Options, statusOf } from './s3-connection.js';

export type { S3Options } from './s3-connection.js';

const NOT_FOUND = 404;
const PRECONDITION_FAILED = 412;
const RANGE_NOT_SATISFIABLE = 416;
const NOT_IMPLEMENTED = 501;
const ALL = '*';

export class S3ObjectStore implements ObjectStore {
  readonly name: string;
  readonly keys: readonly MasterKey[];
  readonly #connection: S3Connection;
  readonly #options: S3Options;
  #isConditional: boolean | undefined;

  /** @param keys see ObjectStore */
  constructor(options: S3Options, keys: readonly MasterKey[] = []) {
    this.keys = keys;
    this.#options = options;
    this.#connection = new S3Connection(options);
    this.name = this.#connection.name;
  }

  /** Connections are given back. */
  close(): void {
    this.#connection.close();
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
      return await this.#connection.ask('read', key, async (abortSignal) => {
        const command = new GetObjectCommand({ ...this.#at(key), ...(Range !== undefined && { Range }) });
        const { Body, ContentLength } = await this.#connection.client.send(command, { abortSignal });
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
      return await this.#connection.ask('look at', key, async (abortSignal) => {
        const { ContentLength = 0 } = await this.#connection.client.send(
          new HeadObjectCommand(this.#at(key)),
          {
            abortSignal,
          },
        );
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
    const Prefix = this.#connection.keyOf(prefix);
    const skipped = this.#connection.keyOf('').length;
    let ContinuationToken: string | undefined;
    do {
      const start = after === '' ? {} : { StartAfter: this.#connection.keyOf(after) };
      const token = ContinuationToken === undefined ? start : { ContinuationToken };
      const page = await this.#connection.ask('list', prefix, (abortSignal) =>
        this.#connection.client.send(new ListObjectsV2Command({ Bucket, Prefix, ...token }), { abortSignal }),
      );
      for (const { Key, Size = 0 } of page.Contents ?? [])
        if (Key !== undefined) yield { key: Key.slice(skipped), length: Size };
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
  }

  async remove(key: string): Promise<void> {
    expectKey(key);
    await this.#connection.ask('remove', key, (abortSignal) =>
      this.#connection.client.send(new DeleteObjectCommand(this.#at(key)), { abortSignal }),
    );
  }

  /** In a bucket with versions what was removed has a delete marker in front of it. */
  async wayBack(key: string): Promise<string | undefined> {
    expectKey(key);
    const { Bucket, Key } = this.#at(key);
    try {
      await this.#connection.ask('look at', key, (abortSignal) =>
        this.#connection.client.send(new HeadObjectCommand({ Bucket, Key }), { abortSignal }),
      );
    } catch (error) {
      const cause = error instanceof ObjectFault ? error.cause : undefined;
      if (statusOf(cause) !== NOT_FOUND) throw error;
      const version = headerOf(cause, 'x-amz-version-id');
      if (headerOf(cause, 'x-amz-delete-marker') === 'true' && version !== undefined)
        return `it was removed, and the bucket keeps versions: "aws s3api delete-object --bucket ${Bucket} --key '${Key}' --version-id ${version}" takes the delete marker away, and it is back`;
    }
    return undefined;
  }

  /** @returns false: there is one already */
  async #put(key: string, body: ObjectBody, isConditional: boolean): Promise<boolean> {
    const condition = isConditional ? { IfNoneMatch: ALL } : {};
    try {
      if (body.length > this.#options.partBytes) await this.#putInParts(key, body, condition);
      else {
        const Body = await body.read(0, body.length);
        const command = new PutObjectCommand({
          ...{ ...this.#at(key), ...condition, ...metadataOf(body), Body },
        });
        await this.#connection.ask('create', key, (abortSignal) =>
          this.#connection.client.send(command, { abortSignal }),
        );
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
    const { UploadId } = await this.#connection.ask('create', key, (abortSignal) =>
      this.#connection.client.send(
        new CreateMultipartUploadCommand({ ...at, ...metadataOf(body), ChecksumAlgorithm: 'CRC32' }),
        {
          abortSignal,
        },
      ),
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
        const { ETag, ChecksumCRC32 } = await this.#connection.ask('create', key, (abortSignal) =>
          this.#connection.client.send(command, { abortSignal }),
        );
        Parts.push({ PartNumber, ETag, ChecksumCRC32 });
      }
      const complete = new CompleteMultipartUploadCommand({
        ...at,
        UploadId,
        ...condition,
        MultipartUpload: { Parts },
      });
      await this.#connection.ask('create', key, (abortSignal) =>
        this.#connection.client.send(complete, { abortSignal }),
      );
    } catch (error) {
      // Where that does not get through either, the bucket's rule for abandoned uploads does it.
      await this.#connection
        .ask('give up', key, (abortSignal) =>
          this.#connection.client.send(new AbortMultipartUploadCommand({ ...at, UploadId }), { abortSignal }),
        )
        .catch(() => undefined);
      throw error;
    }
  }

  #at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#options.bucket, Key: this.#connection.keyOf(key) };
  }
}

/** As `x-amz-meta-…`. */
function metadataOf({ metadata }: ObjectBody): { Metadata?: Record<string, string> } {
  return metadata === undefined ? {} : { Metadata: { ...metadata } };
}

function isMissingBucket(error: unknown): boolean {
  return error instanceof ObjectFault && error.kind === 'missing';
}
