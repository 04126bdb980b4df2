export { createHttpApp, type HttpAppOptions } from './app.ts';
export { createErrorReporter, type ErrorReporter, sendError, sendJson } from './errors.ts';
export { openApiDocument } from './openapi.ts';
export * from './route.ts';
export { type ServeOptions, serve } from './serve.ts';
