import { performance } from 'node:perf_hooks';
import { parseConfig, type Config } from '../config/index.js';
import type { Clock } from '../contracts/clock.js';
import type { Logger } from '../contracts/logger.js';
import { SprawlError } from '../contracts/errors.js';
import { realClock } from '../real-clock.js';
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

/**
 * A terminal and `timeout` signal a whole group of processes, and npm, npx or `timeout` among them pass the signal on: one wish comes twice.
 * Nobody is as fast at Ctrl-C.
 */
const ECHO_MS = 200;

interface StopSignals {
  readonly clock: Clock;
  /** Whether the start is done. */
  readonly isUp: () => boolean;
}

/** Resolves at the first SIGINT or SIGTERM; from then on the next one, unless it is an echo, ends the process at once. */
function firstStopSignal(
  world: World,
  logger: LogWriter,
  { clock, isUp }: StopSignals,
): Promise<ProcessEvent> {
  return new Promise((resolve) => {
    let stoppingSince: number | undefined;
    const onSignal = (signal: ProcessEvent, code: number): void => {
      const now = clock.now();
      if (stoppingSince !== undefined) {
        if (now - stoppingSince < ECHO_MS) return;
        logger.warn('stopping at once', { signal });
        logger.flush();
        world.process.exit(code);
      }
      stoppingSince = now;
      if (!isUp())
        logger.info('it stops as soon as it has started; a second signal ends it at once', { signal });
      resolve(signal);
    };
    world.process.on('SIGINT', () => onSignal('SIGINT', ExitCode.interrupted));
    world.process.on('SIGTERM', () => onSignal('SIGTERM', ExitCode.terminated));
  });
}

/**
 * From the first moment on: a SIGHUP that nobody listens for ends the process. @param running undefined: it is starting
 * @returns to be called after the start: does what was asked for meanwhile, since the files may have been read before they were changed
 */
function reloadOnHangup(world: World, running: () => Gateway | undefined, logger: Logger): () => void {
  let isOwed = false;
  const reload = (): void => {
    const gateway = running();
    isOwed = gateway === undefined;
    gateway?.reload().then(
      () => logger.info('reloaded the password, ACL, encryption key and TLS files'),
      (error: unknown) =>
        logger.error('reload failed, the old files stay in force', { error: textOf(error) }),
    );
  };
  world.process.on('SIGHUP', reload);
  return () => {
    if (isOwed) reload();
  };
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
 * @param load replaces the gateway in tests. @param clock tells a second signal from an echo of the first.
 * @throws SprawlError for a wrong configuration and for a gateway that cannot start.
 */
export async function runUp(
  invocation: Invocation,
  world: World,
  load = loadGateway,
  clock: Clock = realClock,
): Promise<number> {
  const config = parseConfig(configSources(invocation, world));
  const logger = createProcessLogger(config.log, world.stderr);
  stopOnBugs(world, logger);
  const running: { gateway?: Gateway } = {};
  const stopSignal = firstStopSignal(world, logger, { clock, isUp: () => running.gateway !== undefined });
  const reloadIfOwed = reloadOnHangup(world, () => running.gateway, logger);
  const gateway = await startGateway(config, logger, load);
  running.gateway = gateway;
  logAddresses(gateway, logger);
  reloadIfOwed();
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
