/**
 * Who may connect and what they may do. The lanes ask these questions; lib/security answers them.
 */

/** The authenticated subject of a connection. Without a user name it is anonymous. */
export interface Identity {
  readonly clientId: string;
  readonly username: string | undefined;
}

export interface Credentials {
  readonly clientId: string;
  readonly username: string | undefined;
  readonly password: Uint8Array | undefined;
  /** IP address of the peer where there is one. */
  readonly remoteAddress: string | undefined;
}

/** `reasonCode` is an MQTT 5 CONNACK code (0x86, 0x87, 0x88, 0x8a); a 3.1.1 client gets its equivalent. */
export type AuthenticationResult =
  { ok: true; username: string | undefined } | { ok: false; reasonCode: number };

/**
 * One run of an enhanced authentication method [MQTT 5, section 4.12], e.g. SCRAM-SHA-256.
 * `continue`: send AUTH 0x18 with `data` and wait for the client's answer. `done`: `data`, where present, goes into CONNACK
 * (or into the closing AUTH of a re-authentication).
 */
export type EnhancedStep =
  | { kind: 'continue'; data: Uint8Array }
  | { kind: 'done'; username: string; data: Uint8Array | undefined }
  | { kind: 'refused'; reasonCode: number };

export interface EnhancedExchange {
  /** Takes the client's Authentication Data (undefined where the packet had none). May not be called again before it resolved. */
  step(data: Uint8Array | undefined): Promise<EnhancedStep>;
}

export interface Authenticator {
  /** Never rejects; a fault inside is `serverUnavailable`. Takes equal time for unknown users and wrong passwords. */
  authenticate(credentials: Credentials): Promise<AuthenticationResult>;
  /** Undefined where the method is not offered (the client gets 0x8c). `remoteAddress` counts against guessing. */
  startExchange(method: string, clientId: string, remoteAddress?: string): EnhancedExchange | undefined;
  /** Names for CONNACK diagnostics and docs, e.g. ['SCRAM-SHA-256']. */
  readonly methods: readonly string[];
}

/**
 * What a filter may receive: `all` topics that it matches, `some` of them (each is asked with canReceive when its route is
 * first resolved), or `none`, which refuses the subscription. `wide` refuses it too: whatever it may receive, its wildcards
 * reach further than this client's may.
 */
export type SubscribeGrant = 'all' | 'some' | 'none' | 'wide';

/** Answers are pure until `version` changes; callers cache them per topic and drop the caches when it does. */
export interface Authorizer {
  readonly version: number;
  /** @param topic a valid topic name. Also asked for wills, at CONNECT and when they fire. */
  canPublish(who: Identity, topic: string): boolean;
  /** @param filter a valid topic filter, for shared subscriptions without `$share/<name>/`. */
  canSubscribe(who: Identity, filter: string): SubscribeGrant;
  canReceive(who: Identity, topic: string): boolean;
}
