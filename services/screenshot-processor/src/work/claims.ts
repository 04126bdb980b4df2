import { randomUUID } from 'node:crypto';
import type { Queryable } from '@worktide/postgres';
import { columns, type ScreenshotRow } from '../rows.ts';

/** A row that is the caller's until its lease ends. */
export type Claim = ScreenshotRow & { lease: string };

/** Somebody with rows that are due. */
export interface Person {
  organizationId: string;
  userId: string;
}

/**
 * A row whose work ended so often without a word, as when the process dies, is worked on alone: its neighbours are not to
 * die of it. The index for them says the same.
 */
const isSuspect = 'takes - postponed >= 3';
/** People that one look finds at most; the next look goes on behind them. */
const peoplePerLook = 1_000;
const nobody = '00000000-0000-0000-0000-000000000000';

/** How often its work ended without a word. */
export const silentEnds = ({ takes, postponed }: Pick<Claim, 'takes' | 'postponed'>): number => takes - postponed - 1;

/** The one of these rows that is due longest is the caller's for `leaseMs`, unless it asks for more. */
async function claim(
  client: Queryable,
  leaseMs: number,
  which: string,
  parameters: unknown[],
): Promise<Claim | undefined> {
  const { rows } = await client.query<Claim>(
    `UPDATE screenshots.screenshots
     SET due_at = clock_timestamp() + $1 * interval '1 millisecond', lease = $2, takes = takes + 1
     WHERE (organization_id, id) IN (
       SELECT organization_id, id FROM screenshots.screenshots
       WHERE due_at <= clock_timestamp() AND ${which} ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
     RETURNING ${columns}`,
    [leaseMs, randomUUID(), ...parameters],
  );
  return rows[0];
}

/** A row of this person that is due; undefined where there is none, or others have them. */
export const claimRow = (
  client: Queryable,
  { organizationId, userId }: Person,
  leaseMs: number,
): Promise<Claim | undefined> =>
  claim(client, leaseMs, `organization_id = $3 AND user_id = $4 AND NOT (${isSuspect})`, [organizationId, userId]);

/** A row, whosever it is, whose work has killed processes. */
export const claimSuspect = (client: Queryable, leaseMs: number): Promise<Claim | undefined> =>
  claim(client, leaseMs, isSuspect, []);

/** Finds those who have something due, some at a time: a step on the index for each, and not for each row. */
export function createLookout(client: Queryable): () => Promise<Person[]> {
  let after: Person = { organizationId: nobody, userId: nobody };
  const first = (than: string): string =>
    `SELECT organization_id, user_id, due_at FROM screenshots.screenshots
     WHERE due_at IS NOT NULL AND (organization_id, user_id) > (${than})
     ORDER BY organization_id, user_id, due_at LIMIT 1`;
  const sql = `
    WITH RECURSIVE people AS (
      (SELECT first.*, 1 AS n FROM (${first('$1, $2')}) first)
      UNION ALL
      SELECT next.*, n + 1 FROM people p CROSS JOIN LATERAL (${first('p.organization_id, p.user_id')}) next
      WHERE n < ${peoplePerLook})
    SELECT organization_id AS "organizationId", user_id AS "userId", due_at <= clock_timestamp() AS due FROM people`;
  return async () => {
    const { rows } = await client.query<Person & { due: boolean }>(sql, [after.organizationId, after.userId]);
    after = rows.length === peoplePerLook ? rows.at(-1)! : { organizationId: nobody, userId: nobody };
    return rows.filter(({ due }) => due);
  };
}

/** @returns false where the row is somebody else's by now. */
export async function renewClaim(client: Queryable, claim: Claim, leaseMs: number): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE screenshots.screenshots SET due_at = clock_timestamp() + $4 * interval '1 millisecond'
     WHERE organization_id = $1 AND id = $2 AND lease = $3`,
    [claim.organizationId, claim.id, claim.lease, leaseMs],
  );
  return rowCount === 1;
}

/** Puts a row back, to be taken up again in `ms`; nothing of it is to blame. */
export async function postponeClaim(client: Queryable, claim: Claim, ms: number): Promise<void> {
  await client.query(
    `UPDATE screenshots.screenshots
     SET due_at = clock_timestamp() + $4 * interval '1 millisecond', lease = NULL, postponed = postponed + 1
     WHERE organization_id = $1 AND id = $2 AND lease = $3`,
    [claim.organizationId, claim.id, claim.lease, ms],
  );
}

/** There is nothing more to do with a row, unless somebody found that there is. */
export async function finishClaim(client: Queryable, claim: Claim): Promise<void> {
  await client.query(
    `UPDATE screenshots.screenshots SET due_at = NULL, lease = NULL, takes = 0, postponed = 0
     WHERE organization_id = $1 AND id = $2 AND lease = $3 AND (status <> 'pending' OR deleted_at IS NOT NULL)`,
    [claim.organizationId, claim.id, claim.lease],
  );
}

/** How many pictures wait or are in work, and for how long the oldest has. */
export async function measureQueue(client: Queryable): Promise<{ waiting: number; oldestSeconds: number }> {
  const { rows } = await client.query<{ waiting: number; oldest: number }>(
    `SELECT count(*) AS waiting,
            coalesce(extract(epoch FROM clock_timestamp() - min(received_at)), 0)::float8 AS oldest
     FROM screenshots.screenshots WHERE status = 'pending' AND deleted_at IS NULL`,
  );
  return { waiting: rows[0]!.waiting, oldestSeconds: Math.max(0, rows[0]!.oldest) };
}
