import type { Queryable } from '@worktide/postgres';
import { conflict, decodeCursor, notFound, pageOf } from '@worktide/runtime';
import type { Webhook, WebhookEvent } from '@worktide/schemas';

/** Webhooks of an organisation. */
export const maxWebhooks = 20;

export type OffReason = 'person' | 'failing' | 'backlog' | 'gone';

/** Since when each event that was chosen is told of, epoch milliseconds. */
export type Chosen = Partial<Record<WebhookEvent, number>>;

/** A webhook as it is stored. */
export interface WebhookRow {
  organizationId: string;
  id: string;
  url: string;
  description: string | null;
  events: Chosen;
  secret: string;
  oldSecret: string | null;
  oldSecretUntil: Date | null;
  enabled: boolean;
  offAt: Date | null;
  offReason: OffReason | null;
  failingSince: Date | null;
  createdBy: string;
  createdAt: Date;
  updatedAt: Date;
}

/** Of `webhooks w`, as `WebhookRow` calls them. */
const columns = `w.organization_id AS "organizationId", w.id, w.url, w.description, w.events, w.secret,
  w.old_secret AS "oldSecret", w.old_secret_until AS "oldSecretUntil", w.enabled, w.off_at AS "offAt",
  w.off_reason AS "offReason", w.failing_since AS "failingSince", w.created_by AS "createdBy",
  w.created_at AS "createdAt", w.updated_at AS "updatedAt"`;

/** A row as the API gives it: never a secret. */
export const showWebhook = (row: WebhookRow, waiting: number): Webhook => ({
  id: row.id,
  url: row.url,
  events: (Object.keys(row.events) as WebhookEvent[]).sort(),
  description: row.description,
  enabled: row.enabled,
  off: row.offAt && row.offReason ? { at: row.offAt.toISOString(), reason: row.offReason } : null,
  failingSince: row.failingSince?.toISOString() ?? null,
  waiting,
  oldSecretUntil:
    row.oldSecretUntil && row.oldSecretUntil.getTime() > Date.now() ? row.oldSecretUntil.toISOString() : null,
  createdBy: row.createdBy,
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
});

/** One organisation's data within a transaction. */
export interface Tenant {
  client: Queryable;
  organizationId: string;
}

/** @throws 409 `TOO_MANY_WEBHOOKS`. */
export async function insertWebhook(
  { client, organizationId }: Tenant,
  row: Pick<WebhookRow, 'id' | 'url' | 'description' | 'events' | 'secret' | 'createdBy'>,
): Promise<WebhookRow> {
  // One after the other, so that no number of requests at once gets past the bound.
  await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('webhooks of ' || $1, 0))`, [organizationId]);
  const { rows: counts } = await client.query<{ n: number }>(
    'SELECT count(*) AS n FROM realtime.webhooks WHERE organization_id = $1',
    [organizationId],
  );
  if (counts[0]!.n >= maxWebhooks) {
    throw conflict('TOO_MANY_WEBHOOKS', `An organisation has ${maxWebhooks} webhooks at most.`);
  }
  const { rows } = await client.query<WebhookRow>(
    `INSERT INTO realtime.webhooks AS w (organization_id, id, url, description, events, secret, created_by)
     VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING ${columns}`,
    [organizationId, row.id, row.url, row.description, JSON.stringify(row.events), row.secret, row.createdBy],
  );
  return rows[0]!;
}

/** @throws 404. */
export async function findWebhook(
  { client, organizationId }: Tenant,
  id: string,
  { lock = false } = {},
): Promise<WebhookRow> {
  const { rows } = await client.query<WebhookRow>(
    `SELECT ${columns} FROM realtime.webhooks w
     WHERE w.organization_id = $1 AND w.id = $2 ${lock ? 'FOR NO KEY UPDATE' : ''}`,
    [organizationId, id],
  );
  if (!rows[0]) throw notFound();
  return rows[0];
}

/** How many deliveries each of these waits for, by its id. */
export async function countWaiting(
  { client, organizationId }: Tenant,
  ids: readonly string[],
): Promise<Map<string, number>> {
  const { rows } = await client.query<{ id: string; n: number }>(
    `SELECT webhook_id AS id, count(*) AS n FROM realtime.webhook_deliveries
     WHERE organization_id = $1 AND webhook_id = ANY($2::uuid[]) AND status = 'waiting' GROUP BY webhook_id`,
    [organizationId, ids],
  );
  return new Map(rows.map(({ id, n }) => [id, n]));
}

/** Newest first. @throws 400 `INVALID_CURSOR`. */
export async function listWebhooks(
  tenant: Tenant,
  { cursor, limit }: { cursor?: string | undefined; limit: number },
): Promise<{ items: Webhook[]; nextCursor: string | null }> {
  const { client, organizationId } = tenant;
  const list = ['webhooks', organizationId];
  const { rows } = await client.query<WebhookRow>(
    `SELECT ${columns} FROM realtime.webhooks w
     WHERE w.organization_id = $1 AND ($2::uuid IS NULL OR w.id < $2) ORDER BY w.id DESC LIMIT $3`,
    [organizationId, decodeCursor(cursor, list), limit + 1],
  );
  const waiting = await countWaiting(
    tenant,
    rows.map(({ id }) => id),
  );
  return pageOf(rows, limit, list, {
    idOf: ({ id }) => id,
    show: (row) => showWebhook(row, waiting.get(row.id) ?? 0),
  });
}

/** What a change of a webhook leaves. */
export type Changed = Pick<WebhookRow, 'url' | 'description' | 'events' | 'enabled'>;

/**
 * Writes a change. Switched off, what waits is dropped; on again, or to another URL, what it failed at is forgotten and all that
 * waits is due at once.
 */
export async function updateWebhook(tenant: Tenant, before: WebhookRow, changed: Changed): Promise<WebhookRow> {
  const { client, organizationId } = tenant;
  const anew = (changed.enabled && !before.enabled) || changed.url !== before.url;
  const { rows } = await client.query<WebhookRow>(
    `UPDATE realtime.webhooks w SET url = $3, description = $4, events = $5, enabled = $6,
       off_at = CASE WHEN $6 THEN NULL ELSE coalesce(w.off_at, now()) END,
       off_reason = CASE WHEN $6 THEN NULL ELSE coalesce(w.off_reason, 'person') END,
       failures = CASE WHEN $7 THEN 0 ELSE w.failures END,
       failing_since = CASE WHEN $7 THEN NULL ELSE w.failing_since END,
       due_at = CASE WHEN $7 AND w.lease IS NULL AND w.due_at IS NOT NULL THEN now() ELSE w.due_at END,
       updated_at = date_trunc('milliseconds', now())
     WHERE w.organization_id = $1 AND w.id = $2 RETURNING ${columns}`,
    [
      organizationId,
      before.id,
      changed.url,
      changed.description,
      JSON.stringify(changed.events),
      changed.enabled,
      anew,
    ],
  );
  if (anew) {
    await client.query(
      `UPDATE realtime.webhook_deliveries SET due_at = now()
       WHERE organization_id = $1 AND webhook_id = $2 AND status = 'waiting' AND due_at > now()`,
      [organizationId, before.id],
    );
  }
  if (!changed.enabled) await dropWaiting(tenant, before.id);
  return rows[0]!;
}

/** What waits is not delivered any more. */
export async function dropWaiting({ client, organizationId }: Tenant, id: string): Promise<void> {
  await client.query(
    `UPDATE realtime.webhook_deliveries SET status = 'dropped', due_at = NULL, settled_at = now()
     WHERE organization_id = $1 AND webhook_id = $2 AND status = 'waiting'`,
    [organizationId, id],
  );
}

/** Sets another secret; the present one signs beside it for a while. */
export async function replaceSecret(
  { client, organizationId }: Tenant,
  before: WebhookRow,
  secret: string,
  overlapHours: number,
): Promise<WebhookRow> {
  const { rows } = await client.query<WebhookRow>(
    `UPDATE realtime.webhooks w SET secret = $3, old_secret = w.secret,
       old_secret_until = date_trunc('milliseconds', now()) + $4 * interval '1 hour',
       updated_at = date_trunc('milliseconds', now())
     WHERE w.organization_id = $1 AND w.id = $2 RETURNING ${columns}`,
    [organizationId, before.id, secret, overlapHours],
  );
  return rows[0]!;
}

export async function deleteWebhook({ client, organizationId }: Tenant, id: string): Promise<void> {
  await client.query('DELETE FROM realtime.webhooks WHERE organization_id = $1 AND id = $2', [organizationId, id]);
}
