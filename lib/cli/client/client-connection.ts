import { connect, type IDisconnectPacket, type MqttClient, type Packet } from 'mqtt';
import { SprawlError } from '../../contracts/errors.js';
import { ReasonCode } from '../../protocol/reason-code.js';
import type { World } from '../command.js';
import type { ClientSettings } from './client-settings.js';
import { ClientExitCode } from './exit-code.js';

/** As mosquitto's clients wait before they connect again. */
const RECONNECT_MS = 1000;

/** DISCONNECT reasons after which connecting again is of use [MQTT 5, table 3-13]. */
const WORTH_RECONNECTING: ReadonlySet<number> = new Set([
  ReasonCode.success,
  ReasonCode.serverBusy,
  ReasonCode.serverShuttingDown,
  ReasonCode.keepAliveTimeout,
  ReasonCode.connectionRateExceeded,
  ReasonCode.maximumConnectTime,
]);

/** Names of ReasonCode in words: `notAuthorized` is "not authorized". */
function reasonText(code: number): string {
  const name = Object.entries(ReasonCode).find(([, value]) => value === code)?.[0] ?? 'unknown reason';
  return name.replaceAll(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();
}

/** The failure of `pub` or `sub`, with the exit code it ends with. */
export function clientFailure(message: string, exitCode: number, cause?: unknown): SprawlError {
  return new SprawlError('CLIENT_CONNECT_FAILED', message, { retryable: true, details: { exitCode }, cause });
}

/** The reason code of an error of MQTT.js. */
function codeOf(error: unknown): number | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined;
}

/** What went wrong, also where Node tried several addresses and its error has no text of its own. */
function textOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(textOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}

/** The reason codes of a SUBACK with refusals, which MQTT.js hands over in an error. */
export function grantedOf(error: unknown): readonly number[] {
  if (!(error instanceof Error) || !('packet' in error)) return [];
  const { packet } = error;
  if (typeof packet !== 'object' || packet === null || !('granted' in packet)) return [];
  return Array.isArray(packet.granted) ? packet.granted.map(Number) : [];
}

/** A publish or subscription that the broker refused. */
export function refusal(what: string, error: unknown, code = codeOf(error)): SprawlError {
  if (code === undefined) return clientFailure(`${what}: ${textOf(error)}`, ClientExitCode.failed, error);
  return clientFailure(`${what} was refused: ${reasonText(code)} (0x${code.toString(16)})`, code, error);
}

/** What MQTT.js says of bytes that are no packet of MQTT, such as an answer of HTTP. */
const NO_PACKET = /^(?:Invalid|Malformed|Cannot parse|Packet) /;

function isNoMqtt(error: unknown): boolean {
  return error instanceof Error && !('code' in error) && NO_PACKET.test(error.message);
}

/** What there is of an upgrade to WebSocket that was not answered as one. */
const NO_WEBSOCKET =
  /^(?:socket hang up|Unexpected server response|the connection was closed before CONNACK)/;

function connectionFailure(
  { connect: { host, port, protocol } }: ClientSettings,
  error: unknown,
): SprawlError {
  const code = codeOf(error);
  if (code === undefined) {
    const isWebSocket = protocol === 'ws' || protocol === 'wss';
    const other = isWebSocket ? '' : ', and --ws is for one of WebSocket';
    const text = textOf(error);
    const hint =
      isWebSocket && NO_WEBSOCKET.test(text) ? `: is port ${port} one of WebSocket, as 8083 is?` : '';
    const reason = isNoMqtt(error)
      ? `what answers at port ${port} speaks no MQTT, perhaps HTTP: -p takes a port of MQTT${other}`
      : `${text}${hint}`;
    return clientFailure(`cannot connect to ${host}:${port}: ${reason}`, ClientExitCode.failed, error);
  }
  const text = error instanceof Error ? error.message.replace(/^Connection refused: /, '') : String(error);
  return clientFailure(
    `${host}:${port} refused the connection: ${text.toLowerCase()} (${code})`,
    code,
    error,
  );
}

function showPackets(client: MqttClient, { stderr }: World): void {
  const show = (direction: string) => (packet: Packet) => {
    const id = packet.messageId === undefined ? '' : ` (m${packet.messageId})`;
    const topic =
      packet.cmd === 'publish' ? ` ${JSON.stringify(packet.topic)}, ${packet.payload.length} bytes` : '';
    stderr.write(`${direction} ${packet.cmd.toUpperCase()}${id}${topic}\n`);
  };
  client.on('packetsend', show('sending'));
  client.on('packetreceive', show('received'));
}

/** A connection that is there. */
export interface ClientConnection {
  readonly client: MqttClient;
  /** Rejects when the connection ended for good; never resolves. A connection that breaks is made again. */
  readonly lost: Promise<never>;
}

function watch(client: MqttClient, settings: ClientSettings, { stderr }: World): Promise<never> {
  const lost = new Promise<never>((_, reject) => {
    client.on('disconnect', (packet: IDisconnectPacket) => {
      const code = packet.reasonCode ?? 0;
      if (WORTH_RECONNECTING.has(code)) return;
      client.end(true);
      reject(
        clientFailure(`the broker ended the connection: ${reasonText(code)} (0x${code.toString(16)})`, code),
      );
    });
    client.on('error', (error) => {
      if (codeOf(error) === undefined) return; // A broken connection: "close" follows and it is made again.
      client.end(true);
      reject(connectionFailure(settings, error));
    });
    let told = false;
    client.on('connect', () => (told = false));
    client.on('close', () => {
      if (client.disconnecting || settings.quiet || told) return;
      told = true;
      stderr.write('Connection lost; connecting again.\n');
    });
  });
  lost.catch(() => undefined); // Looked at only by those who race it.
  return lost;
}

/**
 * Connects once.
 * @param prepare gets the client before anything can have arrived: a kept session's messages may come with CONNACK.
 * @throws SprawlError CLIENT_CONNECT_FAILED with `details.exitCode`
 */
export async function openConnection(
  settings: ClientSettings,
  world: World,
  prepare: (client: MqttClient) => void = () => undefined,
): Promise<ClientConnection> {
  const client = connect({ ...settings.connect, reconnectPeriod: 0 });
  prepare(client);
  if (settings.debug) showPackets(client, world);
  await new Promise<void>((resolve, reject) => {
    const release = (): void => {
      client.removeListener('error', fail);
      client.removeListener('close', closed);
    };
    const fail = (error: unknown): void => {
      release();
      client.on('error', () => undefined); // What follows from the same fault.
      client.end(true);
      reject(connectionFailure(settings, error));
    };
    const closed = (): void => fail(new Error('the connection was closed before CONNACK'));
    client.on('error', fail);
    client.on('close', closed);
    client.once('connect', () => {
      release();
      resolve();
    });
  });
  client.options.reconnectPeriod = RECONNECT_MS;
  return { client, lost: watch(client, settings, world) };
}

/** A broker that owes an acknowledgement for longer keeps nobody from leaving. */
const CLOSE_MAX_MS = 2000;

/** Sends DISCONNECT and closes, once everything in flight is acknowledged. */
export async function closeConnection(
  { client }: ClientConnection,
  { properties }: ClientSettings,
): Promise<void> {
  const timer = setTimeout(() => client.end(true), CLOSE_MAX_MS);
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
  await Promise.race([
    closed,
    client.endAsync(false, properties.disconnect === undefined ? {} : { properties: properties.disconnect }),
  ]);
  clearTimeout(timer);
}

/** Runs the body of `pub` or `sub`; its failures become a line (unless quiet) and an exit code. */
export async function withExitCode(
  settings: ClientSettings,
  world: World,
  body: () => Promise<number>,
): Promise<number> {
  try {
    return await body();
  } catch (error) {
    if (!(error instanceof SprawlError) || error.code !== 'CLIENT_CONNECT_FAILED') throw error;
    if (!settings.quiet) world.stderr.write(`Error: ${error.message}\n`);
    const { exitCode } = error.details;
    return typeof exitCode === 'number' ? exitCode : ClientExitCode.failed;
  }
}
