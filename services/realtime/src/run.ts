import { createAudit } from '@worktide/audit';
import { deletionsInPostgres, followDeletions } from '@worktide/people';
import { checkPostgres, createOutbox, createPool } from '@worktide/postgres';
import type { Lifecycle, Logger, Metrics, Service } from '@worktide/runtime';
import { openIdentity, openShared } from '@worktide/service';
import type { Config } from './config.ts';
import { openNotifications } from './notifications/open.ts';
import { eraseOrganization, storePeople } from './people/store.ts';
import { realtimeRoutes } from './routes.ts';
import { openWebhooks } from './webhooks/open.ts';

export const serviceName = 'realtime';

/**
 * Tells people what has happened, and who is at work now: only what a topic says was committed.
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
  lifecycle.onClose('realtime postgres', () => pool.end());
  const audit = createAudit({ service: serviceName, registry, log, metrics });
  const outbox = createOutbox({
    schema: 'realtime',
    pool,
    producer: eventLog.producer(),
    log,
    metrics,
    lifecycle,
    whenFull: 'leave',
  });

  const identity = openIdentity(config, shared, deps);

  const people = await followDeletions({
    service: serviceName,
    eventLog,
    registry,
    deletions: deletionsInPostgres(pool, 'realtime'),
    store: (records) => storePeople(pool, records),
    erase: (organizationId) => eraseOrganization(pool, organizationId),
    lifecycle,
    log,
  });

  // Nobody is connected yet.
  const push = (): void => {};
  const notifications = await openNotifications(config, { ...deps, pool, eventLog, registry, push });
  const { teller } = notifications;
  const webhooks = await openWebhooks(config, {
    ...deps,
    pool,
    outbox,
    audit,
    eventLog,
    registry,
    limits: shared.limits,
    teller,
  });

  return {
    name: serviceName,
    routes: [...realtimeRoutes(), ...notifications.routes, ...webhooks.routes],
    internalToken: config.INTERNAL_TOKEN,
    checks: {
      postgres: checkPostgres(pool),
      'event log': () => eventLog.check(),
      'people consumer': () => people.check(),
      'notifications consumer': () => notifications.consumer.check(),
      'webhooks consumer': () => webhooks.consumer.check(),
      outbox: outbox.check,
      'schema registry': () => audit.check(),
      auth: identity.check,
    },
    sideChecks: shared.sideChecks,
    authenticate: identity.authenticate,
    ipLimit: shared.ipLimit,
  };
}
