/** The door of this folder. */
export type { ArchiveQuery, ArchiveView } from './archive-routes.js';
export { createHttpServer, type HttpServer, type HttpServerOptions } from './http-server.js';
export type { Readiness } from './routes.js';
