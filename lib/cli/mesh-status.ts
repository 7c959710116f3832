import { SprawlError } from '../contracts/errors.js';
import { shortId } from '../contracts/gateway-id.js';
import type { MeshPeer, MeshSelf, MeshStatus } from '../contracts/mesh-status.js';
import { askedUrl } from './asked-gateway.js';
import type { Invocation, World } from './command.js';
import { ExitCode } from './exit-code.js';
import { askGateway, expectDone } from './gateway-http.js';
import { duration, table, waiting } from './size.js';

const NOTHING = '-';

/** What the gateway says of its mesh. @throws SprawlError HTTP_FAILED, MESH_MISSING */
export async function askMesh(url: string): Promise<MeshStatus> {
  const answer = await askGateway(url, '/mesh');
  expectDone(url, answer);
  const status = parseMeshStatus(answer.text);
  if (status !== undefined) return status;
  throw new SprawlError('HTTP_FAILED', `what answers at ${url} is no gateway of this version`, {
    details: { url },
  });
}

/** Whether it has the parts; the parts are believed, as `status` believes them. */
function parseMeshStatus(text: string): MeshStatus | undefined {
  try {
    const value = JSON.parse(text) as Partial<MeshStatus> | null;
    return typeof value?.self === 'object' && Array.isArray(value.peers) ? (value as MeshStatus) : undefined;
  } catch {
    return undefined;
  }
}

function print(invocation: Invocation, world: World, status: MeshStatus, lines: readonly string[]): void {
  const text = invocation.has('json') ? JSON.stringify(status, undefined, 2) : lines.join('\n');
  world.stdout.write(`${text}\n`);
}

function selfLine({ id, site, version, state, reason, addresses }: MeshSelf): string {
  const where = addresses.length === 0 ? 'listens nowhere' : `listens on ${addresses.join(', ')}`;
  return `this gateway: ${site} (${shortId(id)}), sprawl-edge ${version}, ${state}${reason === null ? '' : `: ${reason}`}, ${where}`;
}

/** One that was not met since the start has not said it yet. */
function siteText({ site }: MeshPeer): string {
  return site === '' ? NOTHING : site;
}

function milliseconds(value: number | null): string {
  if (value === null) return NOTHING;
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}

function age(ms: number | null): string {
  return ms === null ? NOTHING : duration(ms / 1000);
}

/** `peers`: who is in the mesh. @throws SprawlError HTTP_FAILED, MESH_MISSING */
export async function runPeers(invocation: Invocation, world: World): Promise<number> {
  const status = await askMesh(askedUrl(invocation, world));
  const rows = status.peers.map((peer) => [
    siteText(peer),
    shortId(peer.id),
    peer.status,
    peer.state,
    peer.path ?? NOTHING,
    peer.remoteAddress ?? NOTHING,
    milliseconds(peer.rttMs),
    peer.reason ?? '',
  ]);
  const head = ['SITE', 'ID', 'STATUS', 'LINK', 'PATH', 'ADDRESS', 'RTT', ''];
  const found = rows.length === 0 ? ['no other gateway has been met yet'] : table([head, ...rows]);
  print(invocation, world, status, [selfLine(status.self), '', ...found, ...dialledLines(status)]);
  return ExitCode.done;
}

/** Addresses of `mesh.peers` where no member of this mesh answers. */
function dialledLines({ dialled = [] }: MeshStatus): string[] {
  const lines = dialled.flatMap(({ address, reason }) =>
    reason === null ? [] : [`mesh.peers: no member of this mesh answers at ${address}: ${reason}`],
  );
  return lines.length === 0 ? [] : ['', ...lines];
}

function refusedText({ refused }: MeshPeer): string {
  const reasons = Object.entries(refused).filter(([, count]) => count > 0);
  return reasons.length === 0 ? NOTHING : reasons.map(([reason, count]) => `${count} ${reason}`).join(', ');
}

/** A gateway that was taken down or sent away on purpose is no fault of a link. */
function isFaulty({ state, status }: MeshPeer): boolean {
  return (state === 'stalled' || state === 'down') && status !== 'left' && status !== 'evicted';
}

/** `links`: what goes to each other gateway. Resolves to 1 where a link is stalled or down. @throws SprawlError HTTP_FAILED, MESH_MISSING */
export async function runLinks(invocation: Invocation, world: World): Promise<number> {
  const status = await askMesh(askedUrl(invocation, world));
  const rows = status.peers.map((peer) => [
    siteText(peer),
    shortId(peer.id),
    peer.state,
    waiting(`${peer.pendingMessages}`, peer),
    age(peer.oldestUnackedMs),
    `${peer.sentMessages}`,
    `${peer.ackedMessages}`,
    `${peer.receivedMessages}`,
    refusedText(peer),
    peer.load === null ? NOTHING : `${Math.round(peer.load * 100)} %`,
    peer.reason ?? '',
  ]);
  const head = [
    'SITE',
    'ID',
    'LINK',
    'WAITING',
    'OLDEST',
    'SENT',
    'ACKED',
    'RECEIVED',
    'REFUSED',
    'LOAD',
    '',
  ];
  const found = rows.length === 0 ? ['no links'] : table([head, ...rows]);
  print(invocation, world, status, [...found, ...dialledLines(status)]);
  return status.peers.some(isFaulty) ? ExitCode.failed : ExitCode.done;
}
