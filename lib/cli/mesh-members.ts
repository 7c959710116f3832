/** The mesh of a gateway in short, and every gateway of it in a line. */
import { shortId } from '../contracts/gateway-id.js';
import type { MeshStatus } from '../contracts/mesh-status.js';
import type { MeshSummary } from '../telemetry/mesh-summary.js';
import { table, waiting } from './size.js';

const NOTHING = '-';

/** `2 up, 1 down`: what is not 0. */
function countsText(counts: Readonly<Record<string, number>>): string {
  const some = Object.entries(counts).filter(([, count]) => count > 0);
  return some.map(([name, count]) => `${count} ${name}`).join(', ');
}

export function meshRows(mesh: MeshSummary): (readonly [string, string])[] {
  const why = mesh.reason === null ? '' : `: ${mesh.reason}`;
  const { members, links } = mesh;
  return [
    ['mesh', `${mesh.site} (${mesh.id.slice(0, 8)}), ${mesh.state}${why}`],
    ['  members', countsText(members) || 'none'],
    ['  links', countsText(links) || 'none'],
    ['  waiting', waiting(`${mesh.pendingMessages} messages for other gateways`, mesh)],
  ];
}

function loadText(load: number | null): string {
  return load === null ? NOTHING : `${Math.round(load * 100)} %`;
}

/** "well" only of one that is there to be well. */
function healthText(status: string, load: number | null, health: readonly string[]): string {
  if (load === null || (status !== 'alive' && status !== 'suspect')) return NOTHING;
  return health.length === 0 ? 'well' : health.join('; ');
}

/** This gateway first. */
export function memberLines({ self, peers }: MeshStatus): string[] {
  const own = self.state === 'running' ? 'alive' : self.state;
  const rows = peers.map(({ site, id, status, state, load, health }) => [
    ...[site === '' ? NOTHING : site, shortId(id), status, state],
    ...[loadText(load), healthText(status, load, health)],
  ]);
  return table([
    ['SITE', 'ID', 'STATUS', 'LINK', 'LOAD', 'HEALTH'],
    [
      self.site,
      shortId(self.id),
      own,
      'itself',
      loadText(self.load),
      healthText(own, self.load, self.health),
    ],
    ...rows,
  ]);
}
