import { createAudit } from '@worktide/audit';
import { createTenantCache } from '@worktide/key-value';
import { deletionsInPostgres, followDeletions } from '@worktide/people';
import { checkPostgres, createOutbox, createPool, openReads } from '@worktide/postgres';
import {
  describeError,
  type Lifecycle,
  type Logger,
  type Metrics,
  type Service,
  startUntilDone,
} from '@worktide/runtime';
import { createCodec, projectPage, topics } from '@worktide/schemas';
import { openIdentity, openShared } from '@worktide/service';
import { concernsProjects, followForCache } from './cache/follow.ts';
import type { Config } from './config.ts';
import { internalRoutes } from './internal/routes.ts';
import { workspaceRoutes } from './routes.ts';
import { eraseOrganization } from './store/erase-organization.ts';
import { createStore } from './store/store.ts';
import { rewordTasks } from './tasks/reword.ts';

export const serviceName = 'workspace';

/** A user's agents on all devices, each asking every few seconds. */
const agentsPerMinute = 300;

/**
 * Projects, teams and tasks. Who may do what is one table, `policies.ts`; the way to the database is one
 * object, `store/`, and begins with an organisation; what changed leaves through an outbox.
 *
 * Starts while everything else is away, says so in `checks`, and goes on when it is back.
 */
export async function run(
  config: Config,
  deps: { lifecycle: Lifecycle; log: Logger; metrics: Metrics },
): Promise<Service> {
  const { lifecycle, log, metrics } = deps;
  const shared = openShared(serviceName, config, deps);
  const { eventLog, registry, keyValue, limits } = shared;

  const pool = createPool(config.POSTGRES_URL, { applicationName: serviceName, log, metrics });
  lifecycle.onClose('workspace postgres', () => pool.end());

  const reads = openReads({ service: serviceName, url: config.POSTGRES_READ_URL, pool, keyValue, ...deps });

  const codec = createCodec(registry, topics['workspace-events']);
  const audit = createAudit({ service: serviceName, registry, log, metrics });
  const producer = eventLog.producer();
  const outbox = createOutbox({ schema: 'workspace', pool, producer, log, metrics, lifecycle, whenFull: 'leave' });

  startUntilDone(
    'words of older tasks',
    async (signal) => {
      const tasks = await rewordTasks(pool, signal);
      if (tasks > 0) log.info({ tasks }, 'words of tasks were made anew');
    },
    { lifecycle, log },
  );

  const identity = openIdentity(config, shared, deps);

  const activeProjects = createTenantCache({ name: 'projects', schema: projectPage, keyValue, log, metrics });
  const store = createStore({
    pool,
    reads,
    outbox,
    codec,
    audit,
    onCommitted: async (organizationId, events) => {
      if (!concernsProjects(events)) return;
      await activeProjects.invalidate(organizationId).catch((error: unknown) => {
        // The consumer below does it when it can.
        log.warn({ err: error }, `projects are cached for a little longer: ${describeError(error)}`);
      });
    },
  });
  const follower = await followForCache({ eventLog, codec, invalidate: activeProjects.invalidate });
  lifecycle.onClose('workspace cache follower', () => follower.close());
  await followDeletions({
    service: serviceName,
    eventLog,
    registry,
    deletions: deletionsInPostgres(pool, 'workspace'),
    erase: (organizationId) => eraseOrganization(pool, organizationId),
    lifecycle,
    log,
  });

  const agentLimit = limits.window({ name: 'active-projects', points: agentsPerMinute, seconds: 60 });

  return {
    name: serviceName,
    routes: [
      ...workspaceRoutes({
        store,
        activeProjects,
        agentLimit,
        findUser: identity.findUser,
        organization: identity.organization,
      }),
      ...internalRoutes(pool, identity.organization),
    ],
    internalToken: config.INTERNAL_TOKEN,
    // Key-value is no reason to be unready: without it the database answers. Nor is the log: what it is to be told
    // waits in the outbox, and what follows it only empties a cache.
    checks: {
      postgres: checkPostgres(pool),
      'schema registry': async () => {
        await Promise.all([codec.prepare(), audit.check()]);
      },
      auth: identity.check,
    },
    sideChecks: { ...shared.sideChecks, ...reads.checks },
    wrote: reads.wrote,
    authenticate: identity.authenticate,
    ipLimit: shared.ipLimit,
  };
}
