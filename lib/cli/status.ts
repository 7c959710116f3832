import { SprawlError } from '../contracts/errors.js';
import type { MeshStatus } from '../contracts/mesh-status.js';
import type { GatewayStatus } from '../telemetry/status.js';
import { archiveRows } from './archive-status.js';
import { askedUrl } from './asked-gateway.js';
import type { Invocation, World } from './command.js';
import { ExitCode } from './exit-code.js';
import { askGateway, expectAnswer } from './gateway-http.js';
import { memberLines, meshRows } from './mesh-members.js';
import { askMesh } from './mesh-status.js';
import { columns, duration, size } from './size.js';

/** `status`: asks a running gateway how it is. Resolves to 0 where it is ready, to 1 where it is not. @throws SprawlError HTTP_FAILED, MESH_MISSING, CONFIG_INVALID */
export async function runStatus(invocation: Invocation, world: World): Promise<number> {
  const url = askedUrl(invocation, world);
  const status = await ask(url);
  const mesh = invocation.has('mesh') ? await askMesh(url) : undefined;
  const text = invocation.has('json')
    ? JSON.stringify(forPrograms(status, mesh), undefined, 2)
    : [...describe(status), ...(mesh === undefined ? [] : ['', ...memberLines(mesh)])].join('\n');
  world.stdout.write(`${text}\n`);
  return status.ready ? ExitCode.done : ExitCode.failed;
}

/** With `--mesh`: what `GET /mesh` says of the gateways stands beside the summary. */
function forPrograms(status: GatewayStatus, mesh: MeshStatus | undefined): unknown {
  return mesh === undefined ? status : { ...status, gateways: [mesh.self, ...mesh.peers] };
}

async function ask(url: string): Promise<GatewayStatus> {
  const answer = await askGateway(url, '/status');
  expectAnswer(url, answer);
  try {
    return JSON.parse(answer.text) as GatewayStatus;
  } catch (cause) {
    throw new SprawlError('HTTP_FAILED', `what answers at ${url} is no gateway`, { details: { url }, cause });
  }
}

function describe(status: GatewayStatus): string[] {
  const { clients, messages, memory, storage } = status;
  const lines: (readonly [string, string])[] = [
    ['gateway', `sprawl-edge ${status.version}, up for ${duration(status.uptimeS)}`],
    ['state', status.ready ? 'ready' : `not ready: ${status.reasons.join('; ')}`],
    [
      'clients',
      `${clients.connected} connected, ${clients.sessions} sessions, ${clients.subscriptions} subscriptions`,
    ],
    [
      'messages',
      `${messages.queued} wait (${size(messages.queuedBytes)}), ${messages.inflight} are in flight, ${messages.retained} are retained`,
    ],
    [
      'memory',
      `${size(memory.usedBytes)} of ${size(memory.maxBytes)} for messages, ${size(memory.rssBytes)} in all`,
    ],
    ['durability', storage.level === 'memory' ? 'memory: nothing survives a restart' : `${storage.level}`],
  ];
  if (storage.level !== 'memory') {
    const free = storage.freeBytes === 0 ? '' : `, ${size(storage.freeBytes)} of the disk are free`;
    lines.push([
      'log',
      `${size(storage.logBytes)} of ${size(storage.logMaxBytes)} in ${storage.segments} segments${free}`,
    ]);
    if (storage.lostPositions > 0)
      lines.push(['lost', `${storage.lostPositions} records: "sprawl-edge storage verify" names them`]);
    lines.push(['flash', flashText(status)]);
  }
  // A gateway of an earlier version does not say.
  if (status.mesh != null) lines.push(...meshRows(status.mesh));
  if (status.archive != null) lines.push(...archiveRows(status.archive));
  return columns(lines);
}

function flashText({ storage, flash }: GatewayStatus): string {
  if (flash.bytesPerDay === null)
    return 'not enough was written yet: after ten minutes it says how long a card will last';
  const perByte =
    storage.writtenPerPayloadByte === null
      ? ''
      : `, ${storage.writtenPerPayloadByte.toFixed(2)} bytes for each byte of payload`;
  const rate = `${size(flash.bytesPerDay)} a day at the rate since the start${perByte}`;
  if (flash.years === null) return rate;
  const years =
    flash.years >= 100 ? 'more than 100' : `about ${flash.years.toFixed(flash.years < 10 ? 1 : 0)}`;
  return `${rate}: a card of ${flash.cycles} writes per cell lasts ${years} years`;
}
