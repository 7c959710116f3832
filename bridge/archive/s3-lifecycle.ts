/**
 * The lifecycle rules of a bucket and the uploads that were never finished in it. Rules of others are written back as they came.
 * S3 has no condition for writing rules: of two that write them at the same time the second one wins.
 */
import {
  AbortMultipartUploadCommand,
  type BucketLifecycleConfiguration,
  GetBucketLifecycleConfigurationCommand,
  GetBucketVersioningCommand,
  type LifecycleRule,
  ListMultipartUploadsCommand,
  PutBucketLifecycleConfigurationCommand,
  type TransitionDefaultMinimumObjectSize,
} from '@aws-sdk/client-s3';
import { areasOf, type BucketRule, type Versioning } from './bucket-rule.js';
import { ObjectFault } from './object-store.js';
import { readTwice } from './raw-answer.js';
import { nameOf, S3Connection, type S3Options, statusOf } from './s3-connection.js';
import { fromS3, toS3, unknownElements } from './s3-rule.js';

/** An upload that was begun and not finished yet. */
export interface PendingUpload {
  readonly key: string;
  readonly uploadId: string;
  /** Milliseconds since 1970. */
  readonly begunMs: number;
}

/** All rules of a bucket, to be written back with some of them changed. */
export interface RuleSet {
  readonly rules: readonly BucketRule[];
  /** Of rules that are not understood; where there are some nothing is written back, since they would be lost. */
  readonly unknown: readonly string[];
  /** As they came. */
  readonly raw: readonly LifecycleRule[];
  readonly minimumSize?: TransitionDefaultMinimumObjectSize | undefined;
}

const NOT_IMPLEMENTED: ReadonlySet<string> = new Set([
  'NotImplemented',
  'XNotImplemented',
  'MethodNotAllowed',
]);
const BAD_REQUEST = 400;
const REFUSED_RULES =
  'this store does not take such rules; MinIO takes none that abort uploads, since it does so itself after a day: try with --abort-uploads-days 0';
const NOT_IMPLEMENTED_STATUS: ReadonlySet<number | undefined> = new Set([405, 501]);

export class S3Lifecycle {
  readonly name: string;
  /** Of the archive, without a `/` at its end. */
  readonly prefix: string;
  readonly #connection: S3Connection;

  constructor(options: S3Options) {
    this.prefix = options.prefix;
    this.#connection = new S3Connection(options);
    this.name = this.#connection.name;
  }

  /** Connections are given back. */
  close(): void {
    this.#connection.close();
  }

  /** @throws ObjectFault */
  async rules(): Promise<RuleSet> {
    const { client, bucket } = this.#connection;
    const command = new GetBucketLifecycleConfigurationCommand({ Bucket: bucket });
    const answer = readTwice(command);
    try {
      const { Rules = [], TransitionDefaultMinimumObjectSize: minimumSize } = await this.#ask(
        'read the lifecycle rules of',
        's3:GetLifecycleConfiguration',
        (abortSignal) => client.send(command, { abortSignal }),
      );
      return { rules: Rules.map(fromS3), raw: Rules, unknown: unknownElements(answer()), minimumSize };
    } catch (error) {
      if (error instanceof ObjectFault && nameOf(error.cause) === 'NoSuchLifecycleConfiguration')
        return { rules: [], raw: [], unknown: [] };
      throw error;
    }
  }

  /** @returns `unknown`: the store does not say @throws ObjectFault */
  async versioning(): Promise<Versioning> {
    const { client, bucket } = this.#connection;
    try {
      const { Status } = await this.#ask('read the versioning of', 's3:GetBucketVersioning', (abortSignal) =>
        client.send(new GetBucketVersioningCommand({ Bucket: bucket }), { abortSignal }),
      );
      return Status === undefined ? 'off' : Status === 'Enabled' ? 'on' : 'suspended';
    } catch (error) {
      if (error instanceof ObjectFault && isNotImplemented(error.cause)) return 'unknown';
      throw error;
    }
  }

  /** What the bucket is given: those of others as they are, and ours. @param ownIds of rules that go @throws ObjectFault for rules that would not survive it */
  configuration(
    { raw, unknown }: RuleSet,
    ownIds: ReadonlySet<string>,
    own: readonly BucketRule[],
  ): BucketLifecycleConfiguration {
    if (unknown.length > 0)
      throw new ObjectFault(
        'other',
        `rules of ${this.name} have ${unknown.join(', ')}, which would be lost; nothing was written`,
        { wayOut: 'add the rules of docs/archive.md with the tools of the store' },
      );
    const others = raw.filter(({ ID }) => ID === undefined || !ownIds.has(ID));
    // A bucket takes rules of one form: with a filter, or with a prefix as before 2016.
    const isOld = others.some(({ Filter, Prefix }) => Filter === undefined && Prefix !== undefined);
    return { Rules: [...others, ...own.map((rule) => toS3(rule, isOld))] };
  }

  /** All rules of the bucket are these from now on. @throws ObjectFault */
  async put(configuration: BucketLifecycleConfiguration, { minimumSize }: RuleSet): Promise<void> {
    const { client, bucket } = this.#connection;
    const command = new PutBucketLifecycleConfigurationCommand({
      Bucket: bucket,
      LifecycleConfiguration: configuration,
      ...(minimumSize !== undefined && { TransitionDefaultMinimumObjectSize: minimumSize }),
    });
    try {
      await this.#ask(
        'write the lifecycle rules of',
        's3:PutLifecycleConfiguration',
        (abortSignal) => client.send(command, { abortSignal }),
        'this store does not take such rules; some take none that move objects: try without --transition',
      );
    } catch (error) {
      if (!(error instanceof ObjectFault) || statusOf(error.cause) !== BAD_REQUEST) throw error;
      const { kind, message, cause } = error;
      throw new ObjectFault(kind, message, { cause, wayOut: REFUSED_RULES });
    }
  }

  /** Of the archive, in the order of their keys. @throws ObjectFault */
  async *uploads(): AsyncGenerator<PendingUpload> {
    const { client, bucket } = this.#connection;
    const Prefix = areasOf(this.prefix).all;
    let markers = {};
    for (let isMore = true; isMore;) {
      const command = new ListMultipartUploadsCommand({ Bucket: bucket, Prefix, ...markers });
      const page = await this.#ask('list uploads to', 's3:ListBucketMultipartUploads', (abortSignal) =>
        client.send(command, { abortSignal }),
      );
      for (const { Key = '', UploadId = '', Initiated } of page.Uploads ?? [])
        if (Key.startsWith(Prefix))
          yield { key: Key.slice(Prefix.length), uploadId: UploadId, begunMs: Initiated?.getTime() ?? 0 };
      const { IsTruncated, NextKeyMarker, NextUploadIdMarker } = page;
      isMore = IsTruncated === true && NextKeyMarker !== undefined;
      markers = { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker };
    }
  }

  /** One that is gone already is no error. @throws ObjectFault */
  async abort({ key, uploadId }: PendingUpload): Promise<void> {
    const { client, bucket } = this.#connection;
    const at = { Bucket: bucket, Key: this.#connection.keyOf(key), UploadId: uploadId };
    try {
      await this.#ask(`abort the upload of ${key} to`, 's3:AbortMultipartUpload', (abortSignal) =>
        client.send(new AbortMultipartUploadCommand(at), { abortSignal }),
      );
    } catch (error) {
      if (!(error instanceof ObjectFault) || nameOf(error.cause) !== 'NoSuchUpload') throw error;
    }
  }

  async #ask<T>(
    what: string,
    permission: string,
    task: (deadline: AbortSignal) => Promise<T>,
    otherwise = 'this store does not have that; see its own tools',
  ): Promise<T> {
    try {
      return await this.#connection.ask(what, '', task);
    } catch (error) {
      if (!(error instanceof ObjectFault)) throw error;
      const { kind, message, cause } = error;
      if (isNotImplemented(cause)) throw new ObjectFault('other', message, { cause, wayOut: otherwise });
      const wayOut = `these credentials need ${permission}; docs/archive.md has the whole policy`;
      throw kind === 'denied' ? new ObjectFault(kind, message, { cause, wayOut }) : error;
    }
  }
}

function isNotImplemented(error: unknown): boolean {
  return NOT_IMPLEMENTED.has(nameOf(error)) || NOT_IMPLEMENTED_STATUS.has(statusOf(error));
}
