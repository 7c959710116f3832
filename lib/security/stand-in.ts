import { createHmac } from 'node:crypto';
import type { PasswordTable } from './password-file.js';
import { DEFAULT_ITERATIONS, type PasswordHash, type ScramHash } from './password-hash.js';

/**
 * Hashes for user names that are not in the password file, as costly as those that are: each name is given, for the life of the
 * process, the kind and cost of one entry of the file, with a salt of its own. Nobody has the password of one.
 */
export class StandIns {
  readonly #key: Uint8Array;
  readonly #models: readonly PasswordHash[];
  readonly #scramModels: readonly ScramHash[];

  constructor(key: Uint8Array, table: PasswordTable) {
    this.#key = key;
    this.#models = [...table.values()];
    this.#scramModels = this.#models.filter((hash) => hash.kind === 'scram-sha-256');
  }

  get offersScram(): boolean {
    return this.#scramModels.length > 0;
  }

  plain(username: string): PasswordHash {
    const model = this.#pick(username, this.#models);
    if (model?.kind === 'scram-sha-256') return this.scram(username);
    const hash = this.#bytes(username, 'hash', 64);
    const salt = this.#bytes(username, 'salt', model?.salt.length ?? 12);
    if (model?.kind === 'sha512') return { kind: 'sha512', salt, hash };
    return {
      kind: 'pbkdf2-sha512',
      iterations: model?.iterations ?? DEFAULT_ITERATIONS['pbkdf2-sha512'],
      salt,
      hash,
    };
  }

  scram(username: string): ScramHash {
    const model = this.#pick(username, this.#scramModels);
    return {
      kind: 'scram-sha-256',
      iterations: model?.iterations ?? DEFAULT_ITERATIONS['scram-sha-256'],
      salt: this.#bytes(username, 'salt', model?.salt.length ?? 16),
      storedKey: this.#bytes(username, 'StoredKey', 32),
      serverKey: this.#bytes(username, 'ServerKey', 32),
    };
  }

  #pick<T>(username: string, models: readonly T[]): T | undefined {
    return models.length === 0
      ? undefined
      : models[Buffer.from(this.#bytes(username, 'model', 4)).readUInt32LE() % models.length];
  }

  /** @param length at most 64. */
  #bytes(username: string, purpose: string, length: number): Uint8Array {
    return createHmac('sha512', this.#key).update(`${purpose}\0${username}`).digest().subarray(0, length);
  }
}
