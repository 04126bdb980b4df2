import { deletionsInPostgres, followDeletions } from '@worktide/people';
import { checkPostgres, createOutbox, createPool, openReads } from '@worktide/postgres';
import { createPrivacyGuard } from '@worktide/privacy';
import { createBudget, type Lifecycle, type Logger, type Metrics, type Service } from '@worktide/runtime';
import { createCodec, topics } from '@worktide/schemas';
import { createPingQuota, openIdentity, openShared, pingQuotas } from '@worktide/service';
import { pruneEvents } from './activitywatch/prune.ts';
import { activityWatch } from './activitywatch/routes.ts';
import type { Config } from './config.ts';
import { takeCredential } from './credentials/take-credential.ts';
import { createApi } from './hubnity/api.ts';
import { pruneHubnity } from './hubnity/requests.ts';
import { hubnityRoutes } from './hubnity/routes.ts';
import { openImports } from './imports/open.ts';
import { eraseOrganization, erasePeople } from './store/erase.ts';
import { followErasures } from './store/erasures.ts';
import { heartbeatRoutes } from './wakatime/post-heartbeats.ts';
import { currentUser, wakatimeReads } from './wakatime/read-routes.ts';
import { pruneHeartbeats } from './wakatime/store.ts';

/** Bytes that requests with heartbeats hold, all together. */
const maxHeldBytes = 64 * 1024 * 1024;
/** Bytes that requests with screenshots hold, all together. */
const maxHeldPictures = 128 * 1024 * 1024;

export const serviceName = 'agent-protocols';

/**
 * Speaks what agents of other systems speak. What it keeps and the pings that follow from it are written in one transaction, and
 * the pings leave through an outbox: while the log is away nothing is lost, and nobody waits.
 *
 * Starts while everything else is away, says so in `checks`, and goes on when it is back.
 */
export async function run(
  config: Config,
  deps: { lifecycle: Lifecycle; log: Logger; metrics: Metrics },
): Promise<Service> {
  const { lifecycle, log, metrics } = deps;
  const shared = openShared(serviceName, config, deps);
  const { eventLog, registry } = shared;

  const pool = createPool(config.POSTGRES_URL, { applicationName: serviceName, log, metrics });
  lifecycle.onClose('agent-protocols postgres', () => pool.end());
  const reads = openReads({
    service: serviceName,
    url: config.POSTGRES_READ_URL,
    pool,
    keyValue: shared.keyValue,
    ...deps,
  });
  const producer = eventLog.producer();
  const outbox = createOutbox({
    schema: 'agent_protocols',
    pool,
    producer,
    log,
    metrics,
    lifecycle,
    whenFull: 'leave',
  });
  const pings = createCodec(registry, topics.pings);
  pings.prepare().catch(() => {});

  const identity = openIdentity(config, shared, deps);

  const privacy = createPrivacyGuard({ organization: identity.organization, metrics });
  const imports = await openImports(config, {
    service: serviceName,
    eventLog,
    registry,
    outbox,
    identity,
    privacy,
    limit: shared.limits.window({ name: 'imports', points: config.IMPORT_LIMIT_PER_HOUR, seconds: 3_600 }),
    readLimit: shared.limits.window({ name: 'import-reads', points: 120, seconds: 60 }),
    ...deps,
  });

  const people = await followDeletions({
    service: serviceName,
    eventLog,
    registry,
    deletions: deletionsInPostgres(pool, 'agent_protocols'),
    store: (records) => erasePeople(pool, records),
    erase: async (organizationId, signal) => {
      await imports.erase(organizationId);
      await eraseOrganization(pool, organizationId, signal);
    },
    lifecycle,
    log,
  });
  const erasures = await followErasures({ service: serviceName, eventLog, registry, pool });
  lifecycle.onClose('agent-protocols erasures', () => erasures.close());

  const common = {
    pool,
    reads,
    outbox,
    pings,
    privacy,
    metrics,
    authenticate: identity.authenticate,
    findUser: identity.findUser,
    quota: createPingQuota({ limits: shared.limits, quotas: pingQuotas(config), planOf: identity.planOf, metrics }),
    budget: createBudget({
      name: 'heartbeats',
      total: maxHeldBytes,
      metrics,
      code: 'QUEUE_FULL',
      message: 'More is arriving than can be stored; try again.',
    }),
  };
  const perMinute = (name: string, points: number) => shared.limits.window({ name, points, seconds: 60 });
  const wakatime = { ...common, limit: perMinute('wakatime', config.WAKATIME_LIMIT_PER_MINUTE) };
  const watchers = activityWatch({
    ...common,
    limit: perMinute('activitywatch', config.ACTIVITYWATCH_LIMIT_PER_MINUTE),
  });
  const hubnity = hubnityRoutes({
    ...common,
    api: createApi({ apiUrl: config.API_URL, internalToken: config.INTERNAL_TOKEN }),
    limit: perMinute('hubnity', config.HUBNITY_LIMIT_PER_MINUTE),
    ipLimit: shared.ipLimit,
    budget: createBudget({
      name: 'hubnity-screenshots',
      total: maxHeldPictures,
      metrics,
      code: 'QUEUE_FULL',
      message: 'More is arriving than can be stored; try again.',
    }),
  });
  lifecycle.every('what Hubnity asked for', { everyMs: 3_600_000, retryMs: 60_000 }, () => pruneHubnity(pool));
  lifecycle.every('old events', { everyMs: 3_600_000, retryMs: 60_000 }, () => pruneEvents(pool));
  lifecycle.every('old heartbeats', { everyMs: 3_600_000, retryMs: 60_000 }, () => pruneHeartbeats(pool));

  return {
    name: serviceName,
    takeCredential,
    routes: [...watchers.routes, ...wakatimeReads(wakatime), ...hubnity.routes, ...imports.routes],
    rawRoutes: [
      ...watchers.rawRoutes,
      ...heartbeatRoutes(wakatime),
      currentUser(wakatime),
      ...hubnity.rawRoutes,
      ...imports.rawRoutes,
    ],
    checks: {
      postgres: checkPostgres(pool),
      'schema registry': () => pings.prepare(),
      auth: identity.check,
    },
    // It takes what agents send while the log is away: out of rotation it would take nothing.
    sideChecks: {
      ...shared.sideChecks,
      ...reads.checks,
      ...imports.checks,
      'event log': () => eventLog.check(),
      'people consumer': () => people.check(),
      'erasures consumer': () => erasures.check(),
      outbox: outbox.check,
    },
    wrote: reads.wrote,
    authenticate: identity.authenticate,
    ipLimit: shared.ipLimit,
  };
}
