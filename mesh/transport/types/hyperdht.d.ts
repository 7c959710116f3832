/** The little that is used of hyperdht 6.34.0, which brings no types. */
declare module 'hyperdht' {
  import type { EventEmitter } from 'node:events';
  import type NoiseSecretStream from '@hyperswarm/secret-stream';
  import type { RawStream, StreamOptions } from '@hyperswarm/secret-stream';
  import type NoiseWrap from 'hyperdht/lib/noise-wrap.js';

  export interface HostPort {
    readonly host: string;
    readonly port: number;
  }
  export interface KeyPair {
    readonly publicKey: Buffer;
    readonly secretKey: Buffer;
  }
  export interface StreamMaking {
    readonly createHandshake?: (keyPair: KeyPair, remotePublicKey: Buffer | null) => NoiseWrap;
    readonly createSecretStream?: (
      isInitiator: boolean,
      raw: RawStream | null,
      options: StreamOptions,
    ) => NoiseSecretStream;
  }
  export interface ConnectOptions extends StreamMaking {
    readonly keyPair?: KeyPair;
    relayAddresses?: HostPort[];
    /** Asked before holes are punched, with what both routers do (FIREWALL of hyperdht: 2 the same port for all, 3 any port). */
    readonly holepunch?: (remoteFirewall: number, localFirewall: number) => boolean;
  }
  export interface ServerOptions extends StreamMaking {
    readonly firewall?: (remotePublicKey: Buffer, payload: unknown, from: HostPort) => boolean;
    readonly handshakeClearWait?: number;
  }
  export interface Server extends EventEmitter {
    readonly relayAddresses: HostPort[];
    listen(keyPair: KeyPair): Promise<Server>;
    close(): Promise<void>;
  }
  export interface LookupReply {
    readonly peers: readonly { readonly publicKey: Buffer; readonly relayAddresses: HostPort[] }[];
  }
  export interface Query extends AsyncIterable<LookupReply> {
    finished(): Promise<void>;
    destroy(): void;
  }
  export interface NodeOptions {
    readonly bootstrap?: readonly HostPort[];
    readonly host?: string;
    readonly port?: number;
    readonly anyPort?: boolean;
    readonly firewalled?: boolean;
    readonly ephemeral?: boolean;
    readonly keyPair?: KeyPair;
    readonly connectionKeepAlive?: number;
    readonly nodes?: readonly HostPort[];
  }

  export default class HyperDHT extends EventEmitter {
    constructor(options?: NodeOptions);
    static bootstrapper(port: number, host: string, options?: NodeOptions): HyperDHT;
    static keyPair(seed?: Uint8Array): KeyPair;
    readonly bootstrapped: boolean;
    readonly online: boolean;
    readonly destroyed: boolean;
    /** Others cannot reach it without help. True until it has found out. */
    readonly firewalled: boolean;
    /** The address as the other one sees it is `to`. @throws where no answer comes */
    ping(
      node: HostPort,
      options?: { readonly retry?: boolean },
    ): Promise<{ readonly from: HostPort; readonly to: HostPort }>;
    /** Seen from each node at another port. */
    readonly randomized: boolean;
    /** As if it had been heard of. */
    addNode(node: HostPort): void;
    /**
     * Not documented. With true: where others reach its port without having been spoken to, it is not `firewalled` from then on. Never
     * rejects.
     */
    _updateNetworkState(onlyFirewall: true): Promise<boolean>;
    /** Not documented: asks others to reach a port that they were not spoken to from. */
    _checkIfFirewalled(): Promise<boolean>;
    bind(): Promise<void>;
    fullyBootstrapped(): Promise<void>;
    /** Of the socket that others reach. */
    localAddress(): HostPort | null;
    address(): HostPort | null;
    createServer(options: ServerOptions, onConnection?: (stream: NoiseSecretStream) => void): Server;
    connect(publicKey: Buffer, options?: ConnectOptions): NoiseSecretStream;
    announce(topic: Buffer, keyPair: KeyPair, relayAddresses: readonly HostPort[]): Query;
    lookup(topic: Buffer): Query;
    toArray(): HostPort[];
    destroy(options?: { force?: boolean }): Promise<void>;
  }
}

/** How HyperDHT drives a Noise handshake. */
declare module 'hyperdht/lib/noise-wrap.js' {
  import type { KeyPair } from 'hyperdht';
  import type Noise from 'noise-handshake';

  export default class NoiseWrap {
    constructor(keyPair: KeyPair, remotePublicKey: Buffer | null);
    readonly isInitiator: boolean;
    handshake: Noise;
  }
}
