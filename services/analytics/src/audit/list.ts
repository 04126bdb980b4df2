import type { ClickHouse } from '@worktide/clickhouse';
import { openTimedCursor, sealTimedCursor } from '@worktide/runtime';
import type { AuditItem } from '@worktide/schemas';
import type { Sql } from '../reports/intervals.ts';
import { reportSettings } from '../reports/settings.ts';

/** Which events: of one organisation, `from` and `to` both included, in ms. */
export interface AuditFilter {
  organizationId: string;
  actorId?: string | undefined;
  entityType?: string | undefined;
  entityId?: string | undefined;
  action?: string | undefined;
  from?: number | undefined;
  to?: number | undefined;
}

interface Row extends Omit<AuditItem, 'before' | 'after' | 'at'> {
  at: number;
  before: string;
  after: string;
}

const conditions = {
  actorId: 'actor_id = {actorId:UUID}',
  entityType: 'entity_type = {entityType:String}',
  entityId: 'entity_id = {entityId:String}',
  action: 'action = {action:String}',
  from: "events.at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')",
  to: "events.at <= fromUnixTimestamp64Milli({to:Int64}, 'UTC')",
} as const;

/**
 * The query of events, newest first; behind `after` where it is given. An event that was replayed may be there twice until
 * the engine has merged it: one of each.
 */
export function auditSql(
  filter: AuditFilter,
  columns: string,
  { after, limit }: { after?: { at: number; id: string } | undefined; limit: number },
): Sql {
  const names = Object.keys(conditions) as (keyof typeof conditions)[];
  const asked = names.filter((name) => filter[name] !== undefined);
  return {
    sql: `SELECT ${columns} FROM audit AS events
     WHERE organization_id = {organization:UUID} ${asked.map((name) => `AND ${conditions[name]}`).join(' ')}
       ${after ? "AND (events.at, events.id) < (fromUnixTimestamp64Milli({afterAt:Int64}, 'UTC'), {afterId:UUID})" : ''}
     ORDER BY events.at DESC, events.id DESC LIMIT 1 BY events.at, events.id LIMIT {limit:UInt32}`,
    params: {
      organization: filter.organizationId,
      limit,
      ...Object.fromEntries(asked.map((name) => [name, filter[name]])),
      ...(after ? { afterAt: after.at, afterId: after.id } : {}),
    },
  };
}

/** A page of an organisation's audit trail, newest first. Rejects 400 `INVALID_CURSOR`, 503. */
export async function listAudit(
  clickhouse: Pick<ClickHouse, 'query'>,
  filter: AuditFilter,
  { cursor, limit }: { cursor?: string | undefined; limit: number },
  signal?: AbortSignal,
): Promise<{ items: AuditItem[]; nextCursor: string | null }> {
  const list = ['audit', filter];
  const after = cursor === undefined ? undefined : openTimedCursor(cursor, list);
  const columns = `id, toUnixTimestamp64Milli(at) AS at, action, actor_type AS actorType, actor_id AS actorId,
    entity_type AS entityType, entity_id AS entityId, before, after, nullIf(ip_address, '') AS ipAddress,
    nullIf(user_agent, '') AS userAgent, nullIf(request_id, '') AS requestId, session_id AS sessionId, service`;
  const { sql, params } = auditSql(filter, columns, { after, limit: limit + 1 });
  const rows = await clickhouse.query<Row>(sql, {
    params,
    settings: reportSettings,
    ...(signal ? { signal } : {}),
  });
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return {
    items: page.map((row) => ({
      ...row,
      at: new Date(row.at).toISOString(),
      before: fieldsOf(row.before),
      after: fieldsOf(row.after),
    })),
    nextCursor: last && rows.length > limit ? sealTimedCursor({ at: last.at, id: last.id }, list) : null,
  };
}

const fieldsOf = (text: string): Record<string, unknown> | null => (text === '' ? null : JSON.parse(text));
