import { type Pool, tenantTransaction } from '@worktide/postgres';
import { type Caller, type LocalDay, unavailable } from '@worktide/runtime';
import { timeoutMs } from './pings.ts';

/** What time was spent on, as far as this protocol tells it apart. */
export interface Spent {
  date: string;
  project: string | null;
  language: string | null;
  editor: string;
  os: string | null;
  machine: string | null;
  category: string | null;
  branch: string | null;
  entity: string | null;
  ms: number;
}

export interface DurationsQuery {
  days: readonly LocalDay[];
  /** Only of this project; then also by branch and entity. */
  project?: string | undefined;
  /** Only of this file; then by entity. */
  entity?: string | undefined;
}

/** More than anybody's year has, and a bound on an answer. */
const maxRows = 50_000;

/**
 * Time between heartbeats of a person, each counted for the one before: where there are more than 15 minutes to the next there is
 * none. By local day, and by what it was spent on. @throws 503 where that is too much to be told.
 */
export async function durations(
  pool: Pool,
  { organizationId, userId }: Pick<Caller, 'organizationId' | 'userId'>,
  { days, project, entity }: DurationsQuery,
  signal?: AbortSignal,
): Promise<Spent[]> {
  const known = days.filter(({ start, end }) => start < end);
  if (known.length === 0) return [];
  const fine = project !== undefined || entity !== undefined;
  const rows = await tenantTransaction(
    pool,
    organizationId,
    async (client) => {
      const result = await client.query<Spent>(
        `WITH beats AS (
           SELECT *, lead(at_ms) OVER (ORDER BY at_ms, id) AS next FROM agent_protocols.heartbeats
           WHERE organization_id = $1 AND user_id = $2 AND at_ms >= $3::bigint - ${timeoutMs} AND at_ms < $4::bigint + ${timeoutMs}
         ), days AS (
           SELECT * FROM unnest($5::text[], $6::bigint[], $7::bigint[]) AS d (date, starts, ends)
         )
         SELECT d.date, project, language, editor, os, machine, category,
           ${fine ? 'branch, entity' : 'NULL AS branch, NULL AS entity'},
           sum(least(next, d.ends) - greatest(at_ms, d.starts))::float8 AS ms
         FROM beats JOIN days d ON at_ms < d.ends AND next > d.starts
         WHERE next - at_ms <= ${timeoutMs} AND ($8::text IS NULL OR project = $8) AND ($9::text IS NULL OR entity = $9)
         GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
         HAVING sum(least(next, d.ends) - greatest(at_ms, d.starts)) > 0
         ORDER BY d.date LIMIT ${maxRows + 1}`,
        [
          organizationId,
          userId,
          known[0]!.start,
          known.at(-1)!.end,
          known.map(({ date }) => date),
          known.map(({ start }) => start),
          known.map(({ end }) => end),
          project ?? null,
          entity ?? null,
        ],
      );
      return result.rows;
    },
    signal ? { signal } : {},
  );
  if (rows.length > maxRows) throw unavailable('this much', new Error(`${rows.length} rows`));
  return rows;
}

/** When a person's first and last heartbeat were, in ms; undefined where there is none. */
export async function extent(
  pool: Pool,
  { organizationId, userId }: Pick<Caller, 'organizationId' | 'userId'>,
): Promise<{ first: number; last: number } | undefined> {
  const row = await tenantTransaction(pool, organizationId, async (client) => {
    const { rows } = await client.query<{ first: number | null; last: number | null }>(
      `SELECT min(at_ms)::float8 AS first, max(at_ms)::float8 AS last FROM agent_protocols.heartbeats
       WHERE organization_id = $1 AND user_id = $2`,
      [organizationId, userId],
    );
    return rows[0]!;
  });
  return row.first === null || row.last === null ? undefined : { first: row.first, last: row.last };
}
