export { addressOf, senderHeader, signSender } from './address.ts';
export { createHttpApp, type HttpApp, type HttpAppOptions } from './app.ts';
export { type HttpConfig, httpConfig, httpOptions } from './config.ts';
export {
  invalidCursor,
  openIdCursor,
  openTimedCursor,
  sealIdCursor,
  sealTimedCursor,
  type TimedPlace,
} from './cursor.ts';
export { createErrorReporter, type ErrorReporter, sendError, sendJson } from './errors.ts';
export * from './limits.ts';
export { openApiDocument } from './openapi.ts';
export { decodeCursor, pageOf } from './paging.ts';
export * from './route.ts';
export { type Served, type ServeOptions, serve } from './serve.ts';
export { validatePart } from './validate.ts';
