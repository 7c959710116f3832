/** An embedded broker behind a plain TCP server, and what its log said. */
import { EventEmitter, once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { Aedes, type EmbeddedOptions, type LogFields, type Logger } from '../../lib/index.js';
import type { Owner } from '../support/raw-client.js';

export interface EmbeddedBroker {
  readonly aedes: Aedes;
  readonly server: Server;
  readonly port: number;
  /** Lines of level error. */
  readonly errors: { readonly message: string; readonly fields: LogFields }[];
}

export async function portOf(server: Server): Promise<number> {
  if (!server.listening) await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Ends with the test `owner`. */
export async function startEmbedded(owner: Owner, options: EmbeddedOptions = {}): Promise<EmbeddedBroker> {
  const errors: EmbeddedBroker['errors'] = [];
  const ignore = (): void => {};
  const logger: Logger = {
    trace: ignore,
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: (message, fields = {}) => errors.push({ message, fields }),
    child: () => logger,
  };
  const aedes = await Aedes.createBroker({ logger, ...options });
  const server = createServer(aedes.handle);
  server.listen(0, '127.0.0.1');
  owner.teardown(async () => {
    server.close();
    await new Promise<void>((resolve) => aedes.close(resolve));
  });
  return { aedes, server, port: await portOf(server), errors };
}

/** The arguments of the next `event`; fails after two seconds. */
export async function next(emitter: object, event: string): Promise<unknown[]> {
  if (!(emitter instanceof EventEmitter)) throw new TypeError('no emitter');
  return once(emitter, event, { signal: AbortSignal.timeout(2000) });
}

/** Every event of the names, in order, with what tells it apart. */
export function record(aedes: Aedes, names: readonly string[]): string[] {
  const seen: string[] = [];
  const emitter: EventEmitter = aedes;
  for (const name of names) emitter.on(name, () => seen.push(name));
  return seen;
}
