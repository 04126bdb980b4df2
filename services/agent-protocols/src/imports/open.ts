import { createAudit } from '@worktide/audit';
import type { EventLog } from '@worktide/event-log';
import type { Identity } from '@worktide/identity';
import { openObjectStore } from '@worktide/object-store';
import { createPool, type Outbox } from '@worktide/postgres';
import type { PrivacyGuard } from '@worktide/privacy';
import {
  type AnyRoute,
  createBudget,
  type Lifecycle,
  type Logger,
  type Metrics,
  type RawRoute,
  type ReadinessCheck,
  type RequestLimit,
} from '@worktide/runtime';
import { createCodec, type SchemaRegistry, topics } from '@worktide/schemas';
import type { Config } from '../config.ts';
import { importMetrics } from './metrics.ts';
import { followOutcomes } from './outcomes.ts';
import { postImport } from './post-import.ts';
import { importRoutes } from './routes.ts';
import { createImportSweep, eraseImports } from './sweep.ts';
import { type ImportWorkersOptions, startImportWorkers } from './workers.ts';

/** Statements of requests; two connections besides cancel what nobody waits for. */
const requestConnections = 4;
/** Every few minutes; replicas that were started together part ways. */
const sweeping = { everyMs: () => 180_000 * (0.75 + Math.random() / 2), first: 'later' } as const;

export interface Imports {
  routes: AnyRoute[];
  rawRoutes: RawRoute[];
  /** Removes all of an organisation's. Rejects 503. */
  erase(organizationId: string): Promise<void>;
  /** What agents send is taken without them. */
  checks: Record<string, ReadinessCheck>;
}

/**
 * Imports of history: jobs in PostgreSQL, files in the object store, pieces onto the log by an outbox. Closes with the lifecycle; all
 * of it may be away, and what agents send is taken all the same.
 * @param pace of the work, where it is not that of a service.
 */
export async function openImports(
  config: Pick<
    Config,
    | 'POSTGRES_URL'
    | 'OBJECT_STORE_URL'
    | 'AUTH_URL'
    | 'WORKSPACE_URL'
    | 'INTERNAL_TOKEN'
    | 'USAGE_RETENTION_MONTHS'
    | 'IMPORT_MAX_BYTES'
    | 'IMPORT_MAX_STORED_BYTES'
    | 'IMPORT_UPLOAD_SECONDS'
    | 'IMPORT_CONCURRENCY'
    | 'IMPORT_UPLOADS_MAX'
  >,
  deps: {
    service: string;
    eventLog: Pick<EventLog, 'consume'>;
    registry: SchemaRegistry;
    outbox: Outbox;
    identity: Pick<Identity, 'authenticate' | 'findUser' | 'organization'>;
    privacy: PrivacyGuard;
    /** Uploads of one user. */
    limit: RequestLimit;
    /** What one user reads of them. */
    readLimit?: RequestLimit;
    lifecycle: Lifecycle;
    log: Logger;
    metrics: Metrics;
  },
  pace: Pick<ImportWorkersOptions, 'pollMs' | 'leaseMs' | 'retryMs' | 'rowsAtOnce' | 'turnMs' | 'smallBytes'> = {},
): Promise<Imports> {
  const { service, eventLog, registry, outbox, identity, privacy, limit, readLimit, lifecycle, log, metrics } = deps;
  const openPool = (kind: string, max: number) => {
    const pool = createPool(config.POSTGRES_URL, { applicationName: `${service}${kind}`, max, log, metrics });
    lifecycle.onClose(`imports postgres${kind}`, () => pool.end());
    return pool;
  };
  const pool = openPool('-imports', config.IMPORT_CONCURRENCY + 4);
  const requestPool = openPool('-import-requests', requestConnections);
  const store = openObjectStore(config.OBJECT_STORE_URL, { log, metrics });
  lifecycle.onClose('imports object store', () => store.close());
  const codec = createCodec(registry, topics.imports);
  const outcomeCodec = createCodec(registry, topics['import-outcomes']);
  codec.prepare().catch(() => {});
  const audit = createAudit({ service, registry, log, metrics });
  const counted = importMetrics(metrics);

  const outcomes = await followOutcomes({ service, eventLog, pool, codec: outcomeCodec });
  lifecycle.onClose('import outcomes', () => outcomes.close());
  const internal = (name: string, url: string) => ({ service: name, url, internalToken: config.INTERNAL_TOKEN });
  const workers = startImportWorkers({
    pool,
    outbox,
    codec,
    store,
    identity,
    privacy,
    auth: internal('auth', config.AUTH_URL),
    workspace: config.WORKSPACE_URL === undefined ? undefined : internal('workspace', config.WORKSPACE_URL),
    retentionMonths: config.USAGE_RETENTION_MONTHS,
    concurrency: config.IMPORT_CONCURRENCY,
    metrics: counted,
    log,
    lifecycle,
    ...pace,
  });
  lifecycle.every('import sweeper', sweeping, createImportSweep({ pool, store, log, metrics: counted }));
  const request = { pool: requestPool, outbox, audit, workers };
  return {
    routes: importRoutes({ ...request, store, log, readLimit, codec, metrics: counted }),
    rawRoutes: [
      postImport({
        ...request,
        store,
        authenticate: identity.authenticate,
        limit,
        places: createBudget({ name: 'import uploads', total: config.IMPORT_UPLOADS_MAX, metrics, code: 'QUEUE_FULL' }),
        maxBytes: config.IMPORT_MAX_BYTES,
        maxStoredBytes: config.IMPORT_MAX_STORED_BYTES,
        uploadMs: config.IMPORT_UPLOAD_SECONDS * 1_000,
        log,
      }),
    ],
    erase: (organizationId) => eraseImports({ pool, store }, organizationId),
    checks: {
      'object store': () => store.check(),
      'import outcomes consumer': () => outcomes.check(),
      'imports schema': () => codec.prepare(),
    },
  };
}
