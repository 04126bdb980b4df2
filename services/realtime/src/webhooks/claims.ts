import { randomUUID } from 'node:crypto';
import { type Pool, type Queryable, transaction } from '@worktide/postgres';
import { type DeliveryTry, testEvent } from '@worktide/schemas';
import { type SwitchedOff, switchOff } from './deliveries.ts';
import type { Outcome } from './send.ts';

/** A webhook that is the caller's to deliver to until its lease ends. */
export interface Claim {
  organizationId: string;
  id: string;
  lease: string;
  url: string;
  secret: string;
  oldSecret: string | null;
  /** Whether its last delivery failed. */
  isFailing: boolean;
}

/** What is sent next. */
export interface DueDelivery {
  id: string;
  event: string;
  payload: string;
}

/** A receiver that fails is asked as often as this all the same, so that it is soon noticed when it is well again. */
export const longestPauseMs = 60_000;
/** A delivery is tried for so long, and a webhook that took nothing for so long is switched off. */
export const giveUpMs = 24 * 3_600_000;
const keptTries = 10;

/**
 * A webhook with something to deliver is the caller's for `leaseMs`. It goes by turns: of an organisation with the fewest in
 * work, then of the one whose last was begun longest ago.
 * @param options.failing whether it may be one whose last delivery failed: such have a part of the places alone.
 * @param options.ofOrganization how many of an organisation are in work at most, of all replicas.
 */
export function claimWebhook(
  pool: Pool,
  { leaseMs, failing, ofOrganization }: { leaseMs: number; failing: boolean; ofOrganization: number },
): Promise<Claim | undefined> {
  return transaction(pool, async (client) => {
    // One after the other: what others have taken is seen.
    await client.query("SELECT pg_advisory_xact_lock(hashtextextended('webhooks claimed', 0))");
    const { rows } = await client.query<Claim>(
      `WITH live AS (
         SELECT organization_id, id, due_at, failures, count(*) FILTER (WHERE lease IS NOT NULL AND due_at > clock_timestamp())
           OVER (PARTITION BY organization_id) AS of_organization
         FROM realtime.webhooks WHERE due_at IS NOT NULL
       ), next AS (
         SELECT organization_id, id FROM live LEFT JOIN realtime.webhook_turns USING (organization_id)
         WHERE due_at <= clock_timestamp() AND of_organization < $4 AND (failures = 0 OR $3)
         ORDER BY of_organization, begun_at NULLS FIRST, due_at, id LIMIT 1
       ), turn AS (
         INSERT INTO realtime.webhook_turns SELECT organization_id, clock_timestamp() FROM next
         ON CONFLICT (organization_id) DO UPDATE SET begun_at = excluded.begun_at
       )
       UPDATE realtime.webhooks w SET lease = $1, due_at = clock_timestamp() + $2 * interval '1 millisecond'
       FROM next WHERE w.organization_id = next.organization_id AND w.id = next.id
       RETURNING w.organization_id AS "organizationId", w.id, w.lease, w.url, w.secret,
         CASE WHEN w.old_secret_until > now() THEN w.old_secret END AS "oldSecret", w.failures > 0 AS "isFailing"`,
      [randomUUID(), leaseMs, failing, ofOrganization],
    );
    return rows[0];
  });
}

/** Of each object that has something waiting, the first: what is behind it waits for it. */
const heads = `realtime.webhook_deliveries d WHERE d.organization_id = $1 AND d.webhook_id = $2 AND d.status = 'waiting'
  AND NOT EXISTS (
    SELECT FROM realtime.webhook_deliveries e WHERE e.organization_id = d.organization_id AND e.webhook_id = d.webhook_id
      AND e.status = 'waiting' AND e.object = d.object AND e.place < d.place)`;

/** The oldest that is due and waits for no other of its object; tests go before all. */
export async function nextDelivery(client: Queryable, { organizationId, id }: Claim): Promise<DueDelivery | undefined> {
  const { rows } = await client.query<DueDelivery>(
    `SELECT d.id, d.event, d.payload FROM ${heads} AND d.due_at <= clock_timestamp()
     ORDER BY d.event <> '${testEvent}', d.place LIMIT 1`,
    [organizationId, id],
  );
  return rows[0];
}

/** What a try has come to. */
export interface Settled {
  /** Somebody else has the webhook by now, or it is gone: what was noted is theirs. */
  isLost: boolean;
  /** It was switched off for it. */
  off?: SwitchedOff;
  becomes?: 'delivered' | 'failed' | 'waiting';
  /** Until it is tried again, where it failed. */
  pauseMs: number;
}

/**
 * Notes what became of a try, and keeps the webhook for as long again; in the transaction of the caller.
 * @param terms.pauseMs until the next try of the same, where there is one.
 */
export async function settleTry(
  client: Queryable,
  { organizationId, id, lease }: Claim,
  delivery: DueDelivery,
  outcome: Outcome,
  terms: { leaseMs: number; pauseMs: (attempts: number) => number; giveUpMs?: number },
): Promise<Settled> {
  const { rows: held } = await client.query<{ failingMs: number; enabled: boolean; failures: number }>(
    `SELECT coalesce(extract(epoch FROM clock_timestamp() - failing_since) * 1000, 0)::float8 AS "failingMs", enabled, failures
     FROM realtime.webhooks WHERE organization_id = $1 AND id = $2 AND lease = $3 FOR NO KEY UPDATE`,
    [organizationId, id, lease],
  );
  const webhook = held[0];
  if (!webhook) return { isLost: true, pauseMs: 0 };
  const lasting = terms.giveUpMs ?? giveUpMs;
  const { rows } = await client.query<{ attempts: number; triedMs: number }>(
    `SELECT attempts + 1 AS attempts,
       coalesce(extract(epoch FROM clock_timestamp() - first_tried_at) * 1000, 0)::float8 AS "triedMs"
     FROM realtime.webhook_deliveries WHERE organization_id = $1 AND webhook_id = $2 AND id = $3 AND status = 'waiting'`,
    [organizationId, id, delivery.id],
  );
  // Dropped meanwhile, where it is not there: all the same it says how the receiver does.
  const { attempts, triedMs } = rows[0] ?? { attempts: 1, triedMs: 0 };
  const isTest = delivery.event === testEvent;
  const isTaken = outcome.failure === null;
  const pauseMs = terms.pauseMs(attempts);
  const isOver = isTest || triedMs + pauseMs >= lasting;
  const becomes = isTaken ? 'delivered' : isOver ? 'failed' : 'waiting';
  const entry: DeliveryTry = {
    at: new Date().toISOString(),
    durationMs: outcome.durationMs,
    statusCode: outcome.statusCode,
    failure: outcome.failure,
  };
  await client.query(
    `UPDATE realtime.webhook_deliveries SET attempts = $4, status = $5, answer = $6,
       first_tried_at = coalesce(first_tried_at, clock_timestamp()),
       tries = jsonb_path_query_array($7::jsonb || tries, '$[0 to ${keptTries - 1}]'),
       due_at = CASE WHEN $5 = 'waiting' THEN clock_timestamp() + $8 * interval '1 millisecond' END,
       settled_at = CASE WHEN $5 <> 'waiting' THEN clock_timestamp() END
     WHERE organization_id = $1 AND webhook_id = $2 AND id = $3 AND status = 'waiting'`,
    [organizationId, id, delivery.id, attempts, becomes, outcome.answer, JSON.stringify([entry]), pauseMs],
  );
  const counts = isTaken || !isTest;
  await client.query(
    `UPDATE realtime.webhooks SET due_at = clock_timestamp() + $4 * interval '1 millisecond',
       failures = CASE WHEN NOT $5 THEN failures WHEN $6 THEN 0 ELSE failures + 1 END,
       failing_since = CASE WHEN NOT $5 THEN failing_since WHEN $6 THEN NULL ELSE coalesce(failing_since, clock_timestamp()) END
     WHERE organization_id = $1 AND id = $2 AND lease = $3`,
    [organizationId, id, lease, terms.leaseMs, counts, isTaken],
  );
  if (isTaken || isTest || !webhook.enabled) return { isLost: false, becomes, pauseMs };
  const isGone = outcome.statusCode === 410;
  if (!isGone && webhook.failingMs < lasting) return { isLost: false, becomes, pauseMs };
  const off = await switchOff({ client, organizationId }, id, isGone ? 'gone' : 'failing');
  return { isLost: false, becomes, pauseMs, off };
}

/**
 * Gives a webhook back; it is due again when its next delivery is.
 * @param pauseMs not before this, where the last one failed.
 */
export function releaseWebhook(pool: Pool, claim: Claim, pauseMs = 0): Promise<void> {
  const { organizationId, id, lease } = claim;
  return transaction(pool, async (client) => {
    // Locked first: what is being added now is seen by the next statement.
    const { rowCount } = await client.query(
      'SELECT FROM realtime.webhooks WHERE organization_id = $1 AND id = $2 AND lease = $3 FOR NO KEY UPDATE',
      [organizationId, id, lease],
    );
    if (rowCount === 0) return;
    await client.query(
      `UPDATE realtime.webhooks SET lease = NULL, due_at = least(
         (SELECT min(d.due_at) FROM ${heads} AND d.event = '${testEvent}'),
         (SELECT greatest(min(d.due_at), clock_timestamp() + $3 * interval '1 millisecond') FROM ${heads} HAVING count(*) > 0))
       WHERE organization_id = $1 AND id = $2`,
      [organizationId, id, pauseMs],
    );
  });
}

/** How many deliveries wait, for how long the oldest has, and how many webhooks fail. */
export async function measureDeliveries(
  client: Queryable,
): Promise<{ waiting: number; oldestSeconds: number; failing: number }> {
  const { rows } = await client.query<{ waiting: number; oldest: number; failing: number }>(
    `SELECT count(*) AS waiting, coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS oldest,
       (SELECT count(*) FROM realtime.webhooks WHERE enabled AND failures > 0) AS failing
     FROM realtime.webhook_deliveries WHERE status = 'waiting'`,
  );
  const { waiting, oldest, failing } = rows[0]!;
  return { waiting, oldestSeconds: Math.max(0, oldest), failing };
}
