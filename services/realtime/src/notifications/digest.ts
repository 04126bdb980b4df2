import type { Pool } from '@worktide/postgres';
import type { DigestMail } from '@worktide/schemas';
import { mornings } from './mornings.ts';
import type { NotificationMetrics } from './tell.ts';

/** Asks auth, who knows addresses, to mail it. Rejects 503. */
export type MailDigest = (mail: DigestMail) => Promise<void>;

const maxItems = 20;
/** Somebody who has been away is not mailed a month of it. */
const maxDays = 7;
/** People in one pass; more follow at once. */
const batch = 100;
const leaseSeconds = 120;

interface Receiver {
  organizationId: string;
  userId: string;
  day: string;
}

/**
 * Mails those who want it what is new and not read, once on each of their days, from the morning on. At least once: who crashes
 * between the request and its note asks again. @returns whether there is more to do. Rejects 503.
 */
export async function mailDigests(
  { pool, mail, metrics }: { pool: Pool; mail: MailDigest; metrics: NotificationMetrics },
  now: number,
): Promise<boolean> {
  const { rows: zones } = await pool.query<{ zone: string }>(
    `SELECT DISTINCT p.timezone AS zone FROM realtime.notification_settings s
     JOIN realtime.people p USING (organization_id, user_id) WHERE s.digest = 'daily' AND p.timezone IS NOT NULL`,
  );
  const found = mornings(
    zones.map(({ zone }) => zone),
    now,
  );
  if (found.length === 0) return false;
  const { rows: receivers } = await pool.query<Receiver>(
    `UPDATE realtime.notification_settings s SET digest_lease = clock_timestamp() + interval '${leaseSeconds} seconds'
     FROM (
       SELECT n.organization_id, n.user_id, z.day FROM realtime.notification_settings n
       JOIN realtime.people p USING (organization_id, user_id)
       JOIN unnest($1::text[], $2::date[]) AS z (zone, day) ON z.zone = p.timezone
       WHERE n.digest = 'daily' AND p.status = 'active' AND NOT p.deleted
         AND (n.digest_day IS NULL OR n.digest_day < z.day) AND n.digest_lease < clock_timestamp()
       ORDER BY n.organization_id, n.user_id LIMIT ${batch} FOR UPDATE OF n SKIP LOCKED
     ) due
     WHERE s.organization_id = due.organization_id AND s.user_id = due.user_id
     RETURNING s.organization_id AS "organizationId", s.user_id AS "userId", to_char(due.day, 'YYYY-MM-DD') AS day`,
    [found.map(({ zone }) => zone), found.map(({ today }) => today)],
  );
  for (const receiver of receivers) {
    const until = new Date(now).toISOString();
    const { rows: items } = await pool.query<DigestMail['items'][number] & { of: number }>(
      `SELECT n.title, n.body, n.link, count(*) OVER () AS of FROM realtime.notifications n
       JOIN realtime.notification_settings s USING (organization_id, user_id)
       WHERE n.organization_id = $1 AND n.user_id = $2 AND n.read_at IS NULL AND n.created_at <= $3
         AND n.created_at > greatest(s.digest_until, $3::timestamptz - interval '${maxDays} days')
       ORDER BY n.created_at DESC, n.id DESC LIMIT ${maxItems}`,
      [receiver.organizationId, receiver.userId, until],
    );
    if (items.length > 0) {
      const { organizationId, userId } = receiver;
      const more = items[0]!.of - items.length;
      await mail({ organizationId, userId, items: items.map(({ of: _, ...item }) => item), more });
      metrics.digests.inc();
    }
    await pool.query(
      `UPDATE realtime.notification_settings SET digest_day = $3, digest_until = $4, digest_lease = '-infinity'
       WHERE organization_id = $1 AND user_id = $2`,
      [receiver.organizationId, receiver.userId, receiver.day, until],
    );
  }
  return receivers.length === batch;
}
