import { type EventLog, openEventLog, replicationOf } from '@worktide/event-log';
import { createIdentity, type Identity } from '@worktide/identity';
import { addressWindow, type KeyValue, type Limits, openKeyValue, openLimits } from '@worktide/key-value';
import type { Lifecycle, Logger, Metrics, ReadinessCheck, RequestLimit } from '@worktide/runtime';
import { openSchemaRegistry, type SchemaRegistry } from '@worktide/schemas';

export interface SharedConfig {
  EVENT_LOG_URL: string;
  EVENT_LOG_REPLICATION?: number | undefined;
  EVENT_LOG_MIN_INSYNC?: number | undefined;
  SCHEMA_REGISTRY_URL: string;
  KEY_VALUE_URL: string;
  IP_LIMIT_PER_MINUTE: number;
}

export interface SharedDeps {
  lifecycle: Lifecycle;
  log: Logger;
  metrics: Metrics;
}

/** What every service is built on. */
export interface Shared {
  eventLog: EventLog;
  registry: SchemaRegistry;
  keyValue: KeyValue;
  limits: Limits;
  /** Of all services and replicas together, on what people use. */
  ipLimit: RequestLimit;
  /** Readiness that tells of it and asks for nothing. */
  sideChecks: Record<string, ReadinessCheck>;
}

/** Opens what every service is built on, and closes it with the lifecycle. None of it need be there yet. */
export function openShared(service: string, config: SharedConfig, { lifecycle, log, metrics }: SharedDeps): Shared {
  const keyValue = openKeyValue(config.KEY_VALUE_URL, { log, metrics });
  lifecycle.onClose(`${service} key-value`, () => keyValue.close());
  const limits = openLimits(config.KEY_VALUE_URL, { log, metrics });
  lifecycle.onClose(`${service} limits`, () => limits.close());
  const eventLog = openEventLog(config.EVENT_LOG_URL, {
    clientId: service,
    log,
    metrics,
    replication: replicationOf(config),
  });
  lifecycle.onClose(`${service} event log`, () => eventLog.close());
  return {
    eventLog,
    registry: openSchemaRegistry(config.SCHEMA_REGISTRY_URL),
    keyValue,
    limits,
    ipLimit: addressWindow(limits, { name: 'ip', points: config.IP_LIMIT_PER_MINUTE, seconds: 60 }),
    sideChecks: { 'event log copies': () => eventLog.checkReplication() },
  };
}

/** Who is calling, as auth says: for every service but auth. */
export const openIdentity = (
  config: { AUTH_URL: string; INTERNAL_TOKEN: string },
  { keyValue }: Pick<Shared, 'keyValue'>,
  deps: SharedDeps,
): Identity => createIdentity({ authUrl: config.AUTH_URL, internalToken: config.INTERNAL_TOKEN, keyValue, ...deps });
