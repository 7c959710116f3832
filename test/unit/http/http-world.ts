import type { LogFields, Logger } from '../../../lib/contracts/logger.js';
import { createHttpServer, type HttpServer, type HttpServerOptions } from '../../../lib/http/index.js';
import { createCounters } from '../../../lib/telemetry/index.js';
import { createView } from '../telemetry/view.js';

/** A listener on a free port, with what it logged. */
export interface HttpWorld {
  readonly port: number;
  readonly server: HttpServer;
  readonly log: string[];
}

export function createOptions(
  changes: Partial<HttpServerOptions> = {},
  log: string[] = [],
): HttpServerOptions {
  const write = (level: string) => (message: string, fields?: LogFields) =>
    void log.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const logger: Logger = {
    trace: write('trace'),
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => logger,
  };
  return {
    host: '127.0.0.1',
    port: 0,
    version: '1.2.3',
    counters: createCounters(),
    view: () => createView(),
    isReady: () => ({ ready: true, reasons: [] }),
    diskBytes: () => 32_000_000_000,
    logger,
    ...changes,
  };
}

export async function startHttp(
  t: { teardown(done: () => Promise<void>): void },
  changes: Partial<HttpServerOptions> = {},
): Promise<HttpWorld> {
  const log: string[] = [];
  const server = createHttpServer(createOptions(changes, log));
  const { port } = await server.listen();
  t.teardown(() => server.close());
  return { port, server, log };
}
