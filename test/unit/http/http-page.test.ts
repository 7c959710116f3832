import { readFile } from 'node:fs/promises';
import t from 'tap';
import * as limits from '../../../lib/http/limits.js';
import { HttpFault } from '../../../lib/http/response.js';
import { createRoutes } from '../../../lib/http/routes.js';
import { createMeshPeer, createMeshStatus } from '../telemetry/mesh-view.js';
import { createOptions } from './http-world.js';

/** Nobody asks it anything: with it all paths are there. */
const NO_MESH = {
  status: () => createMeshStatus(),
  leave: () => Promise.resolve(),
  takeStatement: () => false,
};

const page = await readFile(new URL('../../../../docs/http-api.md', import.meta.url), 'utf8');

t.test('the page has a row for every path and no other', (t) => {
  const paths = [...page.matchAll(/^\| `(\/[^`]*)` *\| \S/gm)].map(([, path]) => path);
  t.strictSame(
    paths.sort(),
    [...new Set(createRoutes(createOptions({ mesh: NO_MESH })).map(({ path }) => path))].sort(),
  );
  t.end();
});

t.test('the page has a row for every fault, with its status', (t) => {
  const rows = [...page.matchAll(/^\| (\d{3}) +\| `([a-z_]+)` *\| \S/gm)].map(([, status, error]) => ({
    status: Number(status),
    error,
  }));
  t.strictSame(rows, Object.values(HttpFault));
  t.end();
});

t.test('the limits on the page are those of the listener', (t) => {
  t.match(page, `more than ${limits.HEADERS_MAX_BYTES} bytes`);
  t.match(page, `within ${limits.HEADERS_TIMEOUT_MS / 1000} seconds`);
  t.match(page, `At most ${limits.CONNECTIONS_MAX_COUNT} connections`);
  t.match(page, `idle for ${limits.KEEP_ALIVE_TIMEOUT_MS / 1000} seconds`);
  t.end();
});

t.test('the page explains every field of GET /mesh and every reason why something was refused', (t) => {
  const { self } = createMeshStatus();
  const { refused, ...peer } = createMeshPeer(1);
  const [, meshPart = ''] = page.split('## The mesh');
  for (const field of [...Object.keys(self), ...Object.keys(peer), 'refused', ...Object.keys(refused)])
    t.match(meshPart, `\`${field}\``);
  t.end();
});
