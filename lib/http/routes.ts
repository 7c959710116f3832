import {
  PROMETHEUS_CONTENT_TYPE,
  renderPrometheus,
  statusOf,
  type Counters,
  type GatewayView,
} from '../telemetry/index.js';
import type { MeshStatus } from '../contracts/mesh-status.js';
import { type ArchiveView, createArchiveRoutes, type ServedView } from './archive-routes.js';
import { faultResponse, HttpFault, json } from './response.js';
import type { Route } from './route.js';

/** Whether a gateway takes messages and can keep what it promises; where not, why, one line each. */
export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
}

export interface RouteOptions {
  readonly version: string;
  readonly counters: Counters;
  view(): GatewayView;
  isReady(): Readiness;
  /** Of a gateway in a mesh. */
  readonly mesh?: MeshView | undefined;
  /** Of a gateway that archives. */
  readonly archive?: ArchiveView | undefined;
  /** Of a gateway that archives for others. */
  readonly served?: ServedView | undefined;
  /** Of the file system of the data folder, bytes; Infinity: unknown. */
  diskBytes(): number;
}

/** The mesh as those who ask for it see it. */
export interface MeshView {
  status(): MeshStatus;
  leave(): Promise<void>;
  /** A signed eviction. @returns whether it was news. @throws where it is none */
  takeStatement(statement: Uint8Array): boolean;
}

const STATEMENT_MAX_BYTES = 4096;

/** What is answered. docs/http-api.md has a section for each path (a test checks). */
export function createRoutes(options: RouteOptions): readonly Route[] {
  const { version, counters } = options;
  const routes: readonly Route[] = [
    {
      method: 'GET',
      path: '/healthz',
      summary: 'the process lives',
      handle: () => json(200, { status: 'ok', version }),
    },
    {
      method: 'GET',
      path: '/readyz',
      summary: 'the gateway takes messages; where it does not, why',
      handle: () => {
        const { ready, reasons } = options.isReady();
        return json(ready ? 200 : 503, { status: ready ? 'ready' : 'not_ready', reasons });
      },
    },
    {
      method: 'GET',
      path: '/status',
      summary: 'how the gateway is, in short',
      handle: () =>
        json(
          200,
          statusOf(
            options.view(),
            options.isReady(),
            options.diskBytes(),
            options.mesh?.status(),
            options.archive?.status(),
          ),
        ),
    },
    {
      method: 'GET',
      path: '/metrics',
      summary: 'counters and gauges for Prometheus',
      handle: () => ({
        status: 200,
        contentType: PROMETHEUS_CONTENT_TYPE,
        body: renderPrometheus(
          options.view(),
          counters,
          options.mesh?.status(),
          options.archive?.status(),
          options.served?.status(),
        ),
      }),
    },
  ];
  const all = [
    ...routes,
    ...(options.mesh === undefined ? [] : meshRoutes(options.mesh)),
    ...createArchiveRoutes(options.archive, options.served),
  ];
  return [createIndex(version, all), ...all];
}

function meshRoutes(mesh: MeshView): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/mesh',
      summary: 'the other gateways, and the links to them',
      handle: () => json(200, mesh.status()),
    },
    {
      method: 'POST',
      path: '/mesh/leave',
      summary: 'leaves the mesh for good',
      handle: async () => {
        await mesh.leave();
        return json(200, { left: true });
      },
    },
    {
      method: 'POST',
      path: '/mesh/evict',
      summary: 'takes a signed eviction, and tells all others of it',
      bodyMaxBytes: STATEMENT_MAX_BYTES,
      handle: ({ body }) => {
        try {
          return json(200, { isNews: mesh.takeStatement(body) });
        } catch (error) {
          return faultResponse(HttpFault.badRequest, error instanceof Error ? error.message : String(error));
        }
      },
    },
  ];
}

function createIndex(version: string, routes: readonly Route[]): Route {
  return {
    method: 'GET',
    path: '/',
    summary: 'this list',
    handle: () =>
      json(200, {
        name: 'sprawl-edge',
        version,
        paths: Object.fromEntries(routes.map(({ path, summary }) => [path, summary])),
      }),
  };
}
