/** The door of this folder. */
export { createHttpServer, type HttpServer, type HttpServerOptions } from './http-server.js';
export type { Readiness } from './routes.js';
