import { createAudit, createLooks } from '@worktide/audit';
import { createLeads } from '@worktide/identity';
import { openObjectStore } from '@worktide/object-store';
import { deletionsInPostgres, followDeletions } from '@worktide/people';
import { checkPostgres, createOutbox, createPool, openReads, type Pool } from '@worktide/postgres';
import type { Lifecycle, Logger, Metrics, Service } from '@worktide/runtime';
import { createCodec, topics } from '@worktide/schemas';
import { openIdentity, openShared } from '@worktide/service';
import type { Config } from './config.ts';
import { openPictures } from './picture/index.ts';
import { screenshotRoutes } from './screenshots/routes.ts';
import { createStoredBytes, storedPass } from './stored/stored.ts';
import { eraseOrganization } from './sweep/rows.ts';
import { createSweeper } from './sweep/sweeper.ts';
import { consumeUploads } from './uploads/consume.ts';
import { workMetrics } from './work/metrics.ts';
import { createWork } from './work/work-on.ts';
import { startWorkers } from './work/workers.ts';

export const serviceName = 'screenshot-processor';

/** Four statements of requests at a time, of one organisation two; two connections to cancel what nobody waits for. */
const requestConnections = 6;
/** Every few minutes; replicas that were started together part ways. */
const sweeping = { everyMs: () => 180_000 * (0.75 + Math.random() / 2), first: 'later' } as const;

/**
 * Blurs screenshots, keeps them and shows them.
 *
 * `uploads/` follows the log and only notes what there is to do; `work/` does it, `SCREENSHOT_CONCURRENCY` at a time, out
 * of the table; `sweep/` settles what neither could; `stored/` counts bytes; `screenshots/` is the HTTP side; `picture/` knows pictures and
 * nothing else. An upload is removed after what was made of it is durable, and no link ever leads to it.
 *
 * Starts while everything else is away, says so in `checks`, and goes on when it is back.
 */
export async function run(
  config: Config,
  deps: { lifecycle: Lifecycle; log: Logger; metrics: Metrics },
): Promise<Service> {
  const { lifecycle, log, metrics } = deps;
  const shared = openShared(serviceName, config, deps);
  const { eventLog, registry, keyValue } = shared;
  const concurrency = config.SCREENSHOT_CONCURRENCY;

  /** Of the work on pictures, and of requests, so that neither waits for the other's. */
  const openPool = (kind: string, max: number): Pool => {
    const opened = createPool(config.POSTGRES_URL, { applicationName: `${serviceName}${kind}`, max, log, metrics });
    lifecycle.onClose(`screenshots postgres${kind}`, () => opened.end());
    return opened;
  };
  const pool = openPool('', concurrency + 3);
  const requestPool = openPool('-requests', requestConnections);
  const reads = openReads({
    service: serviceName,
    url: config.POSTGRES_READ_URL,
    pool: requestPool,
    max: requestConnections,
    keyValue,
    ...deps,
  });
  const store = openObjectStore(config.OBJECT_STORE_URL, {
    log,
    metrics,
    ...(config.OBJECT_SIGNING_SECRET === undefined ? {} : { signingSecret: config.OBJECT_SIGNING_SECRET }),
    ...(config.PUBLIC_URL === undefined ? {} : { publicUrl: config.PUBLIC_URL }),
  });
  lifecycle.onClose('screenshots object store', () => store.close());

  const uploadsCodec = createCodec(registry, topics.screenshots);
  const readyCodec = createCodec(registry, topics['screenshots-ready']);
  const producer = eventLog.producer();
  const audit = createAudit({ service: serviceName, registry, producer, log, metrics });
  const outbox = createOutbox({ schema: 'screenshots', pool, producer, log, metrics, lifecycle, whenFull: 'leave' });

  const identity = openIdentity(config, shared, deps);
  const leads = createLeads({ workspaceUrl: config.WORKSPACE_URL, internalToken: config.INTERNAL_TOKEN });

  const settling = { pool, outbox, readyCodec };
  const observe = workMetrics(metrics);
  const workOn = createWork({ ...settling, store, pictures: openPictures(), identity, metrics: observe });
  const workers = startWorkers({ pool, workOn, concurrency, metrics: observe, registry: metrics, log, lifecycle });
  const { wake } = workers;

  const consumer = await consumeUploads({ pool, eventLog, uploadsCodec, store, onAdded: wake, log, metrics });
  lifecycle.onClose('screenshots consumer', () => consumer.close());
  const people = await followDeletions({
    service: serviceName,
    eventLog,
    registry,
    deletions: deletionsInPostgres(pool, 'screenshots'),
    erase: async (organizationId, signal) => {
      await eraseOrganization(settling, organizationId, signal);
      wake();
    },
    lifecycle,
    log,
  });
  const lag = (): Promise<number> => consumer.lag();
  const sweep = createSweeper({ ...settling, store, identity, lag, onDeleted: wake, log, metrics });
  lifecycle.every('screenshot sweeper', sweeping, sweep);
  lifecycle.every('stored bytes', { everyMs: 15_000 }, storedPass(createStoredBytes({ pool, keyValue, metrics })));

  return {
    name: serviceName,
    routes: screenshotRoutes({
      ...settling,
      pool: requestPool,
      reads,
      store,
      identity,
      audit,
      looks: createLooks(audit),
      leads,
      onDeleted: wake,
    }),
    // What leads to results; uploads go to the gateway, which may serve all of them on the same port.
    rawRoutes: store.routes.filter(({ spec }) => spec.method === 'get'),
    // What is to be told waits in the outbox; the log is needed for what is to be done.
    checks: {
      postgres: checkPostgres(pool),
      'screenshots consumer': () => consumer.check(),
      'people consumer': () => people.check(),
      'object store': () => store.check(),
      'schema registry': async () => {
        await Promise.all([uploadsCodec.prepare(), readyCodec.prepare(), audit.check()]);
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
