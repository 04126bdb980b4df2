export { createHttpApp, type HttpAppOptions } from './app.ts';
export { httpConfig, httpOptions } from './config.ts';
export { openIdCursor, openTimedCursor, sealIdCursor, sealTimedCursor, type TimedPlace } from './cursor.ts';
export { createErrorReporter, type ErrorReporter, sendError, sendJson } from './errors.ts';
export * from './limits.ts';
export { openApiDocument } from './openapi.ts';
export * from './route.ts';
export { type ServeOptions, serve } from './serve.ts';
export { validatePart } from './validate.ts';
