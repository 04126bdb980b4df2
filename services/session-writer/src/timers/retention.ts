import type { Identity } from '@worktide/identity';
import { type Outbox, type Pool, transactionWithEvents } from '@worktide/postgres';
import type { Metrics } from '@worktide/runtime';
import type { Codec, OrganizationSettings, TimeEntryState } from '@worktide/schemas';
import { type Author, type EntryRow, entryColumns, lockOf, recordsOf, stateOf } from './store.ts';

const dayMs = 86_400_000;
/** Entries of one transaction, which are of one person. */
const atOnce = 200;
/** Keys of one statement, and for how long after their time the keys stay, whatever the clocks of replicas say. */
const keysAtOnce = 1_000;
const keysMs = dayMs;

/** What ended before that, epoch ms, its organisation does not keep; undefined where it keeps all. */
export function keptFrom(
  settings: Pick<OrganizationSettings, 'timeEntryRetentionDays'> | undefined,
  nowMs: number,
): number | undefined {
  const days = settings?.timeEntryRetentionDays ?? null;
  return days === null ? undefined : nowMs - days * dayMs;
}

export interface RetentionOptions {
  pool: Pool;
  outbox: Outbox;
  /** Of topic `time-entries`. */
  codec: Codec;
  identity: Pick<Identity, 'organization'>;
  metrics: Metrics;
  now?: () => number;
}

/**
 * Lets go of entries that ended longer ago than their organisation keeps them, with their history, deleted ones too. Any number of
 * replicas may do so at once. What an offline key stands for stays known until nothing that was said under it would be taken
 * any more (`keptFrom`), or else an agent would bring the entry back.
 * @returns a pass over all organisations. It rejects 503; what was let go by then stays so.
 */
export function createRetention(options: RetentionOptions): (signal: AbortSignal) => Promise<void> {
  const { pool, identity, codec, now = Date.now } = options;
  const forgotten = options.metrics.counter(
    'worktide_writer_time_entries_forgotten_total',
    'Time entries let go by the retention of their organisation',
  );

  return async (signal) => {
    await codec.prepare();
    for await (const organizationId of organizations(pool)) {
      const from = keptFrom((await identity.organization(organizationId))?.settings, now());
      if (from === undefined) continue;
      const before = new Date(from).toISOString();
      for (let more = true; more; ) {
        signal.throwIfAborted();
        const ids = await nextEntries(pool, organizationId, before);
        for (const [userId, theirs] of ids) {
          forgotten.inc(await forget(options, { organizationId, userId }, theirs, before));
        }
        more = ids.size > 0;
      }
      const keysBefore = new Date(from - keysMs).toISOString();
      while ((await forgetKeys(pool, organizationId, keysBefore)) === keysAtOnce) signal.throwIfAborted();
    }
  };
}

/** Those that have entries, or keys of them, two look-ups each. */
async function* organizations(pool: Pool): AsyncGenerator<string> {
  for (let last = '00000000-0000-0000-0000-000000000000'; ; ) {
    const after = (table: string): string =>
      `(SELECT organization_id FROM tracking.${table} WHERE organization_id > $1 ORDER BY organization_id LIMIT 1)`;
    const { rows } = await pool.query<{ next: string | null }>(
      `SELECT least(${after('time_entries')}, ${after('sync_keys')}) AS next`,
      [last],
    );
    const { next } = rows[0]!;
    if (next === null) return;
    last = next;
    yield last;
  }
}

/** Ids of entries of some people, by whose they are. */
async function nextEntries(pool: Pool, organizationId: string, before: string): Promise<Map<string, string[]>> {
  const { rows } = await pool.query<{ user_id: string; id: string }>(
    `SELECT user_id, id FROM tracking.time_entries WHERE organization_id = $1 AND ${isDue('$2')} LIMIT ${atOnce}`,
    [organizationId, before],
  );
  const ids = new Map<string, string[]>();
  for (const { user_id, id } of rows) ids.set(user_id, [...(ids.get(user_id) ?? []), id]);
  return ids;
}

/** Keys of entries that are there no more. @returns how many there were. */
async function forgetKeys(pool: Pool, organizationId: string, before: string): Promise<number> {
  const { rowCount } = await pool.query(
    `DELETE FROM tracking.sync_keys WHERE ctid = ANY (ARRAY(
       SELECT k.ctid FROM tracking.sync_keys k WHERE k.organization_id = $1 AND k.ended_at < $2 AND NOT EXISTS (
         SELECT FROM tracking.time_entries e WHERE e.organization_id = k.organization_id AND e.id = k.entry_id)
       LIMIT ${keysAtOnce}))`,
    [organizationId, before],
  );
  return rowCount ?? 0;
}

/** What was deleted while it was open has no end. */
const isDue = (before: string): string => `coalesce(ends_at, deleted_at) < ${before}`;

/** @returns how many there were. */
async function forget(
  { pool, outbox, codec, now = Date.now }: RetentionOptions,
  whose: { organizationId: string; userId: string },
  ids: readonly string[],
  before: string,
): Promise<number> {
  const { organizationId, userId } = whose;
  const who: Author = { ...whose, actorId: null, requestId: null };
  const { result } = await transactionWithEvents({ pool, outbox, whenFull: 'leave' }, async (client, tell) => {
    await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [lockOf(who)]);
    // The ledger is let go of with its entry, and in no other way.
    await client.query("SELECT set_config('worktide.retention_of', $1, true)", [organizationId]);
    const { rows } = await client.query<EntryRow>(
      `DELETE FROM tracking.time_entries
       WHERE organization_id = $1 AND user_id = $2 AND id = ANY($3::uuid[]) AND ${isDue('$4')} RETURNING ${entryColumns}`,
      [organizationId, userId, ids, before],
    );
    const gone = [organizationId, rows.map(({ id }) => id)];
    await client.query(
      'DELETE FROM tracking.time_entry_changes WHERE organization_id = $1 AND entry_id = ANY($2::uuid[])',
      gone,
    );
    // Whoever sends the request again makes it anew.
    for (const table of ['timer_requests', 'sync_taken']) {
      await client.query(
        `DELETE FROM tracking.${table} WHERE organization_id = $1 AND entry_id = ANY($2::uuid[])`,
        gone,
      );
    }
    tell(...recordsOf(who, rows.map(stateOf).map(tombstone(now())), codec));
    return rows.length;
  });
  return result;
}

/** Others keep tombstones: of what was said there is nothing in these. */
const tombstone =
  (nowMs: number) =>
  (entry: TimeEntryState): TimeEntryState => ({
    ...entry,
    description: null,
    tags: [],
    deleted: true,
    version: entry.version + 1,
    updatedAt: nowMs,
  });
