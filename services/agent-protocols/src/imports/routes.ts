import { type Audit, auditSource } from '@worktide/audit';
import type { ObjectStore } from '@worktide/object-store';
import { type Outbox, type Pool, type Queryable, tenantTransaction, transactionWithEvents } from '@worktide/postgres';
import { isPaused } from '@worktide/privacy';
import {
  type AnyRoute,
  type Caller,
  conflict,
  describeError,
  forbidden,
  type Logger,
  notFound,
  type RequestLimit,
  route,
} from '@worktide/runtime';
import { type Codec, idParams, importJob, importPage, importQuery } from '@worktide/schemas';
import type { ImportMetrics } from './metrics.ts';
import { removeFile, takeOut } from './remove.ts';
import { findImport, type ImportRow, listImports, showImport, startImport } from './store.ts';
import type { ImportWorkers } from './workers.ts';

export interface ImportRoutesDependencies {
  pool: Pool;
  store: Pick<ObjectStore, 'delete'>;
  outbox: Outbox;
  log: Logger;
  /** Of topic `imports`. */
  codec: Codec;
  audit: Pick<Audit, 'events'>;
  workers: ImportWorkers;
  metrics: Pick<ImportMetrics, 'removed'>;
  /** What one user reads of them. */
  readLimit?: RequestLimit | undefined;
}

const path = '/api/v1/imports';
const tag = 'imports';

/** Whoever made it, and administrators. @throws 404. */
async function ownImport(client: Queryable, caller: Caller, id: string, lock = false): Promise<ImportRow> {
  const row = await findImport(client, caller.organizationId, id, lock);
  if (!row || (row.userId !== caller.userId && caller.role !== 'admin')) throw notFound();
  return row;
}

export function importRoutes(deps: ImportRoutesDependencies): AnyRoute[] {
  const { pool, store, outbox, log, codec, audit, workers, metrics, readLimit } = deps;
  const terms = (caller: Caller, signal: AbortSignal) =>
    ({ pool, outbox, tenant: caller.organizationId, signal, whenFull: 'leave' }) as const;
  return [
    route({
      method: 'get',
      path,
      operationId: 'listImports',
      summary: 'Imports, newest first',
      description: 'One’s own; to an administrator everybody’s.',
      tag,
      access: 'session',
      ...(readLimit ? { userLimit: readLimit } : {}),
      query: importQuery,
      responses: { 200: { description: 'A page of imports.', schema: importPage } },
      handler: async ({ caller, query, signal }) => {
        const userId = caller.role === 'admin' ? null : caller.userId;
        const { status, cursor, limit } = query;
        const asked = { userId, status, cursor, limit };
        const { rows, nextCursor } = await listImports(pool, caller.organizationId, asked, { signal });
        return { status: 200, body: { items: rows.map(showImport), nextCursor } };
      },
    }),
    route({
      method: 'get',
      path: `${path}/:id`,
      operationId: 'getImport',
      summary: 'How far an import is, and what is in its file',
      tag,
      access: 'session',
      params: idParams,
      responses: { 200: { description: 'The import.', schema: importJob } },
      handler: async ({ caller, params, signal }) => {
        const find = (client: Queryable) => ownImport(client, caller, params.id);
        return {
          status: 200,
          body: showImport(await tenantTransaction(pool, caller.organizationId, find, { signal })),
        };
      },
    }),
    route({
      method: 'post',
      path: `${path}/:id/start`,
      operationId: 'startImport',
      summary: 'Import what was looked at',
      description: 'Whoever brought the file does. One at a time of a person. Again is harmless.',
      tag,
      access: 'session',
      params: idParams,
      responses: { 202: { description: 'It will be imported, is, or was.', schema: importJob } },
      handler: async ({ req, requestId, caller, params, signal }) => {
        const { result } = await transactionWithEvents(terms(caller, signal), async (client, tell) => {
          const row = await ownImport(client, caller, params.id, true);
          if (row.userId !== caller.userId) throw forbidden('Whoever brought the file starts it.');
          if (['queued', 'running', 'done'].includes(row.status)) return row;
          if (row.status === 'reading') throw conflict('IMPORT_NOT_READY', 'The file is still being looked at.');
          if (row.status === 'failed') throw conflict('IMPORT_FAILED', row.failureMessage ?? 'It cannot be imported.');
          if (row.preview === null || row.preview.usable === 0) {
            throw conflict('NOTHING_TO_IMPORT', 'There is nothing in the file that can be imported.');
          }
          // It was looked at with rights that are gone.
          if (row.forOthers && caller.role !== 'admin') throw forbidden();
          const { pause } = caller;
          const isOfUsage = row.kind === 'activitywatch' || row.kind === 'wakatime';
          if (isOfUsage && isPaused({ timezone: caller.timezone, pause }, Date.now())) {
            throw conflict('PAUSED', 'While you have paused nothing of you is recorded; end the pause first.');
          }
          await startImport(client, row, pause);
          const actions = [
            { action: 'import.started', entityType: 'import', entityId: row.id, after: { kind: row.kind } },
          ];
          tell(...audit.events(caller.organizationId, auditSource({ req, requestId }, caller), actions));
          return (await findImport(client, caller.organizationId, row.id))!;
        });
        workers.wake();
        return { status: 202, body: showImport(result) };
      },
    }),
    route({
      method: 'delete',
      path: `${path}/:id`,
      operationId: 'deleteImport',
      summary: 'Take an import out again, all of it',
      description:
        'Also while it is on its way. What it has added goes from lists and reports within seconds, nothing else does; the same file may be ' +
        'imported again. Entries that were made one with others since stay.',
      tag,
      access: 'session',
      params: idParams,
      responses: { 204: { description: 'It is taken out.' } },
      handler: async ({ req, requestId, caller, params, signal }) => {
        await codec.prepare();
        await transactionWithEvents(terms(caller, signal), async (client, tell) => {
          const row = await ownImport(client, caller, params.id, true);
          const wasStarted = await takeOut(client, tell, row, { codec, actorId: caller.userId, requestId });
          const { added } = row;
          const before = { kind: row.kind, fileName: row.fileName, added };
          const action = wasStarted ? 'import.removed' : 'import.discarded';
          const actions = [{ action, entityType: 'import', entityId: row.id, before }];
          tell(...audit.events(caller.organizationId, auditSource({ req, requestId }, caller), actions));
        });
        metrics.removed.inc();
        // After the commit: what is not taken out after all has its file. What is left here is the sweep's, and counts till then.
        const { organizationId } = caller;
        await removeFile({ pool, store }, { organizationId, id: params.id }).catch((error: unknown) => {
          log.warn(
            { err: error, organizationId, id: params.id },
            `the file of an import is left: ${describeError(error)}`,
          );
        });
        return { status: 204 };
      },
    }),
  ];
}
