import { createAudit, createLooks } from '@worktide/audit';
import { createClickHouse } from '@worktide/clickhouse';
import { createLeads } from '@worktide/identity';
import { followDeletions } from '@worktide/people';
import type { Lifecycle, Logger, Metrics, Service } from '@worktide/runtime';
import { createCodec, topics } from '@worktide/schemas';
import { openIdentity, openShared } from '@worktide/service';
import { auditRoutes } from './audit/routes.ts';
import type { Config } from './config.ts';
import { openExports } from './exports/open.ts';
import type { Stored } from './ingest/changes.ts';
import { startConsumers } from './ingest/consumers.ts';
import { deletionsInClickHouse, eraseOrganization } from './ingest/erase-organization.ts';
import { addPeople, type Rows, storeStates } from './ingest/states.ts';
import { privacyRoutes } from './privacy/routes.ts';
import { createReportCache } from './reports/cache.ts';
import { openReports } from './reports/open.ts';
import { reportRoutes } from './reports/routes.ts';
import { openAccounts } from './sql/accounts.ts';
import { openAnalysts } from './sql/open.ts';
import { analystRoutes } from './sql/routes.ts';
import { startSummaries } from './summaries/start.ts';
import { startDayEvents } from './summaries/tell.ts';

/** Builds the service top to bottom; what is built first is closed last. */
export async function run(
  config: Config,
  deps: { lifecycle: Lifecycle; log: Logger; metrics: Metrics },
): Promise<Service> {
  const { lifecycle, log, metrics } = deps;
  const shared = openShared('analytics', config, deps);
  const { eventLog, registry } = shared;

  const clickhouse = createClickHouse(config.CLICKHOUSE_URL, { log, application: 'worktide-analytics' });
  lifecycle.onClose('clickhouse', () => clickhouse.close());
  const summaries = startSummaries({ clickhouse, lifecycle, log, metrics });
  const cache = createReportCache({ keyValue: shared.keyValue, ...deps });
  const onStored = ({ organizations, changes }: Stored): void => {
    summaries.changed(changes);
    cache.stored(organizations);
  };
  const consumers = await startConsumers({ eventLog, registry, clickhouse, metrics, onStored });
  lifecycle.onClose('consumers', () => Promise.all(Object.values(consumers).map((consumer) => consumer.close())));

  const accounts = openAccounts(clickhouse, {
    url: config.CLICKHOUSE_URL,
    publicUrl: config.ANALYST_CLICKHOUSE_URL ?? config.CLICKHOUSE_URL,
    log,
  });
  lifecycle.every('analysts’ accounts', { everyMs: 3_600_000, retryMs: 10_000 }, () => accounts.renew());

  const exports = openExports(config, { ...deps, eventLog, registry, keyValue: shared.keyValue });

  const people = await followDeletions({
    service: 'analytics',
    eventLog,
    registry,
    deletions: deletionsInClickHouse(clickhouse),
    async erase(organizationId) {
      // Nobody may look on.
      await accounts.removeAll(organizationId);
      await eraseOrganization(clickhouse, organizationId);
      // Last: with PostgreSQL away all else is erased, and this again with the rest.
      await exports.erase(organizationId);
    },
    lifecycle,
    log,
    async store(records) {
      const rows: Rows = new Map();
      for (const record of records) addPeople(rows, record);
      await storeStates(clickhouse, rows);
      summaries.peopleChanged();
      cache.stored(records.map(({ organizationId }) => organizationId));
    },
  });

  const reports = openReports(config.CLICKHOUSE_URL, { places: config.REPORT_CONCURRENCY, log, metrics });
  lifecycle.onClose('clickhouse for reports', () => reports.close());

  const analysts = openAnalysts(config.CLICKHOUSE_URL, { places: config.ANALYST_CONCURRENCY, log, metrics });
  lifecycle.onClose('clickhouse for analysts', () => analysts.close());
  const producer = eventLog.producer();
  lifecycle.onClose('audit producer', () => producer.close());
  const audit = createAudit({ service: 'analytics', registry, producer, log, metrics });
  const looks = createLooks(audit);
  startDayEvents({ clickhouse, producer, codec: createCodec(registry, topics.days), eventLog, lifecycle });

  const identity = openIdentity(config, shared, deps);
  const leads = createLeads({ workspaceUrl: config.WORKSPACE_URL, internalToken: config.INTERNAL_TOKEN });

  return {
    name: 'analytics',
    routes: [
      ...reportRoutes({
        ...reports,
        cache,
        looks,
        leads,
        findUser: identity.findUser,
        organization: identity.organization,
      }),
      ...auditRoutes({ ...reports, looks }),
      ...privacyRoutes({ ...reports, looks, organization: identity.organization }),
      ...analystRoutes({ analysts, accounts, audit }),
      ...exports.routes({
        audit,
        looks,
        leads,
        findUser: identity.findUser,
        organization: identity.organization,
      }),
    ],
    checks: {
      clickhouse: () => clickhouse.check(),
      'event log': () => eventLog.check(),
      ...Object.fromEntries(
        Object.entries(consumers).map(([topic, consumer]) => [`${topic} into clickhouse`, () => consumer.check()]),
      ),
      audit: () => audit.check(),
      'people consumer': () => people.check(),
      auth: identity.check,
    },
    // Reports are read and records stored without what exports need.
    sideChecks: { ...shared.sideChecks, ...exports.checks },
    wrote: exports.wrote,
    authenticate: identity.authenticate,
    ipLimit: shared.ipLimit,
  };
}
