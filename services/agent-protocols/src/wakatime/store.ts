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

/** A heartbeat and whose it is. */
export interface OwnHeartbeat extends Heartbeat {
  userId: string;
  deviceId: string;
}

/** Stores heartbeats; @returns ids of those that were not there. */
export async function insertHeartbeats(
  client: Queryable,
  organizationId: string,
  heartbeats: readonly OwnHeartbeat[],
): Promise<Set<string>> {
  const rows = heartbeats.map((one) => ({
    ...one,
    more: one.more ? JSON.stringify(one.more) : null,
    user_id: one.userId,
    device_id: one.deviceId,
    at_ms: one.at,
    user_agent: one.userAgent,
    is_write: one.isWrite,
  }));
  const { rows: stored } = await client.query<{ id: string }>(
    `INSERT INTO agent_protocols.heartbeats (organization_id, user_id, device_id, at_ms, id, entity, type, category, project,
       branch, language, editor, os, machine, user_agent, lines, lineno, cursorpos, is_write, dependencies, more)
     SELECT $1, user_id, device_id, at_ms, id, entity, type, category, project, branch, language, editor, os, machine, user_agent,
       lines, lineno, cursorpos, is_write, dependencies, more
     FROM jsonb_to_recordset($2::jsonb) AS r (user_id uuid, device_id text, at_ms bigint, id uuid, entity text, type text,
       category text, project text, branch text, language text, editor text, os text, machine text, user_agent text, lines int,
       lineno int, cursorpos int, is_write boolean, dependencies text[], more text)
     ORDER BY user_id, at_ms, id
     ON CONFLICT DO NOTHING RETURNING id`,
    [organizationId, JSON.stringify(rows)],
  );
  return new Set(stored.map(({ id }) => id));
}

/** An instant of a device, in ms. */
export interface DeviceInstant {
  userId: string;
  deviceId: string;
  at: number;
}

export const instantKey = ({ userId, deviceId, at }: DeviceInstant): string => `${userId} ${at} ${deviceId}`;

export interface Neighbours {
  before: Heartbeat | undefined;
  after: Heartbeat | undefined;
}

/** Of each instant, the heartbeats of its device next before and after it, those at it left out. */
export async function neighboursOf(
  client: Queryable,
  organizationId: string,
  instants: readonly DeviceInstant[],
): Promise<Map<string, Neighbours>> {
  const nearest = (where: string, order: string): string =>
    `SELECT to_jsonb(n) AS row FROM (
       SELECT ${columns} FROM agent_protocols.heartbeats
       WHERE organization_id = $1 AND user_id = t.user_id AND device_id = t.device_id AND ${where} ORDER BY at_ms ${order}, id LIMIT 1) n`;
  const { rows } = await client.query<DeviceInstant & { before: Row | null; after: Row | null }>(
    `SELECT t.user_id AS "userId", t.device_id AS "deviceId", t.at, b.row AS before, a.row AS after
     FROM unnest($2::uuid[], $3::text[], $4::bigint[]) AS t (user_id, device_id, at)
     LEFT JOIN LATERAL (${nearest('at_ms < t.at', 'DESC')}) b ON true
     LEFT JOIN LATERAL (${nearest('at_ms > t.at', '')}) a ON true`,
    [
      organizationId,
      instants.map(({ userId }) => userId),
      instants.map(({ deviceId }) => deviceId),
      instants.map(({ at }) => at),
    ],
  );
  return new Map(
    rows.map(({ before, after, ...instant }) => [
      instantKey(instant),
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
