import { type Audit, auditSource, type Looks, noteLook } from '@worktide/audit';
import type { ObjectStore } from '@worktide/object-store';
import type { Pool, Reads } from '@worktide/postgres';
import { type AnyRoute, type Caller, describeError, type Logger, notFound, route } from '@worktide/runtime';
import { exportJob, exportMade, exportPage, exportQuery, exportRequest, idParams } from '@worktide/schemas';
import type { Asked } from './asked.ts';
import { removeFiles } from './remove.ts';
import { mayStillRead, type RightsDeps, resolveExport } from './resolve.ts';
import { createExport, endExport, findExport, keptDays, listExports, maxLive, showExport } from './store.ts';
import type { ExportWorkers } from './workers.ts';
import type { ExportBounds } from './write-file.ts';

export interface ExportRoutesDeps extends RightsDeps {
  /** Of requests. */
  pool: Pool;
  reads: Pick<Reads, 'for'>;
  store: Pick<ObjectStore, 'signedGet' | 'list' | 'deleteMany'>;
  bounds: Pick<ExportBounds, 'maxStoredBytes'>;
  workers: ExportWorkers;
  audit: Pick<Audit, 'tell'>;
  looks: Looks;
  log: Logger;
}

const path = '/api/v1/reports/exports';
const tag = 'exports';
const linkSeconds = 300;

export function exportRoutes(deps: ExportRoutesDeps): AnyRoute[] {
  const { pool, reads, store, bounds, workers, audit, looks, log } = deps;
  type Context = Parameters<typeof noteLook>[1];

  const tell = (context: Context, action: string, id: string, after?: object): void =>
    audit.tell(context.caller.organizationId, auditSource(context, context.caller), [
      { action, entityType: 'export', entityId: id, ...(after ? { after } : {}) },
    ]);

  /** As a report of the same would be: in the trail under whoever it is about. */
  function looked(context: Context, asked: Asked): void {
    const { caller } = context;
    const userId = userOf(asked);
    const action = asked.report === 'audit' ? 'audit.read' : 'report.read';
    const entity =
      userId === undefined
        ? { entityType: 'organization', entityId: caller.organizationId }
        : { entityType: 'user', entityId: userId };
    noteLook(looks, context, { action, ...entity });
  }

  const own = ({ organizationId, userId }: Caller) => ({ organizationId, userId });

  return [
    route({
      method: 'post',
      path,
      operationId: 'createExport',
      summary: 'Have a report written to a file',
      description:
        'For whoever may read the report. `daily`, `timesheet`, `time-entries` and `usage` can also be of everybody in one file ' +
        '(`people: "all"`: managers and admins) or of a team (`teamId`: its leads too); `audit` is for admins. ' +
        `A person has ${maxLive.person} exports on their way at most, an organisation ${maxLive.organization}, and its files are bounded: 429 \`TOO_MANY_EXPORTS\`.`,
      tag,
      access: 'session',
      body: exportRequest,
      responses: { 202: { description: 'It will be done.', schema: exportMade } },
      handler: async (context) => {
        const { caller, body, signal } = context;
        const asked = await resolveExport(caller, body, deps);
        const { maxStoredBytes } = bounds;
        const row = await createExport(
          pool,
          { ...own(caller), asked, format: body.format },
          { signal, maxStoredBytes },
        );
        workers.wake();
        tell(context, 'export.created', row.id, { format: row.format, fileName: row.fileName, ...asked });
        looked(context, asked);
        return { status: 202, body: { exportId: row.id } };
      },
    }),
    route({
      method: 'get',
      path,
      operationId: 'listExports',
      summary: 'One’s own exports, newest first',
      description: 'Of nobody else, whatever the role: what others have exported is in the audit trail.',
      tag,
      access: 'session',
      query: exportQuery,
      responses: { 200: { description: 'A page of exports.', schema: exportPage } },
      handler: async ({ caller, query, signal }) => {
        const { rows, nextCursor } = await listExports(await reads.for(caller), own(caller), query, { signal });
        return { status: 200, body: { items: rows.map((row) => showExport(row)), nextCursor } };
      },
    }),
    route({
      method: 'get',
      path: `${path}/:id`,
      operationId: 'getExport',
      summary: 'One of one’s own exports, with a link where it is ready',
      description: `Kept for ${keptDays} days. The link lives for five minutes, and is given as long as its maker may read what is in it.`,
      tag,
      access: 'session',
      params: idParams,
      responses: { 200: { description: 'The export.', schema: exportJob } },
      handler: async (context) => {
        const { caller, params, signal } = context;
        const row = await findExport(pool, own(caller), params.id, { signal });
        if (!row) throw notFound();
        const { fileKey, fileName } = row;
        if (fileKey === null || !(await mayStillRead(caller, row.asked, deps))) {
          return { status: 200, body: showExport(row) };
        }
        const url = await store.signedGet(fileKey, { expiresSeconds: linkSeconds, fileName });
        looked(context, row.asked);
        return { status: 200, body: showExport(row, url) };
      },
    }),
    route({
      method: 'delete',
      path: `${path}/:id`,
      operationId: 'deleteExport',
      summary: 'Cancel one of one’s own exports, or remove it',
      description:
        'One that waits or is in work is cancelled, and stays in the list as that; any other is removed, file and all.',
      tag,
      access: 'session',
      params: idParams,
      responses: { 204: { description: 'Cancelled, or removed.' } },
      handler: async (context) => {
        const { caller, params, signal } = context;
        const { organizationId } = caller;
        const { id } = params;
        const outcome = await endExport(pool, own(caller), id, { signal });
        if (!outcome) throw notFound();
        workers.cancel(id);
        tell(context, outcome === 'cancelled' ? 'export.cancelled' : 'export.deleted', id);
        // It is gone from here; what is left of the file the sweeper finds.
        await removeFiles(store, { organizationId, id }).catch((error: unknown) => {
          log.warn({ err: error, organizationId, id }, `the file of an export is left: ${describeError(error)}`);
        });
        return { status: 204 };
      },
    }),
  ];
}

/** The one person an export is about; undefined where there are many. */
function userOf(asked: Asked): string | undefined {
  if (asked.report === 'audit') return undefined;
  if (!('whose' in asked)) return asked.userId;
  return 'userId' in asked.whose ? asked.whose.userId : undefined;
}
