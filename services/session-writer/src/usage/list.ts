import { type Pool, type Queryable, tenantTransaction } from '@worktide/postgres';
import { openTimedCursor, sealTimedCursor } from '@worktide/runtime';
import type { UsageItem, UsagePage } from '@worktide/schemas';
import { type Month, monthOf, monthsOf } from '../merge/index.ts';
import { byIndex, byOrderedIndex } from '../store/plans.ts';
import { pendingErasures, visible } from './pending.ts';

export interface UsageQuery {
  organizationId: string;
  userId: string;
  deviceId?: string | undefined;
  /** [from, to), epoch ms, not empty. */
  from: number;
  to: number;
  cursor?: string | undefined;
  limit: number;
}

export interface UsageRow {
  id: string;
  device_id: string;
  source: string;
  started_at: number;
  ended_at: number;
  state: UsageItem['state'];
  app: string;
  host: string | null;
}

const beforeAll = { at: Number.MIN_SAFE_INTEGER, id: '00000000-0000-0000-0000-000000000000' };

const streamsOf = `streams s WHERE s.organization_id = $1 AND s.user_id = $2 AND ($3::text IS NULL OR s.device_id = $3)`;

/** Entries that began before the range and reach into it: of each stream only its last one can. */
export const reachingQuery = `
  SELECT e.id, s.device_id, s.source, e.started_at, e.ended_at, e.state, e.app, e.host
  FROM (SELECT id, device_id, source FROM ${streamsOf}) s CROSS JOIN LATERAL (
    SELECT id, started_at, ended_at, state, app, host FROM usage_entries
    WHERE month = $4 AND stream_id = s.id AND started_at < $5 ORDER BY started_at DESC LIMIT 1
  ) e
  WHERE e.ended_at > $5 AND (e.started_at, e.id) > ($6, $7::uuid)
  ORDER BY e.started_at, e.id LIMIT $8`;

/**
 * Entries of a month that begin in [$5, $6) and after the cursor. Of each stream the next one is looked at; the page is
 * then of the streams whose next ones come first, up to where the last of these begins: no other can have one before.
 */
export const monthQuery = `
  WITH heads AS (
    SELECT s.id, s.device_id, s.source, e.started_at
    FROM (SELECT id, device_id, source FROM ${streamsOf}) s CROSS JOIN LATERAL (
      SELECT id, started_at FROM usage_entries
      WHERE month = $4 AND stream_id = s.id AND started_at >= $5 AND started_at < $6 AND (started_at, id) > ($7, $8::uuid)
      ORDER BY started_at LIMIT 1
    ) e
    ORDER BY e.started_at, e.id LIMIT $9
  ), bound AS (
    SELECT CASE WHEN count(*) < $9 THEN $6 ELSE max(started_at) + 1 END AS started_at FROM heads
  )
  SELECT e.id, h.device_id, h.source, e.started_at, e.ended_at, e.state, e.app, e.host
  FROM heads h CROSS JOIN bound b CROSS JOIN LATERAL (
    SELECT id, started_at, ended_at, state, app, host FROM usage_entries
    WHERE month = $4 AND stream_id = h.id AND started_at >= h.started_at AND started_at < b.started_at
    ORDER BY started_at LIMIT $9
  ) e
  ORDER BY e.started_at, e.id LIMIT $9`;

/**
 * A page of the entries of one user that touch [from, to), by start, without time whose erasing was recorded. It looks at
 * one entry of each stream and at those of the page, month by month until it is full, so that a page costs the same in
 * the first week and with 100,000 entries.
 * @param signal ends it with its request.
 * @throws 400 `INVALID_CURSOR`, 503.
 */
export async function listUsage(pool: Pool, query: UsageQuery, signal?: AbortSignal): Promise<UsagePage> {
  const { organizationId, userId, deviceId = null, to, limit } = query;
  // No entry is older than the epoch, and PostgreSQL's dates know no year 0.
  const from = Math.max(query.from, 0);
  if (to <= from) return { items: [], nextCursor: null };
  const identity = [organizationId, userId, deviceId, from, to];
  const after = query.cursor === undefined ? beforeAll : openTimedCursor(query.cursor, identity);

  const { rows, erased } = await tenantTransaction(
    pool,
    organizationId,
    async (client) => {
      const pending = await pendingErasures(client, query);
      await byIndex(client);
      await byOrderedIndex(client);
      // One more than asked tells whether there is a next page.
      return { rows: await pageOf(client, { ...query, from, after, limit: limit + 1 }), erased: pending };
    },
    { signal },
  );
  const page = rows.slice(0, limit);
  const last = page[page.length - 1];
  const more = rows.length > limit && last !== undefined;
  return {
    items: visible(page, erased, query).map((row) => toItem(row, userId)),
    nextCursor: more ? sealTimedCursor({ at: last.started_at, id: last.id }, identity) : null,
  };
}

async function pageOf(
  client: Queryable,
  { organizationId, userId, deviceId, from, to, after, limit }: UsageQuery & { after: { at: number; id: string } },
): Promise<UsageRow[]> {
  const whose = [organizationId, userId, deviceId ?? null];
  const rows: UsageRow[] = [];
  if (after.at < from) {
    const reaching = [...whose, monthOf(from), from, after.at, after.id, limit];
    rows.push(...(await client.query<UsageRow>(reachingQuery, reaching)).rows);
  }
  const start = Math.max(from, after.at);
  for (const month of monthsOf(start, to)) {
    if (rows.length >= limit) break;
    rows.push(...(await ofMonth(client, month, limit - rows.length)));
  }
  return rows;

  async function ofMonth(queryable: Queryable, month: Month, most: number): Promise<UsageRow[]> {
    const parameters = [...whose, month, start, to, after.at, after.id, most];
    return (await queryable.query<UsageRow>(monthQuery, parameters)).rows;
  }
}

const toItem = (row: UsageRow, userId: string): UsageItem => ({
  id: row.id,
  userId,
  deviceId: row.device_id,
  source: row.source,
  app: row.app,
  host: row.host,
  state: row.state,
  startedAt: new Date(row.started_at).toISOString(),
  endedAt: new Date(row.ended_at).toISOString(),
  seconds: Math.round((row.ended_at - row.started_at) / 1000),
});
