import type { Pool } from '@worktide/postgres';

/** Longer than events are told of: a delivery that is forgotten earlier a replay would make again. */
export const keptDays = 14;
/** Of each webhook the bodies and answers of so many settled deliveries are kept; of others what became of them. */
export const keptBodies = 100;
const slice = 5_000;

/** Removes what is too old of deliveries. @returns whether there is more to do. Rejects 503. */
export async function removeOldDeliveries(pool: Pool): Promise<boolean> {
  const { rowCount: old } = await pool.query(
    `DELETE FROM realtime.webhook_deliveries WHERE (organization_id, webhook_id, id) IN (
       SELECT organization_id, webhook_id, id FROM realtime.webhook_deliveries
       WHERE settled_at < now() - interval '${keptDays} days' ORDER BY settled_at LIMIT ${slice})`,
  );
  const { rowCount: bodies } = await pool.query(
    `UPDATE realtime.webhook_deliveries SET payload = NULL, answer = NULL WHERE (organization_id, webhook_id, id) IN (
       SELECT w.organization_id, w.id, d.id FROM realtime.webhooks w CROSS JOIN LATERAL (
         SELECT id FROM (
           SELECT id, payload, answer FROM realtime.webhook_deliveries o
           WHERE o.organization_id = w.organization_id AND o.webhook_id = w.id AND o.status <> 'waiting'
           ORDER BY place DESC OFFSET ${keptBodies}
         ) rest WHERE payload IS NOT NULL OR answer IS NOT NULL
       ) d LIMIT ${slice})`,
  );
  return old === slice || bodies === slice;
}
