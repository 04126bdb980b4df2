import type { OutboxEvent, Queryable } from '@worktide/postgres';
import { uuidv7 } from '@worktide/runtime';
import { type AlertState, type AlertType, type Codec, type TimeEntryState, topics } from '@worktide/schemas';
import { monthsOf, type Span } from '../merge/index.ts';
import { windowsOf, within } from '../store/windows.ts';
import { type EntryRow, entryColumns, stateOf } from '../timers/store.ts';
import type { IdleAlert } from './idle.ts';

export interface Person {
  organizationId: string;
  userId: string;
}

/** One string for each person, in the order of `people`. */
export const keyOf = ({ organizationId, userId }: Person): string => `${organizationId}/${userId}`;

export interface AlertRow {
  organization_id: string;
  id: string;
  user_id: string;
  type: AlertType;
  date: string;
  time_entry_id: string | null;
  message: string;
  created_at: number;
  resolved_at: number | null;
  resolved_by: string | null;
  version: number;
}

export const alertColumns = `organization_id, id, user_id, type, to_char(date, 'YYYY-MM-DD') AS date, time_entry_id, message,
  epoch_ms(created_at) AS created_at, epoch_ms(resolved_at) AS resolved_at, resolved_by, version`;

const iso = (ms: number): string => new Date(ms).toISOString();
const isoOrNull = (ms: number | null): string | null => (ms === null ? null : iso(ms));

const stateOfAlert = (row: AlertRow): AlertState => ({
  id: row.id,
  type: row.type,
  date: row.date,
  timeEntryId: row.time_entry_id,
  message: row.message,
  createdAt: row.created_at,
  resolvedAt: row.resolved_at,
  resolvedBy: row.resolved_by,
  version: row.version,
});

/** Alerts of one record. */
const alertsAtOnce = 200;

/** What others learn of it: whole states, in records of topic `alerts`. */
export function recordsOf(rows: readonly AlertRow[], codec: Codec): OutboxEvent[] {
  const people = Map.groupBy(rows, (row) => keyOf({ organizationId: row.organization_id, userId: row.user_id }));
  return [...people.values()].flatMap((theirs) => {
    const { organization_id: organizationId, user_id: userId } = theirs[0]!;
    const records: OutboxEvent[] = [];
    for (let from = 0; from < theirs.length; from += alertsAtOnce) {
      const alerts = theirs.slice(from, from + alertsAtOnce).map(stateOfAlert);
      records.push({
        topic: topics.alerts.name,
        key: userId,
        value: codec.encode({ organizationId, userId, alerts }),
      });
    }
    return records;
  });
}

/** How far the scan is; undefined before the first. */
export async function scannedUntil(client: Queryable): Promise<number | undefined> {
  const { rows } = await client.query<{ until: number }>(
    `SELECT epoch_ms(until) AS until FROM alert_scans WHERE name = 'alerts'`,
  );
  return rows[0]?.until;
}

/** @returns how far it is now: never back. */
export async function scannedNow(client: Queryable, until: number): Promise<number> {
  const { rows } = await client.query<{ until: number }>(
    `INSERT INTO alert_scans AS stored (name, until) VALUES ('alerts', $1)
     ON CONFLICT (name) DO UPDATE SET until = greatest(stored.until, excluded.until)
     RETURNING epoch_ms(until) AS until`,
    [iso(until)],
  );
  return rows[0]!.until;
}

/**
 * The next people, in order, who have an open entry, an alert that lasts, or an entry that was changed since: all that an
 * alert can come of.
 */
export async function nextPeople(
  client: Queryable,
  { after, since, limit }: { after: Person; since: number; limit: number },
): Promise<Person[]> {
  const some = (rest: string): string => `(
    SELECT organization_id, user_id FROM ${rest} AND (organization_id, user_id) > ($1, $2)
    ORDER BY organization_id, user_id LIMIT $4)`;
  const { rows } = await client.query<Person>(
    `SELECT organization_id AS "organizationId", user_id AS "userId" FROM (
       ${some('time_entries WHERE upper_inf(span) AND deleted_at IS NULL')}
       UNION ${some(`alerts WHERE type = 'idle' AND idle_until IS NULL`)}
       UNION ${some(
         '(SELECT DISTINCT organization_id, user_id FROM time_entries WHERE updated_at >= $3) changed WHERE true',
       )}
     ) people ORDER BY organization_id, user_id LIMIT $4`,
    [after.organizationId, after.userId, iso(since), limit],
  );
  return rows;
}

const given = '(SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS p(organization_id, user_id)) p';
const idsOf = (people: readonly Person[]): [string[], string[]] => [
  people.map(({ organizationId }) => organizationId),
  people.map(({ userId }) => userId),
];

/** An entry and whose it is. */
export interface OwnedEntry extends Person {
  entry: TimeEntryState;
}

type OwnedRow = EntryRow & { organization_id: string };
const owned = (row: OwnedRow): OwnedEntry => ({
  organizationId: row.organization_id,
  userId: row.user_id,
  entry: stateOf(row),
});

/** Of these people the open entries, those whose alerts last, and timers stopped since. */
export async function entriesToWatch(
  client: Queryable,
  people: readonly Person[],
  since: number,
): Promise<OwnedEntry[]> {
  const those = (table: string): string => `${table} e JOIN ${given} USING (organization_id, user_id)`;
  const { rows } = await client.query<OwnedRow>(
    `SELECT organization_id, ${entryColumns} FROM time_entries WHERE (organization_id, id) IN (
       SELECT organization_id, id FROM ${those('time_entries')} WHERE upper_inf(span) AND deleted_at IS NULL
       UNION SELECT organization_id, time_entry_id FROM ${those('alerts')} WHERE type = 'idle' AND idle_until IS NULL
       UNION SELECT organization_id, id FROM ${those('time_entries')}
         WHERE updated_at >= $3 AND upper(span) >= $3 AND kind = 'timer' AND deleted_at IS NULL)`,
    [...idsOf(people), iso(since)],
  );
  return rows.map(owned);
}

/** UTC dates, from first to last, that changed entries of a person touch. */
export interface ChangedDates extends Person {
  first: string;
  last: string;
}

/** @param from what ended before it is left out. */
export async function changedDates(
  client: Queryable,
  people: readonly Person[],
  { since, from, now }: { since: number; from: number; now: number },
): Promise<ChangedDates[]> {
  const date = (instant: string): string => `to_char(${instant} AT TIME ZONE 'UTC', 'YYYY-MM-DD')`;
  const { rows } = await client.query<ChangedDates>(
    `SELECT DISTINCT organization_id AS "organizationId", user_id AS "userId",
       ${date('greatest(lower(span), $4::timestamptz)')} AS first, ${date('coalesce(upper(span), $5::timestamptz)')} AS last
     FROM time_entries JOIN ${given} USING (organization_id, user_id)
     WHERE updated_at >= $3 AND span && tstzrange($4, $5)`,
    [...idsOf(people), iso(since), iso(from), iso(now)],
  );
  return rows;
}

/** Entries of one span that are read at most: of more, nobody works as many in a day. */
const maxEntries = 10_000;

/** The entries of each person that touch their spans; spans of one person are disjoint. */
export async function entriesWithin(
  client: Queryable,
  spans: readonly (Person & Span)[],
): Promise<Map<string, TimeEntryState[]>> {
  const found = new Map<string, TimeEntryState[]>();
  if (spans.length === 0) return found;
  const { rows } = await client.query<OwnedRow>(
    `SELECT e.* FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[])
       AS w(of_organization, of_user, start_at, end_at)
     CROSS JOIN LATERAL (
       SELECT organization_id, ${entryColumns} FROM time_entries
       WHERE organization_id = w.of_organization AND user_id = w.of_user AND deleted_at IS NULL
         AND span && tstzrange(w.start_at, w.end_at)
       LIMIT ${maxEntries}) e`,
    [...idsOf(spans), spans.map(({ start }) => iso(start)), spans.map(({ end }) => iso(end))],
  );
  // One may touch two spans.
  const seen = new Set<string>();
  for (const { entry, ...person } of rows.map(owned)) {
    if (seen.has(entry.id)) continue;
    seen.add(entry.id);
    const theirs = found.get(keyOf(person));
    if (theirs) theirs.push(entry);
    else found.set(keyOf(person), [entry]);
  }
  return found;
}

/** Timers of a day lie so close together. */
const closeMs = 3_600_000;
/** Of one person, each a look-up in every stream of theirs: they may have stopped thousands of timers since the last scan. */
const maxWindows = 4;

/** When each person was active within their spans: disjoint, in order, in the order of the spans. Call `byIndex` before. */
export async function activeWithin(client: Queryable, spans: readonly (Person & Span)[]): Promise<Span[][]> {
  const people = [...Map.groupBy(spans, keyOf).values()];
  const windows = people.flatMap((theirs, i) =>
    windowsOf(theirs, closeMs, maxWindows).flatMap(({ start, end }) =>
      monthsOf(start, end).map((month) => ({ i, month, start, end })),
    ),
  );
  if (windows.length === 0) return spans.map(() => []);
  const { rows } = await client.query<{ i: number; pieces: [number, number][] }>(
    `SELECT i, (SELECT json_agg(json_build_array(lower(r), upper(r)) ORDER BY r) FROM unnest(range_agg(during)) r) AS pieces
     FROM (
       SELECT w.i, u.during
       FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::date[], $5::bigint[], $6::bigint[])
         AS w(of_organization, of_user, i, month, start_at, end_at)
       JOIN streams s ON s.organization_id = w.of_organization AND s.user_id = w.of_user
       CROSS JOIN LATERAL (
         (SELECT during, state, ended_at FROM usage_entries
          WHERE month = w.month AND stream_id = s.id AND started_at < w.start_at ORDER BY started_at DESC LIMIT 1)
         UNION ALL
         SELECT during, state, ended_at FROM usage_entries
         WHERE month = w.month AND stream_id = s.id AND started_at >= w.start_at AND started_at < w.end_at
       ) u
       WHERE u.state = 'active' AND u.ended_at > w.start_at
     ) used GROUP BY i`,
    [
      windows.map(({ i }) => people[i]![0]!.organizationId),
      windows.map(({ i }) => people[i]![0]!.userId),
      windows.map(({ i }) => i),
      windows.map(({ month }) => month),
      windows.map(({ start }) => start),
      windows.map(({ end }) => end),
    ],
  );
  const active = new Map<string, Span[]>();
  for (const { i, pieces } of rows) {
    active.set(
      keyOf(people[i]![0]!),
      (pieces ?? []).map(([start, end]) => ({ start, end })),
    );
  }
  return spans.map((span) => within(active.get(keyOf(span)) ?? [], span));
}

export interface StoredIdleAlert extends IdleAlert {
  createdAt: number;
}

/** Idle alerts of entries, by entry: those whose time lasts, or ended after `since`. */
export async function idleAlerts(
  client: Queryable,
  entries: readonly OwnedEntry[],
  since: number,
): Promise<Map<string, StoredIdleAlert[]>> {
  const { rows } = await client.query<StoredIdleAlert & { entryId: string }>(
    `SELECT id, time_entry_id AS "entryId", epoch_ms(idle_from) AS "from", epoch_ms(idle_until) AS until,
       epoch_ms(created_at) AS "createdAt"
     FROM alerts WHERE type = 'idle' AND (organization_id, time_entry_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))
       AND (idle_until IS NULL OR idle_until > $3)`,
    [entries.map(({ organizationId }) => organizationId), entries.map(({ entry }) => entry.id), iso(since)],
  );
  return Map.groupBy(rows, ({ entryId }) => entryId);
}

export interface NewAlert extends Person {
  type: AlertType;
  date: string;
  timeEntryId: string | null;
  idleFrom: number | null;
  /** Null while it lasts; then nothing resolves it. */
  idleUntil: number | null;
  message: string;
}

const of = (table: string, columns: string): string => columns.replace(/\w+/g, `${table}.$&`);

/**
 * Stores what is not there yet. One that had resolved itself and holds again, as where an edit was taken back, is open
 * again; what somebody has resolved stays so.
 * @returns what is new or open again.
 */
export async function raise(client: Queryable, alerts: readonly NewAlert[], now: number): Promise<AlertRow[]> {
  const changed: AlertRow[] = [];
  for (const [type, identity] of [
    ['idle', 'organization_id, time_entry_id, idle_from'],
    ['overtime', 'organization_id, user_id, date'],
  ] as const) {
    const rows = alerts
      .filter((alert) => alert.type === type)
      .map((alert) => ({
        organization_id: alert.organizationId,
        id: uuidv7(now),
        user_id: alert.userId,
        date: alert.date,
        time_entry_id: alert.timeEntryId,
        idle_from: isoOrNull(alert.idleFrom),
        idle_until: isoOrNull(alert.idleUntil),
        message: alert.message,
        resolved_at: alert.idleUntil === null ? null : iso(now),
      }));
    if (rows.length === 0) continue;
    const stored = await client.query<AlertRow>(
      `INSERT INTO alerts AS stored (organization_id, id, user_id, type, date, time_entry_id, idle_from, idle_until, message,
         created_at, resolved_at, version)
       SELECT organization_id, id, user_id, $2, date, time_entry_id, idle_from, idle_until, message, $3, resolved_at, 1
       FROM json_to_recordset($1) AS t (organization_id uuid, id uuid, user_id uuid, date date, time_entry_id uuid,
         idle_from timestamptz, idle_until timestamptz, message text, resolved_at timestamptz)
       -- Those that are there already are not even locked: they are found again with each scan.
       WHERE NOT EXISTS (
         SELECT FROM alerts there WHERE there.type = '${type}' AND (${of('there', identity)}) = (${of('t', identity)})
           AND (there.resolved_at IS NULL OR there.resolved_by IS NOT NULL OR t.resolved_at IS NOT NULL))
       ORDER BY organization_id, user_id, time_entry_id, idle_from, date
       ON CONFLICT (${identity}) WHERE type = '${type}' DO UPDATE
         SET resolved_at = NULL, idle_until = excluded.idle_until, version = stored.version + 1
         WHERE stored.resolved_at IS NOT NULL AND stored.resolved_by IS NULL AND excluded.resolved_at IS NULL
       RETURNING ${alertColumns}`,
      [JSON.stringify(rows), type, iso(now)],
    );
    changed.push(...stored.rows);
  }
  return changed;
}

/**
 * Says of idle alerts when their time ended, and resolves those that nobody has.
 * @returns those that are resolved by it.
 */
export async function endIdle(
  client: Queryable,
  ended: readonly { organizationId: string; id: string; until: number }[],
  now: number,
): Promise<AlertRow[]> {
  if (ended.length === 0) return [];
  const { rows } = await client.query<AlertRow & { was_open: boolean }>(
    `WITH before AS (
       SELECT a.organization_id, a.id, a.resolved_at IS NULL AS was_open, t.until
       FROM alerts a JOIN unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t(organization_id, id, until)
         USING (organization_id, id)
       WHERE a.idle_until IS NULL ORDER BY organization_id, id FOR UPDATE OF a
     ), changed AS (
       UPDATE alerts a SET idle_until = b.until, resolved_at = coalesce(a.resolved_at, $4),
         version = a.version + was_open::int
       FROM before b WHERE a.organization_id = b.organization_id AND a.id = b.id RETURNING a.*
     )
     SELECT ${alertColumns}, was_open FROM changed JOIN before USING (organization_id, id)`,
    [
      ended.map(({ organizationId }) => organizationId),
      ended.map(({ id }) => id),
      ended.map(({ until }) => iso(until)),
      iso(now),
    ],
  );
  return rows.filter(({ was_open }) => was_open);
}

/** Unresolved overtime alerts of people: dates that may turn out to be none. The newest of each. */
export async function overtimeDates(
  client: Queryable,
  people: readonly Person[],
): Promise<(Person & { date: string })[]> {
  const { rows } = await client.query<Person & { date: string }>(
    `SELECT organization_id AS "organizationId", user_id AS "userId", to_char(d.date, 'YYYY-MM-DD') AS date
     FROM ${given} CROSS JOIN LATERAL (
       SELECT date FROM alerts a
       WHERE a.organization_id = p.organization_id AND a.user_id = p.user_id AND type = 'overtime' AND resolved_at IS NULL
       ORDER BY date DESC LIMIT 62) d`,
    idsOf(people),
  );
  return rows;
}

/** Resolves the overtime of days that are not too long any more. */
export async function endOvertime(
  client: Queryable,
  days: readonly (Person & { date: string })[],
  now: number,
): Promise<AlertRow[]> {
  if (days.length === 0) return [];
  const { rows } = await client.query<AlertRow>(
    `UPDATE alerts SET resolved_at = $4, version = version + 1
     WHERE type = 'overtime' AND resolved_at IS NULL AND (organization_id, user_id, date) IN (
       SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::date[]))
     RETURNING ${alertColumns}`,
    [...idsOf(days), days.map(({ date }) => date), iso(now)],
  );
  return rows;
}
