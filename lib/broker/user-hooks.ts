/**
 * The hooks that an embedder sets, and the fence around them: a hook that throws, rejects or answers twice harms nobody
 * but the connection that it was asked about; one that never answers holds up only that connection.
 */
import type { AedesOptions } from 'aedes';
import type { Logger } from '../contracts/logger.js';
import type { HookSubscription } from '../session/environment.js';
import type { AedesClient, AedesConnect, AedesPacket, HookError } from './aedes-internals.js';

export type Answer<T> = (error: HookError | null | undefined, value?: T | null) => void;

export interface UserHooks {
  preConnect: ((client: AedesClient, packet: AedesConnect, done: Answer<boolean>) => unknown) | undefined;
  authenticate:
    | ((
        client: AedesClient,
        username: string | undefined,
        password: Buffer | undefined,
        done: Answer<boolean>,
      ) => unknown)
    | undefined;
  authorizePublish:
    ((client: AedesClient | null, packet: AedesPacket, done: Answer<never>) => unknown) | undefined;
  authorizeSubscribe:
    | ((client: AedesClient, subscription: HookSubscription, done: Answer<HookSubscription>) => unknown)
    | undefined;
  authorizeForward:
    ((client: AedesClient, packet: AedesPacket) => AedesPacket | null | undefined | void) | undefined;
  published: ((packet: AedesPacket, client: AedesClient | null, done: Answer<never>) => unknown) | undefined;
}

export const HOOK_NAMES = [
  'preConnect',
  'authenticate',
  'authorizePublish',
  'authorizeSubscribe',
  'authorizeForward',
  'published',
] as const;
export type HookName = (typeof HOOK_NAMES)[number];

export function userHooksOf(options: AedesOptions): UserHooks {
  const given = options as unknown as Partial<UserHooks>;
  return {
    preConnect: given.preConnect,
    authenticate: given.authenticate,
    authorizePublish: given.authorizePublish,
    authorizeSubscribe: given.authorizeSubscribe,
    authorizeForward: given.authorizeForward,
    published: given.published,
  };
}

/** What became of a hook that did not answer as it should: for the log, never for the client. */
export interface HookFailure {
  readonly hook: HookName;
  readonly client: string | undefined;
  readonly error: Error;
}

export class HookFence {
  readonly #logger: () => Logger;

  constructor(logger: () => Logger) {
    this.#logger = logger;
  }

  /**
   * @param call calls the hook with a function that takes its answer; only the first answer counts.
   * @param failed the hook threw or rejected before it answered.
   */
  ask<T>(
    hook: HookName,
    client: string | undefined,
    call: (done: Answer<T>) => unknown,
    answered: Answer<T>,
    failed: (error: Error) => void,
  ): void {
    let isAnswered = false;
    let ours: { readonly error: unknown } | undefined;
    const done: Answer<T> = (error, value) => {
      if (isAnswered) return;
      isAnswered = true;
      try {
        answered(error, value);
      } catch (fault) {
        ours = { error: fault };
        throw fault;
      }
    };
    const fail = (thrown: unknown): void => {
      // A fault of our own, on its way up through the hook: not the hook's.
      if (ours !== undefined && ours.error === thrown) throw thrown;
      const error = errorOf(thrown);
      this.report({ hook, client, error });
      if (isAnswered) return;
      isAnswered = true;
      failed(error);
    };
    try {
      guardPromise(call(done), fail);
    } catch (thrown) {
      fail(thrown);
    }
  }

  report({ hook, client, error }: HookFailure): void {
    this.#logger().error('a hook of the embedding program threw', {
      hook,
      client,
      error: error.stack ?? error.message,
    });
  }
}

/** An async function in place of a callback: what it rejects with would end the process. */
export function guardPromise(returned: unknown, fail: (thrown: unknown) => void): void {
  if (returned instanceof Promise) returned.catch(fail);
}

export function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
