import { performance } from 'node:perf_hooks';
import { parseConfig, type Config } from '../config/index.js';
import type { Logger } from '../contracts/logger.js';
import { SprawlError } from '../contracts/errors.js';
import type { LogWriter } from '../telemetry/log-writer.js';
import type { Invocation, ProcessEvent, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';
import { loadGateway, type Gateway, type GatewayModule } from './gateway-port.js';
import { createProcessLogger } from './process-logger.js';
import { startFailure } from './start-failure.js';

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Ends the process at the first fault that nobody expected: what it would do next is unknown. */
function stopOnBugs(world: World, logger: LogWriter): void {
  const stop = (cause: unknown): void => {
    logger.error('a bug: the gateway stops', { error: cause instanceof Error ? cause.stack : String(cause) });
    logger.flush();
    world.process.exit(ExitCode.bug);
  };
  world.process.on('uncaughtException', stop);
  world.process.on('unhandledRejection', stop);
}

/** Resolves at the first SIGINT or SIGTERM; from then on the next one ends the process at once. */
function firstStopSignal(world: World, logger: LogWriter): Promise<ProcessEvent> {
  return new Promise((resolve) => {
    let stopping = false;
    const onSignal = (signal: ProcessEvent, code: number): void => {
      if (stopping) {
        logger.warn('stopping at once', { signal });
        logger.flush();
        world.process.exit(code);
      }
      stopping = true;
      resolve(signal);
    };
    world.process.on('SIGINT', () => onSignal('SIGINT', ExitCode.interrupted));
    world.process.on('SIGTERM', () => onSignal('SIGTERM', ExitCode.terminated));
  });
}

function reloadOnHangup(world: World, gateway: Gateway, logger: Logger): void {
  world.process.on('SIGHUP', () => {
    gateway.reload().then(
      () => logger.info('reloaded the password, ACL and key files'),
      (error: unknown) =>
        logger.error('reload failed, the old files stay in force', { error: textOf(error) }),
    );
  });
}

function logAddresses(gateway: Gateway, logger: Logger): void {
  for (const [listener, address] of Object.entries(gateway.addresses)) {
    if (address !== undefined)
      logger.info('listening', { listener, host: address.address, port: address.port });
  }
  logger.info('ready', { startMs: Math.round(performance.now()), pid: process.pid });
}

async function startGateway(
  config: Config,
  logger: Logger,
  load: () => Promise<GatewayModule>,
): Promise<Gateway> {
  const { createGateway } = await load();
  try {
    const gateway = await createGateway({ config, logger });
    await gateway.start();
    return gateway;
  } catch (error) {
    throw startFailure(error);
  }
}

/**
 * `up`: runs a gateway until SIGINT or SIGTERM, drains it and resolves to 0. SIGHUP reloads.
 * @param load replaces the gateway in tests.
 * @throws SprawlError for a wrong configuration and for a gateway that cannot start.
 */
export async function runUp(invocation: Invocation, world: World, load = loadGateway): Promise<number> {
  const config = parseConfig(configSources(invocation, world));
  const logger = createProcessLogger(config.log, world.stderr);
  stopOnBugs(world, logger);
  const stopSignal = firstStopSignal(world, logger);
  const gateway = await startGateway(config, logger, load);
  reloadOnHangup(world, gateway, logger);
  logAddresses(gateway, logger);
  const signal = await stopSignal;
  const { drainTimeoutMs } = config.shutdown;
  logger.info('stopping: clients get time to take what is in flight', { signal, drainTimeoutMs });
  try {
    await gateway.stop({ drainTimeoutMs });
  } catch (error) {
    throw error instanceof SprawlError
      ? error
      : new Error(`the gateway did not stop: ${textOf(error)}`, { cause: error });
  }
  logger.info('stopped');
  logger.flush();
  return ExitCode.done;
}
