import { createClickHouse } from '@worktide/clickhouse';
import { openEventLog, replicationOf } from '@worktide/event-log';
import { createIdentity } from '@worktide/identity';
import { addressWindow, openKeyValue, openLimits } from '@worktide/key-value';
import { followDeletions } from '@worktide/people';
import type { Lifecycle, Logger, Metrics, Service } from '@worktide/runtime';
import { openSchemaRegistry } from '@worktide/schemas';
import type { Config } from './config.ts';
import { startConsumers } from './ingest/consumers.ts';
import { deletionsInClickHouse, eraseOrganization } from './ingest/erase-organization.ts';
import { openReports } from './reports/open.ts';
import { reportRoutes } from './reports/routes.ts';

/** Builds the service top to bottom; what is built first is closed last. */
export async function run(
  config: Config,
  deps: { lifecycle: Lifecycle; log: Logger; metrics: Metrics },
): Promise<Service> {
  const { lifecycle, log, metrics } = deps;

  const clickhouse = createClickHouse(config.CLICKHOUSE_URL, { log, application: 'worktide-analytics' });
  lifecycle.onClose('clickhouse', () => clickhouse.close());
  const registry = openSchemaRegistry(config.SCHEMA_REGISTRY_URL);
  const eventLog = openEventLog(config.EVENT_LOG_URL, {
    clientId: 'analytics',
    log,
    metrics,
    replication: replicationOf(config),
  });
  lifecycle.onClose('event log', () => eventLog.close());
  const consumers = await startConsumers({ eventLog, registry, clickhouse, metrics });
  lifecycle.onClose('consumers', () => Promise.all(Object.values(consumers).map((consumer) => consumer.close())));

  const people = await followDeletions({
    service: 'analytics',
    eventLog,
    registry,
    deletions: deletionsInClickHouse(clickhouse),
    erase: (organizationId) => eraseOrganization(clickhouse, organizationId),
    lifecycle,
    log,
  });

  const reports = openReports(config.CLICKHOUSE_URL, { places: config.REPORT_CONCURRENCY, log, metrics });
  lifecycle.onClose('clickhouse for reports', () => reports.close());

  const keyValue = openKeyValue(config.KEY_VALUE_URL, { log, metrics });
  lifecycle.onClose('key-value', () => keyValue.close());
  const identity = createIdentity({
    authUrl: config.AUTH_URL,
    internalToken: config.INTERNAL_TOKEN,
    keyValue,
    lifecycle,
    log,
    metrics,
  });
  const limits = openLimits(config.KEY_VALUE_URL, { log, metrics });
  lifecycle.onClose('limits', () => limits.close());

  return {
    name: 'analytics',
    routes: reportRoutes({ ...reports, findUser: identity.findUser }),
    checks: {
      clickhouse: () => clickhouse.check(),
      'event log': () => eventLog.check(),
      ...Object.fromEntries(
        Object.entries(consumers).map(([topic, consumer]) => [`${topic} into clickhouse`, () => consumer.check()]),
      ),
      'people consumer': () => people.check(),
      auth: identity.check,
    },
    sideChecks: { 'event log copies': () => eventLog.checkReplication() },
    authenticate: identity.authenticate,
    ipLimit: addressWindow(limits, { name: 'ip', points: config.IP_LIMIT_PER_MINUTE, seconds: 60 }),
  };
}
