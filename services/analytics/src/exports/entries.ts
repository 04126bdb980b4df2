import { auditSql } from '../audit/list.ts';
import { named, ofPeople, type People, type Sql } from '../reports/intervals.ts';
import { ofTeam } from '../reports/people.ts';
import type { Asked, Whose } from './asked.ts';
import { type Column, columnsOf, type Row } from './columns.ts';

/** A list that is read part by part, each of which begins behind the last row of the one before. */
export interface Parts {
  /** How many rows there are: `{rows}`. */
  count: Sql;
  /** The rows behind this one, in the columns of the export. */
  part(after: Row | undefined, limit: number): Sql;
  /** The most rows of one part, where there must be fewer than of other lists. */
  maxRows?: number;
}

/** People of an export. */
export const peopleOf = (organizationId: string, whose: Whose): People => {
  if ('userId' in whose) return { organizationId, which: named([whose.userId]) };
  return 'teamId' in whose ? { organizationId, which: ofTeam(whose.teamId) } : { organizationId };
};

const instant = (name: string): string => `fromUnixTimestamp64Milli({${name}:Int64}, 'UTC')`;
const millis = (column: string): string => `toUnixTimestamp64Milli(${column})`;

/** Names of what a row speaks of, joined to it: empty where it is not known. */
const withName = (table: 'people' | 'projects' | 'tasks', as: string, key: string): string => `
  LEFT ANY JOIN (SELECT toNullable(id) AS ${as}_id, ${table === 'tasks' ? 'title' : 'name'} AS ${as}_name FROM ${table} FINAL
    WHERE organization_id = {organization:UUID}) AS ${as} ON ${as}.${as}_id = ${key}`;

/** A row's value of a column. */
function cellOf(columns: readonly Column[], row: Row, name: string): unknown {
  return row[columns.findIndex((column) => column.name === name)];
}

/** The condition of being behind a row in the order of person, start and id. The first part is what an index can use. */
function behind(report: 'usage' | 'time-entries', after: Row | undefined, start: string): Sql {
  if (!after) return { sql: '1', params: {} };
  const value = (name: string): unknown => cellOf(columnsOf[report], after, name);
  return {
    sql: `user_id >= {afterUser:UUID} AND (user_id, started_at, id) > ({afterUser:UUID}, ${instant('afterAt')}, {afterId:UUID})`,
    params: { afterUser: value('userId'), afterAt: value(start), afterId: value('id') },
  };
}

/** Entries never cross a UTC month (the writer cuts there), so none that began before this month reaches into it. */
const startOfMonth = (ms: number): number => {
  const date = new Date(ms);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
};

/** As `GET /usage` lists them: what touches the range, whole. */
export function usageParts(organizationId: string, asked: Asked & { report: 'usage' }): Parts {
  const people = ofPeople(peopleOf(organizationId, asked.whose));
  const where = `${people.sql} AND started_at >= ${instant('month')} AND started_at < ${instant('until')}
    AND (ended_at > ${instant('since')} OR started_at >= ${instant('since')})
    ${asked.deviceId === undefined ? '' : 'AND device_id = {device:String}'}`;
  const params = {
    ...people.params,
    month: startOfMonth(asked.since),
    since: asked.since,
    until: asked.until,
    ...(asked.deviceId === undefined ? {} : { device: asked.deviceId }),
  };
  return {
    count: { sql: `SELECT count() AS rows FROM usage FINAL WHERE ${where}`, params },
    part(after, limit) {
      const next = behind('usage', after, 'startedAt');
      return {
        sql: `SELECT u.id, u.user_id, nullIf(person_name, ''), u.device_id, u.source, u.app, nullIf(u.host, ''), toString(u.state),
          ${millis('u.started_at')}, ${millis('u.ended_at')},
          intDiv(${millis('u.ended_at')} - ${millis('u.started_at')} + 500, 1000)
        FROM (SELECT id, user_id, device_id, source, app, host, state, started_at, ended_at FROM usage FINAL
          WHERE ${where} AND ${next.sql} ORDER BY user_id, started_at, id LIMIT {limit:UInt32}) AS u
        ${withName('people', 'person', 'u.user_id')}
        ORDER BY u.user_id, u.started_at, u.id`,
        params: { ...params, ...next.params, limit },
      };
    },
  };
}

/**
 * How much of some entries was active, and covered at all: rows `entry` (its `number`), `active_ms`, `covered_ms`; none for an
 * entry without. A sweep over each person's time: what begins and ends in it, the entries' own pieces among it, and what is
 * true between one such instant and the next. Entries of a person do not overlap, so that the sum of their numbers is the
 * number of the one that is worked on.
 * @param part a query of entries with `number` (UInt64) and `last_ms`.
 */
const usageWithin = (part: string): string => `
  SELECT entry, sumIf(length, actives > 0) AS active_ms, sumIf(length, covers > 0) AS covered_ms
  FROM (
    SELECT
      leadInFrame(at, 1, at) OVER (PARTITION BY user_id ORDER BY at ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) - at AS length,
      sum(number) OVER until AS entry, sum(active) OVER until AS actives, sum(cover) OVER until AS covers
    FROM (
      SELECT user_id, change.1 AS at, change.2 AS number, 0::Int8 AS active, 0::Int8 AS cover
      FROM (
        SELECT user_id, arrayJoin(arrayFilter(piece -> piece.1 < piece.2, arrayZip(
            arrayConcat([${millis('started_at')}], arrayMap(ended -> ifNull(${millis('ended')}, last_ms), pause_ends)),
            arrayConcat(arrayMap(began -> ${millis('began')}, pause_starts), [last_ms])))) AS piece,
          arrayJoin([(piece.1, number), (piece.2, -number)]) AS change
        FROM (${part}))
      UNION ALL
      SELECT user_id, change.1, 0, change.2, change.3
      FROM (
        SELECT user_id, toInt8(state = 'active') AS active,
          arrayJoin([(${millis('started_at')}, active, 1), (${millis('ended_at')}, -active, -1)]) AS change
        FROM usage FINAL
        WHERE organization_id = {organization:UUID} AND user_id IN (SELECT user_id FROM (${part}))
          AND started_at >= toStartOfMonth((SELECT min(started_at) FROM (${part})), 'UTC')
          AND started_at < fromUnixTimestamp64Milli((SELECT max(last_ms) FROM (${part})), 'UTC'))
    )
    -- What happens at the same instant counts together.
    WINDOW until AS (PARTITION BY user_id ORDER BY at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
  )
  WHERE length > 0 AND entry != 0 GROUP BY entry`;

/** As `GET /time-entries` lists them. What runs has run until `now`. */
export function timeEntryParts(organizationId: string, asked: Asked & { report: 'time-entries' }, now: number): Parts {
  const people = ofPeople(peopleOf(organizationId, asked.whose));
  const where = `${people.sql} AND started_at < ${instant('until')} AND (ended_at IS NULL OR ended_at > ${instant('since')})
    ${asked.projectId === undefined ? '' : 'AND project_id = {project:UUID}'}
    ${asked.status === undefined ? '' : 'AND status = {status:String}'}`;
  const params = {
    ...people.params,
    since: asked.since,
    until: asked.until,
    ...(asked.projectId === undefined ? {} : { project: asked.projectId }),
    ...(asked.status === undefined ? {} : { status: asked.status }),
  };
  return {
    count: { sql: `SELECT count() AS rows FROM time_entries FINAL WHERE ${where}`, params },
    // A hundred rows of usage may belong to each.
    maxRows: 2_000,
    part(after, limit) {
      const next = behind('time-entries', after, 'startTime');
      const part = `
        SELECT *, reinterpretAsInt64(sipHash64(id)) AS number, greatest(ifNull(${millis('ended_at')}, {now:Int64}), ${millis('started_at')}) AS last_ms,
          arraySum((began, ended) -> ifNull(${millis('ended')}, last_ms) - ${millis('began')}, pause_starts, pause_ends)
            AS paused_ms
        FROM time_entries FINAL
        WHERE ${where} AND ${next.sql} ORDER BY user_id, started_at, id LIMIT {limit:UInt32}`;
      // Worked time as the view of analysts has it, active and idle as `GET /time-entries`.
      return {
        sql: `SELECT e.id, e.user_id, nullIf(person_name, ''), toString(e.kind), toString(e.status), e.project_id,
          nullIf(project_name, ''), e.task_id, nullIf(task_name, ''), nullIf(e.description, ''), e.tags, e.billable::Bool,
          ${millis('e.started_at')}, ${millis('e.ended_at')}, e.timezone,
          intDiv(greatest(last_ms - ${millis('e.started_at')} - paused_ms, 0) + 500, 1000) AS worked,
          intDiv(active_ms + 500, 1000) AS active, intDiv(covered_ms + 500, 1000) - active AS idle, worked - active - idle,
          ${millis('e.created_at')}, ${millis('e.updated_at')}
        FROM (${part}) AS e
        LEFT ANY JOIN (${usageWithin(part)}) AS within ON entry = e.number
        ${withName('people', 'person', 'e.user_id')}
        ${withName('projects', 'project', 'e.project_id')}
        ${withName('tasks', 'task', 'e.task_id')}
        ORDER BY e.user_id, e.started_at, e.id`,
        params: { ...params, ...next.params, now, limit },
      };
    },
  };
}

/** As `GET /audit` lists them, newest first. */
export function auditParts(organizationId: string, { report: _, ...rest }: Asked & { report: 'audit' }): Parts {
  const filter = { organizationId, ...rest };
  const all = auditSql(filter, 'id', { limit: 4_000_000_000 });
  return {
    count: { sql: `SELECT count() AS rows FROM (${all.sql})`, params: all.params },
    part(after, limit) {
      const value = (name: string): unknown => (after ? cellOf(columnsOf.audit, after, name) : undefined);
      const place = after && { at: value('at') as number, id: value('id') as string };
      const { sql, params } = auditSql(filter, '*', { after: place, limit });
      return {
        sql: `SELECT e.id, ${millis('e.at')}, e.action, toString(e.actor_type), e.actor_id, nullIf(person_name, ''), e.entity_type,
          e.entity_id, nullIf(e.before, ''), nullIf(e.after, ''), nullIf(e.ip_address, ''), nullIf(e.user_agent, ''),
          nullIf(e.request_id, ''), e.session_id, e.service
        FROM (${sql}) AS e
        ${withName('people', 'person', 'e.actor_id')}
        ORDER BY e.at DESC, e.id DESC`,
        params,
      };
    },
  };
}
