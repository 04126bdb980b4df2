import type { Queryable } from '@worktide/postgres';
import { notFound, openTimedCursor, sealTimedCursor } from '@worktide/runtime';
import { type Delivery, type DeliveryStatus, type DeliveryTry, testEvent } from '@worktide/schemas';
import type { Happened } from './events.ts';
import { deliveryId, payloadOf } from './payload.ts';
import { type Chosen, dropWaiting, type OffReason, type Tenant } from './store.ts';

/** Deliveries that wait of a webhook; a receiver that is further behind does not want them. */
export const maxWaiting = 20_000;
/** Clocks of the log and of the database differ by less. */
const clockSlackMs = 5_000;

/** A webhook that was switched off by the service. */
export interface SwitchedOff {
  organizationId: string;
  id: string;
  reason: OffReason;
  offAt: Date;
}

/**
 * Notes deliveries of what has happened, for each webhook that asked for it. Again it adds none.
 * @returns how many are new, and webhooks that have too many by now, and are off.
 */
export async function addDeliveries(
  client: Queryable,
  events: readonly Happened[],
  bound = maxWaiting,
): Promise<{ added: number; off: SwitchedOff[] }> {
  if (events.length === 0) return { added: 0, off: [] };
  const organizations = [...new Set(events.map(({ organizationId }) => organizationId))];
  // In one order, and held to the end: whoever delivers and finds nothing waits for what is being added here.
  const { rows: webhooks } = await client.query<{ organizationId: string; id: string; events: Chosen }>(
    `SELECT organization_id AS "organizationId", id, events FROM realtime.webhooks
     WHERE organization_id = ANY($1::uuid[]) AND enabled ORDER BY organization_id, id FOR NO KEY UPDATE`,
    [organizations],
  );
  if (webhooks.length === 0) return { added: 0, off: [] };
  const byOrganization = Map.groupBy(webhooks, ({ organizationId }) => organizationId);
  const wanted = events.flatMap((event) =>
    (byOrganization.get(event.organizationId) ?? [])
      .filter(({ events: chosen }) => event.at >= (chosen[event.type] ?? Number.POSITIVE_INFINITY) - clockSlackMs)
      .map(({ id: webhookId }) => ({ webhookId, event, id: deliveryId(webhookId, event.id) })),
  );
  if (wanted.length === 0) return { added: 0, off: [] };
  const { rows: added } = await client.query<{ organizationId: string; webhookId: string }>(
    `INSERT INTO realtime.webhook_deliveries (organization_id, webhook_id, id, event_id, event, object, payload)
     SELECT organization_id, webhook_id, id, event_id, event, object, payload
     FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[])
       WITH ORDINALITY AS d (organization_id, webhook_id, id, event_id, event, object, payload, place)
     ORDER BY place ON CONFLICT (organization_id, webhook_id, id) DO NOTHING
     RETURNING organization_id AS "organizationId", webhook_id AS "webhookId"`,
    [
      wanted.map(({ event }) => event.organizationId),
      wanted.map(({ webhookId }) => webhookId),
      wanted.map(({ id }) => id),
      wanted.map(({ event }) => event.id),
      wanted.map(({ event }) => event.type),
      wanted.map(({ event }) => event.object),
      wanted.map(({ event, id }) => payloadOf(id, event)),
    ],
  );
  const touched = [...new Map(added.map((one) => [one.webhookId, one])).values()];
  if (touched.length === 0) return { added: 0, off: [] };
  const names = [touched.map(({ organizationId }) => organizationId), touched.map(({ webhookId }) => webhookId)];
  await client.query(
    `UPDATE realtime.webhooks SET due_at = coalesce(due_at, now())
     WHERE (organization_id, id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))`,
    names,
  );
  const { rows: full } = await client.query<{ organizationId: string; id: string }>(
    `SELECT t.organization_id AS "organizationId", t.id FROM unnest($1::uuid[], $2::uuid[]) AS t (organization_id, id)
     WHERE (SELECT count(*) FROM (
       SELECT 1 FROM realtime.webhook_deliveries d WHERE d.organization_id = t.organization_id AND d.webhook_id = t.id
         AND d.status = 'waiting' LIMIT $3 + 1) AS found) > $3`,
    [...names, bound],
  );
  const off: SwitchedOff[] = [];
  for (const { organizationId, id } of full) off.push(await switchOff({ client, organizationId }, id, 'backlog'));
  return { added: added.length, off };
}

/** Switches a webhook off, which the caller has locked; what waits is dropped. */
export async function switchOff(tenant: Tenant, id: string, reason: OffReason): Promise<SwitchedOff> {
  const { client, organizationId } = tenant;
  const { rows } = await client.query<{ offAt: Date }>(
    `UPDATE realtime.webhooks SET enabled = false, off_at = now(), off_reason = $3,
       updated_at = date_trunc('milliseconds', now())
     WHERE organization_id = $1 AND id = $2 RETURNING off_at AS "offAt"`,
    [organizationId, id, reason],
  );
  await dropWaiting(tenant, id);
  return { organizationId, id, reason, offAt: rows[0]!.offAt };
}

/** Has a webhook tried with a delivery of its own, whatever else waits, once. */
export async function addTest(
  { client, organizationId }: Tenant,
  webhookId: string,
  { eventId, userId, at }: { eventId: string; userId: string; at: number },
): Promise<string> {
  const id = deliveryId(webhookId, eventId);
  const event = { id: eventId, type: testEvent, organizationId, at, data: { webhookId, userId } };
  await client.query(
    `INSERT INTO realtime.webhook_deliveries (organization_id, webhook_id, id, event_id, event, object, payload)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [organizationId, webhookId, id, eventId, testEvent, `${testEvent} ${id}`, payloadOf(id, event)],
  );
  // Whoever is at it now looks once more before it lets go.
  await client.query(
    `UPDATE realtime.webhooks SET due_at = now() WHERE organization_id = $1 AND id = $2 AND lease IS NULL`,
    [organizationId, webhookId],
  );
  return id;
}

interface DeliveryRow {
  id: string;
  place: number;
  eventId: string;
  event: string;
  status: DeliveryStatus;
  attempts: number;
  tries: DeliveryTry[];
  dueAt: Date | null;
  createdAt: Date;
  settledAt: Date | null;
}

const columns = `id, place, event_id AS "eventId", event, status, attempts, tries, due_at AS "dueAt",
  created_at AS "createdAt", settled_at AS "settledAt"`;

const show = (row: DeliveryRow): Delivery => ({
  id: row.id,
  eventId: row.eventId,
  event: row.event,
  status: row.status,
  attempts: row.attempts,
  tries: row.tries,
  nextTryAt: row.dueAt?.toISOString() ?? null,
  createdAt: row.createdAt.toISOString(),
  settledAt: row.settledAt?.toISOString() ?? null,
});

/** Newest first. @throws 400 `INVALID_CURSOR`. */
export async function listDeliveries(
  { client, organizationId }: Tenant,
  webhookId: string,
  { status, cursor, limit }: { status?: DeliveryStatus | undefined; cursor?: string | undefined; limit: number },
): Promise<{ items: Delivery[]; nextCursor: string | null }> {
  const list = ['deliveries', organizationId, webhookId, status ?? null];
  // A place in the order of a list is as good as a time.
  const before = cursor === undefined ? null : openTimedCursor(cursor, list).at;
  const { rows } = await client.query<DeliveryRow>(
    `SELECT ${columns} FROM realtime.webhook_deliveries
     WHERE organization_id = $1 AND webhook_id = $2 AND ($3::text IS NULL OR status = $3)
       AND ($4::bigint IS NULL OR place < $4)
     ORDER BY place DESC LIMIT $5`,
    [organizationId, webhookId, status ?? null, before, limit + 1],
  );
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const isMore = rows.length > limit && last !== undefined;
  return { items: page.map(show), nextCursor: isMore ? sealTimedCursor({ at: last.place, id: last.id }, list) : null };
}

/** @throws 404. */
export async function findDelivery(
  { client, organizationId }: Tenant,
  webhookId: string,
  id: string,
): Promise<Delivery & { payload: string | null; answer: string | null }> {
  const { rows } = await client.query<DeliveryRow & { payload: string | null; answer: string | null }>(
    `SELECT ${columns}, payload, answer FROM realtime.webhook_deliveries
     WHERE organization_id = $1 AND webhook_id = $2 AND id = $3`,
    [organizationId, webhookId, id],
  );
  if (!rows[0]) throw notFound();
  const { payload, answer } = rows[0];
  return { ...show(rows[0]), payload, answer };
}
