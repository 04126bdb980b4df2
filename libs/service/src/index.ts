export { openIdentity, openShared, type Shared, type SharedConfig, type SharedDeps } from './open.ts';
export { type RunnableService, runService } from './run-service.ts';
export { openTraces, traceWith } from './traces.ts';
