export { openIdentity, openShared, type Shared, type SharedConfig, type SharedDeps } from './open.ts';
export {
  createPingQuota,
  type PingQuota,
  pingQuotaConfig,
  pingQuotas,
  pingsIn,
  type Quota,
} from './ping-quota.ts';
export { type RunnableService, runService } from './run-service.ts';
export { openTraces, traceWith } from './traces.ts';
