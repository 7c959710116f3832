/** The door of this folder. */
export type { ArchiveQuery, ArchiveView, LogQuery } from './archive-routes.js';
export { createHttpServer, type HttpServer, type HttpServerOptions } from './http-server.js';
export type { Readiness } from './routes.js';
