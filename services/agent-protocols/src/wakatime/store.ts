import type { Pool, Queryable } from '@worktide/postgres';
import type { Heartbeat } from './heartbeat.ts';

type Owner = { organizationId: string; userId: string };

export const columns = `id, at_ms AS at, entity, type, category, project, branch, language, editor, os, machine,
  user_agent AS "userAgent", lines, lineno, cursorpos, is_write AS "isWrite", dependencies, more`;

type Row = Omit<Heartbeat, 'more'> & { more: string | null };

export const toHeartbeat = (row: Row): Heartbeat => ({
  ...row,
  at: Number(row.at),
  more: row.more ? JSON.parse(row.more) : null,
});

/** Stores heartbeats; @returns ids of those that were not there. */
export async function insertHeartbeats(
  client: Queryable,
  { organizationId, userId }: Owner,
  deviceId: string,
  heartbeats: readonly Heartbeat[],
): Promise<Set<string>> {
  const rows = heartbeats.map((one) => ({
    ...one,
    more: one.more ? JSON.stringify(one.more) : null,
    at_ms: one.at,
    user_agent: one.userAgent,
    is_write: one.isWrite,
  }));
  const { rows: stored } = await client.query<{ id: string }>(
    `INSERT INTO agent_protocols.heartbeats (organization_id, user_id, device_id, at_ms, id, entity, type, category, project,
       branch, language, editor, os, machine, user_agent, lines, lineno, cursorpos, is_write, dependencies, more)
     SELECT $1, $2, $3, at_ms, id, entity, type, category, project, branch, language, editor, os, machine, user_agent, lines,
       lineno, cursorpos, is_write, dependencies, more
     FROM jsonb_to_recordset($4::jsonb) AS r (at_ms bigint, id uuid, entity text, type text, category text, project text,
       branch text, language text, editor text, os text, machine text, user_agent text, lines int, lineno int, cursorpos int,
       is_write boolean, dependencies text[], more text)
     ORDER BY at_ms, id
     ON CONFLICT DO NOTHING RETURNING id`,
    [organizationId, userId, deviceId, JSON.stringify(rows)],
  );
  return new Set(stored.map(({ id }) => id));
}

/** Of each instant in ms, the heartbeats of the device next before and after it, those at it left out. */
export async function neighboursOf(
  client: Queryable,
  { organizationId, userId }: Owner,
  deviceId: string,
  instants: readonly number[],
): Promise<Map<number, { before: Heartbeat | undefined; after: Heartbeat | undefined }>> {
  const nearest = (where: string, order: string): string =>
    `SELECT to_jsonb(n) AS row FROM (
       SELECT ${columns} FROM agent_protocols.heartbeats
       WHERE organization_id = $1 AND user_id = $2 AND device_id = $3 AND ${where} ORDER BY at_ms ${order}, id LIMIT 1) n`;
  const { rows } = await client.query<{ instant: number; before: Row | null; after: Row | null }>(
    `SELECT t.instant, b.row AS before, a.row AS after FROM unnest($4::bigint[]) AS t (instant)
     LEFT JOIN LATERAL (${nearest('at_ms < t.instant', 'DESC')}) b ON true
     LEFT JOIN LATERAL (${nearest('at_ms > t.instant', '')}) a ON true`,
    [organizationId, userId, deviceId, instants],
  );
  return new Map(
    rows.map(({ instant, before, after }) => [
      Number(instant),
      { before: before ? toHeartbeat(before) : undefined, after: after ? toHeartbeat(after) : undefined },
    ]),
  );
}

/** What the person's last heartbeat before an instant said of its project, which placeholders stand for. */
export async function lastSaid(
  client: Queryable,
  { organizationId, userId }: Owner,
  at: number,
): Promise<Pick<Heartbeat, 'project' | 'branch' | 'language'>> {
  const { rows } = await client.query<Pick<Heartbeat, 'project' | 'branch' | 'language'>>(
    `SELECT project, branch, language FROM agent_protocols.heartbeats
     WHERE organization_id = $1 AND user_id = $2 AND at_ms <= $3 AND project IS NOT NULL ORDER BY at_ms DESC LIMIT 1`,
    [organizationId, userId, at],
  );
  return rows[0] ?? { project: null, branch: null, language: null };
}

/** Time that was erased, in which nothing is kept: ranges in ms that touch [from, to]. */
export async function erasedWithin(
  client: Queryable,
  { organizationId, userId }: Owner,
  deviceId: string,
  from: number,
  to: number,
): Promise<{ from: number; to: number }[]> {
  const { rows } = await client.query<{ from: number; to: number }>(
    `SELECT from_ms AS "from", to_ms AS "to" FROM agent_protocols.erased_ranges
     WHERE organization_id = $1 AND user_id = $2 AND device_id IN ('', $3) AND from_ms <= $5 AND to_ms > $4`,
    [organizationId, userId, deviceId, from, to],
  );
  return rows.map((row) => ({ from: Number(row.from), to: Number(row.to) }));
}

/** As long as usage is kept where nobody says otherwise. */
export const keptDays = 760;
const prunedAtOnce = 5_000;

/** Deletes heartbeats that are older than anything reads back, some at a time. Rejects 503. */
export async function pruneHeartbeats(pool: Pool): Promise<void> {
  const horizon = Date.now() - keptDays * 86_400_000;
  for (let deleted = prunedAtOnce; deleted === prunedAtOnce; ) {
    const { rowCount } = await pool.query(
      `DELETE FROM agent_protocols.heartbeats WHERE (organization_id, user_id, at_ms, id) IN (
         SELECT organization_id, user_id, at_ms, id FROM agent_protocols.heartbeats WHERE at_ms < $1
         ORDER BY at_ms LIMIT ${prunedAtOnce})`,
      [horizon],
    );
    deleted = rowCount ?? 0;
  }
}
