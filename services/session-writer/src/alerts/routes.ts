import { type Audit, auditSource } from '@worktide/audit';
import { type Identity, type Leads, userAsked } from '@worktide/identity';
import { type Outbox, type Pool, type Queryable, type Reads, transactionWithEvents } from '@worktide/postgres';
import { type AnyRoute, notFound, route, type Turns } from '@worktide/runtime';
import { alert, alertPage, alertQuery, type Codec, id, idParams } from '@worktide/schemas';
import { listAlerts, showAlert } from './list.ts';
import { type AlertRow, alertColumns, recordsOf } from './store.ts';

const tag = 'alerts';
const path = '/api/v1/alerts';

export interface AlertRoutesOptions {
  /** Of requests. */
  pool: Pool;
  reads: Reads;
  /** Of people: some lists of one at a time. */
  turns: Turns;
  outbox: Outbox;
  /** Of topic `alerts`. */
  codec: Codec;
  identity: Pick<Identity, 'findUser'>;
  leads: Leads;
  audit: Pick<Audit, 'events'>;
  now: () => number;
}

export function alertRoutes({
  pool,
  reads,
  turns,
  outbox,
  codec,
  identity,
  leads,
  audit,
  now,
}: AlertRoutesOptions): AnyRoute[] {
  return [
    route({
      method: 'get',
      path,
      operationId: 'listAlerts',
      summary: 'Alerts, the newest first',
      description:
        'Of managers and administrators those of all, or of `userId`; of everybody else their own; a lead may name a member of their teams.',
      tag,
      access: 'user',
      query: alertQuery,
      responses: { 200: { description: 'A page of alerts.', schema: alertPage } },
      handler: async ({ caller, query, signal }) => {
        const { organizationId, role } = caller;
        const { userId: given, ...rest } = query;
        const everybody = given === undefined && role !== 'employee';
        const userId = everybody ? undefined : await userAsked(caller, given, identity.findUser, leads);
        const work = async () => listAlerts(await reads.for(caller), { organizationId, userId, ...rest }, signal);
        return { status: 200, body: await turns.run(caller.userId, work, { signal }) };
      },
    }),
    route({
      method: 'post',
      path: `${path}/:id/resolve`,
      operationId: 'resolveAlert',
      summary: 'Resolve an alert',
      description: 'One that is resolved already stays as it is.',
      tag,
      access: 'session',
      roles: ['admin', 'manager'],
      params: idParams.extend({ id: id.toLowerCase() }),
      responses: { 200: { description: 'The alert.', schema: alert } },
      handler: async ({ caller, params, req, requestId, signal }) => {
        const { organizationId, userId } = caller;
        await codec.prepare();
        const terms = { pool, outbox, tenant: organizationId, signal, whenFull: 'leave' } as const;
        const { result: row } = await transactionWithEvents(terms, async (client, tell) => {
          const { rows } = await client.query<AlertRow>(
            `UPDATE alerts SET resolved_at = $3, resolved_by = $4, version = version + 1
             WHERE organization_id = $1 AND id = $2 AND resolved_at IS NULL RETURNING ${alertColumns}`,
            [organizationId, params.id, new Date(now()).toISOString(), userId],
          );
          const told = audit.events(
            organizationId,
            auditSource({ req, requestId }, caller),
            rows.map((row) => ({
              action: 'alert.resolved',
              entityType: 'alert',
              entityId: row.id,
              after: { userId: row.user_id, type: row.type, date: row.date },
            })),
          );
          tell(...recordsOf(rows, codec), ...told);
          return rows[0] ?? find(client, organizationId, params.id);
        });
        return { status: 200, body: showAlert(row) };
      },
    }),
  ];
}

/** @throws 404 where the organisation has none of this id. */
async function find(client: Queryable, organizationId: string, alertId: string): Promise<AlertRow> {
  const { rows } = await client.query<AlertRow>(
    `SELECT ${alertColumns} FROM alerts WHERE organization_id = $1 AND id = $2`,
    [organizationId, alertId],
  );
  if (!rows[0]) throw notFound();
  return rows[0];
}
