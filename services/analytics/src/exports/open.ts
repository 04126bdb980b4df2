import type { Audit, Looks } from '@worktide/audit';
import { createClickHouse } from '@worktide/clickhouse';
import type { EventLog } from '@worktide/event-log';
import type { KeyValue } from '@worktide/key-value';
import { openObjectStore } from '@worktide/object-store';
import { checkPostgres, createOutbox, createPool, openReads, type Reads } from '@worktide/postgres';
import type { AnyRoute, Lifecycle, Logger, Metrics, RawRoute, ReadinessCheck } from '@worktide/runtime';
import { createCodec, type SchemaRegistry, topics } from '@worktide/schemas';
import type { Config } from '../config.ts';
import { createReports } from '../reports/reports.ts';
import { exportMetrics } from './metrics.ts';
import type { RightsDeps } from './resolve.ts';
import { exportRoutes } from './routes.ts';
import { exportSettings, maxPartSeconds } from './settings.ts';
import { createSettle } from './settle.ts';
import { createExportSweep, eraseExports } from './sweep.ts';
import { type ExportWorkersOptions, startExportWorkers } from './workers.ts';

/** Statements of requests; two connections besides cancel what nobody waits for. */
const requestConnections = 6;
/** Every few minutes; replicas that were started together part ways. */
const sweeping = { everyMs: () => 180_000 * (0.75 + Math.random() / 2), first: 'later' } as const;

export interface Exports {
  /** Removes all of an organisation's. Rejects 503. */
  erase(organizationId: string): Promise<void>;
  /** @param deps who may have what, and who is told of it. */
  routes(deps: RightsDeps & { audit: Pick<Audit, 'tell'>; looks: Looks }): AnyRoute[];
  /** What serves links to files, where neither the store does that itself nor another service of the same store. */
  rawRoutes: RawRoute[];
  wrote: Reads['wrote'];
  /** Reports are given without them. */
  checks: Record<string, ReadinessCheck>;
}

/**
 * Exports: jobs in PostgreSQL, done over connections to ClickHouse of their own, files in the object store. Closes with the
 * lifecycle; all of it may be away, and nothing else of this service is, then.
 * @param pace of the work, where it is not that of a service.
 */
export function openExports(
  config: Pick<
    Config,
    | 'POSTGRES_URL'
    | 'POSTGRES_READ_URL'
    | 'CLICKHOUSE_URL'
    | 'OBJECT_STORE_URL'
    | 'OBJECT_SIGNING_SECRET'
    | 'PUBLIC_URL'
    | 'EXPORT_CONCURRENCY'
    | 'EXPORT_MAX_ROWS'
    | 'EXPORT_MAX_BYTES'
    | 'EXPORT_MAX_STORED_BYTES'
  >,
  deps: {
    lifecycle: Lifecycle;
    log: Logger;
    metrics: Metrics;
    eventLog: Pick<EventLog, 'producer'>;
    registry: SchemaRegistry;
    keyValue: Pick<KeyValue, 'get' | 'set'>;
  },
  pace: Pick<ExportWorkersOptions, 'pollMs' | 'leaseMs' | 'retryMs'> = {},
): Exports {
  const { lifecycle, log, metrics } = deps;
  const concurrency = config.EXPORT_CONCURRENCY;
  const openPool = (kind: string, max: number) => {
    const pool = createPool(config.POSTGRES_URL, { applicationName: `analytics${kind}`, max, log, metrics });
    lifecycle.onClose(`exports postgres${kind}`, () => pool.end());
    return pool;
  };
  const pool = openPool('-exports', concurrency + 2);
  const outbox = createOutbox({
    schema: 'analytics',
    pool,
    producer: deps.eventLog.producer(),
    log,
    metrics,
    lifecycle,
    // An export is ready though nobody can be told yet.
    whenFull: 'leave',
  });
  const requestPool = openPool('-requests', requestConnections);
  const reads = openReads({
    service: 'analytics',
    url: config.POSTGRES_READ_URL,
    pool: requestPool,
    max: requestConnections,
    ...deps,
  });
  const codec = createCodec(deps.registry, topics.exports);
  const settle = createSettle({ pool, outbox, codec, wrote: reads.wrote });
  const store = openObjectStore(config.OBJECT_STORE_URL, {
    log,
    metrics,
    ...(config.OBJECT_SIGNING_SECRET === undefined ? {} : { signingSecret: config.OBJECT_SIGNING_SECRET }),
    ...(config.PUBLIC_URL === undefined ? {} : { publicUrl: config.PUBLIC_URL }),
  });
  lifecycle.onClose('exports object store', () => store.close());
  const clickhouse = createClickHouse(config.CLICKHOUSE_URL, {
    log,
    application: 'worktide-exports',
    maxConnections: concurrency,
    requestTimeoutMs: (maxPartSeconds + 5) * 1_000,
  });
  lifecycle.onClose('clickhouse for exports', () => clickhouse.close());

  const reports = createReports({ clickhouse, settings: exportSettings });
  const bounds = {
    maxRows: config.EXPORT_MAX_ROWS,
    maxBytes: config.EXPORT_MAX_BYTES,
    maxStoredBytes: config.EXPORT_MAX_STORED_BYTES,
  };
  const work = {
    pool,
    settle,
    store,
    clickhouse,
    reports,
    bounds,
    concurrency,
    metrics: exportMetrics(metrics),
    log,
    lifecycle,
  };
  const workers = startExportWorkers({ ...work, ...pace });
  lifecycle.every('export sweeper', sweeping, createExportSweep({ pool, store, log, metrics }));

  return {
    erase: (organizationId) => eraseExports({ pool, store }, organizationId),
    routes: (rest) => exportRoutes({ pool: requestPool, reads, store, bounds, workers, log, ...rest }),
    rawRoutes: store.routes.filter(({ spec }) => spec.method === 'get'),
    wrote: reads.wrote,
    checks: { postgres: checkPostgres(pool), 'object store': () => store.check(), ...reads.checks },
  };
}
