import { createAudit } from '@worktide/audit';
import { createLeads } from '@worktide/identity';
import { deletionsInPostgres, followDeletions } from '@worktide/people';
import { checkPostgres, createOutbox, createPool, openReads, type Pool } from '@worktide/postgres';
import {
  backoffMs,
  createBudget,
  createTurns,
  type Lifecycle,
  type Logger,
  type Metrics,
  type Service,
} from '@worktide/runtime';
import { createCodec, topics } from '@worktide/schemas';
import { openIdentity, openShared } from '@worktide/service';
import { alertRoutes } from './alerts/routes.ts';
import { createAlertScan } from './alerts/scan.ts';
import type { Config } from './config.ts';
import { consumeImports } from './imports/consume.ts';
import { forgetRemoved } from './imports/remove.ts';
import { consumeInput } from './input/consume.ts';
import { pruneMinutes } from './input/store.ts';
import { consumePings } from './pings/consume.ts';
import { eraseOrganization } from './store/erase-organization.ts';
import { createEraser, erasePass } from './store/eraser.ts';
import type { MergeOptions } from './store/merge.ts';
import { createPartitions } from './store/partitions.ts';
import { createArrivals } from './sync/arrivals.ts';
import { consumeSyncs } from './sync/consume.ts';
import { forgetOutcomes } from './sync/outcomes.ts';
import { syncRoutes } from './sync/routes.ts';
import { pruneRequests } from './timers/requests.ts';
import { createRetention } from './timers/retention.ts';
import { timerRoutes } from './timers/routes.ts';
import { usageRoutes } from './usage/routes.ts';
import { followWorkspace } from './workspace/follow.ts';
import { askWorkspaceAt, createKnownWorkspace } from './workspace/known.ts';

export const serviceName = 'session-writer';

/** Four statements of requests at a time, of one organisation two; two connections to cancel what nobody waits for. */
const requestConnections = 6;
/** Requests that may wait for a batch: each looks once a second. Of one organisation half of them. */
const maxWaits = 200;
/** One person has two lists in work and some in line; how many there are in all, the pool says. */
const listTurns = {
  name: 'usage lists of a person',
  places: Number.POSITIVE_INFINITY,
  placesEach: 2,
  maxWaitingEach: 30,
  maxWaitMs: 5_000,
};
const maintenance = { everyMs: 60_000, retryMs: 5_000 };
/**
 * What another process recorded, or a dead one left, is seen so soon. Closing does not wait: what the log does not take
 * now is published later.
 */
const erasing = { everyMs: 5_000, retryMs: (failures: number) => backoffMs(failures, 200, 10_000), graceMs: 0 };

/**
 * Merges pings into usage entries and lists or erases them.
 *
 * `merge/` is the rule, pure: stored neighbourhood + pings → changes. What is stored says who owns which millisecond
 * and nothing else, so order, batches and repetition of pings cannot matter, nor can a second writer at work on the
 * same partition. `store/` is one transaction of it: lock streams, read neighbours, fold, write set-wise, with the
 * events in an outbox. `pings/` feeds it from the log, `usage/` is the HTTP side.
 *
 * Starts while everything else is away, says so in `checks`, and goes on when it is back.
 */
export async function run(
  config: Config,
  deps: { lifecycle: Lifecycle; log: Logger; metrics: Metrics },
): Promise<Service> {
  const { lifecycle, log, metrics } = deps;
  const shared = openShared(serviceName, config, deps);
  const { eventLog, registry, limits } = shared;
  const parallel = config.WRITER_TRANSACTIONS;

  /** Of each kind of work its own, so that none waits for another's. */
  const openPool = (kind: string, max: number): Pool => {
    const opened = createPool(config.POSTGRES_URL, { applicationName: `${serviceName}${kind}`, max, log, metrics });
    lifecycle.onClose(`postgres${kind}`, () => opened.end());
    return opened;
  };
  const pool = openPool('', parallel + 4);
  const erasePool = openPool('-erase', 2);
  const requestPool = openPool('-requests', requestConnections);
  const reads = openReads({
    service: serviceName,
    url: config.POSTGRES_READ_URL,
    pool: requestPool,
    max: requestConnections,
    keyValue: shared.keyValue,
    ...deps,
  });
  const partitions = createPartitions({ pool, retentionMonths: config.USAGE_RETENTION_MONTHS, log });

  const pingsCodec = createCodec(registry, topics.pings);
  const usageCodec = createCodec(registry, topics.usage);
  const entriesCodec = createCodec(registry, topics['time-entries']);
  const workspaceCodec = createCodec(registry, topics['workspace-events']);
  const alertsCodec = createCodec(registry, topics.alerts);
  const erasuresCodec = createCodec(registry, topics.erasures);
  const outbox = createOutbox({ schema: 'tracking', pool, producer: eventLog.producer(), log, metrics, lifecycle });

  const audit = createAudit({ service: serviceName, registry, log, metrics });

  const identity = openIdentity(config, shared, deps);
  const leads = createLeads({ workspaceUrl: config.WORKSPACE_URL, internalToken: config.INTERNAL_TOKEN });

  const merge: MergeOptions = { pool, partitions, outbox, usageCodec };
  lifecycle.every('maintenance', maintenance, async () => {
    await partitions.maintain();
    await pruneMinutes(pool, partitions.keptFrom());
    await pruneRequests(pool);
  });
  const eraser = createEraser({ ...merge, pool: erasePool, erasuresCodec, metrics });
  const { wake: onErasure } = lifecycle.every('eraser', erasing, erasePass(eraser));

  const consumers = await consumePings({ ...merge, eventLog, pingsCodec, parallel, lifecycle, log, metrics });
  lifecycle.onClose('pings consumers', () => Promise.all(consumers.map((consumer) => consumer.close())));
  const syncPool = openPool('-sync', parallel + 2);
  const follower = await followWorkspace({ eventLog, pool: syncPool, codec: workspaceCodec });
  lifecycle.onClose('workspace follower', () => follower.close());
  const people = await followDeletions({
    service: serviceName,
    eventLog,
    registry,
    deletions: deletionsInPostgres(erasePool, 'tracking'),
    erase: (organizationId, signal) => eraseOrganization(erasePool, organizationId, signal),
    lifecycle,
    log,
  });
  const workspace = createKnownWorkspace({
    pool: syncPool,
    ask: config.WORKSPACE_URL ? askWorkspaceAt(config.WORKSPACE_URL, config.INTERNAL_TOKEN) : undefined,
    metrics,
  });

  const syncCodec = createCodec(registry, topics['time-entry-syncs']);
  const arrivals = createArrivals();
  const syncs = await consumeSyncs({
    eventLog,
    pool: syncPool,
    outbox,
    codec: syncCodec,
    entriesCodec,
    identity,
    arrivals,
    placesOf: workspace.placesOf,
    parallel,
    lifecycle,
    log,
    metrics,
  });
  lifecycle.onClose('sync consumers', () => Promise.all(syncs.map((consumer) => consumer.close())));
  const importsCodec = createCodec(registry, topics.imports);
  const outcomeCodec = createCodec(registry, topics['import-outcomes']);
  const imports = await consumeImports({
    ...merge,
    pool: syncPool,
    eventLog,
    codec: importsCodec,
    outcomeCodec,
    entriesCodec,
    identity,
    placesOf: workspace.placesOf,
    onErasure,
    lifecycle,
    metrics,
  });
  lifecycle.onClose('imports consumer', () => imports.close());
  const minutesCodec = createCodec(registry, topics['input-minutes']);
  const input = await consumeInput({ eventLog, pool: syncPool, codec: minutesCodec, partitions, metrics });
  lifecycle.onClose('input consumer', () => input.close());
  const forgetEntries = createRetention({ pool: syncPool, outbox, codec: entriesCodec, identity, metrics });
  lifecycle.every('time entry retention', { everyMs: 6 * 3_600_000, retryMs: maintenance.everyMs }, forgetEntries);
  lifecycle.every('old outcomes', { everyMs: 3_600_000, first: 'later' }, async () => {
    await forgetOutcomes(syncPool);
    await forgetRemoved(syncPool);
  });

  const alertPool = openPool('-alerts', 1);
  const sees = async (): Promise<boolean> => {
    try {
      await eventLog.check();
      for (const consumer of consumers) consumer.check();
      return true;
    } catch {
      return false;
    }
  };
  const alerts = createAlertScan({ pool: alertPool, outbox, codec: alertsCodec, identity, sees, log, metrics });
  const scanning = { everyMs: config.ALERTS_EVERY_SECONDS * 1_000, retryMs: 5_000 };
  lifecycle.every('alerts', scanning, async (signal) => void (await alerts.scan(signal)));

  const syncLimit = limits.window({ name: 'sync-batches', points: config.SYNC_LIMIT_PER_MINUTE, seconds: 60 });
  const waits = createBudget({ name: 'waits', total: maxWaits, metrics });

  const turns = createTurns({ ...listTurns, metrics });

  return {
    name: serviceName,
    routes: [
      ...usageRoutes({ pool: requestPool, reads, turns, outbox, onErasure, identity, audit }),
      ...syncRoutes({ pool: requestPool, arrivals, limit: syncLimit, waits }),
      ...alertRoutes({
        leads,
        pool: requestPool,
        reads,
        turns,
        outbox,
        codec: alertsCodec,
        identity,
        audit,
        now: Date.now,
      }),
      ...timerRoutes({
        pool: requestPool,
        reads,
        turns,
        outbox,
        codec: entriesCodec,
        identity,
        workspace,
        // As much as an address has, by which these requests are not counted.
        limit: limits.window({ name: 'timers', points: config.IP_LIMIT_PER_MINUTE, seconds: 60 }),
        metrics,
        now: Date.now,
      }),
    ],
    checks: {
      postgres: async () => {
        await checkPostgres(pool)();
        partitions.check();
      },
      'event log': () => eventLog.check(),
      'pings consumer': () => {
        for (const consumer of consumers) consumer.check();
      },
      'workspace follower': () => follower.check(),
      'people consumer': () => people.check(),
      'sync consumer': () => {
        for (const consumer of syncs) consumer.check();
      },
      'imports consumer': () => imports.check(),
      'input consumer': () => input.check(),
      outbox: outbox.check,
      'schema registry': async () => {
        const codecs = [
          pingsCodec,
          usageCodec,
          syncCodec,
          entriesCodec,
          minutesCodec,
          workspaceCodec,
          alertsCodec,
          erasuresCodec,
          importsCodec,
          outcomeCodec,
        ];
        await Promise.all([...codecs.map((codec) => codec.prepare()), audit.check()]);
      },
      auth: identity.check,
    },
    sideChecks: { ...shared.sideChecks, ...reads.checks },
    wrote: reads.wrote,
    authenticate: identity.authenticate,
    ipLimit: shared.ipLimit,
    internalToken: config.INTERNAL_TOKEN,
  };
}
