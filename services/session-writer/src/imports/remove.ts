import { type Outbox, type Pool, tenantTransaction, transactionWithEvents } from '@worktide/postgres';
import { unavailable } from '@worktide/runtime';
import type { Codec, ImportRecord } from '@worktide/schemas';
import { recordErasure } from '../store/erasures.ts';
import {
  type Author,
  type EntryRow,
  entryColumns,
  lockOf,
  recordChanges,
  recordsOf,
  stateOf,
  updateEntry,
} from '../timers/store.ts';

export interface RemoveDependencies {
  pool: Pool;
  outbox: Outbox;
  /** Of topic `time-entries`. */
  entriesCodec: Codec;
  /** An erasure was recorded: it is to be worked off. */
  onErasure: () => void;
  now?: () => number;
}

export type RemovedRecord = ImportRecord & { what: { type: 'removed' } };

const reason = 'The import was taken out.';

/**
 * Takes out what an import has brought a person: its entries are deleted, a part at a time, and the time of its devices is erased.
 * From its first transaction on nothing of the import is taken any more, in whichever order its records come. Again changes nothing.
 * @returns how many entries went. @throws 503.
 */
export async function removeImport(deps: RemoveDependencies, record: RemovedRecord): Promise<number> {
  const { pool, outbox, entriesCodec, onErasure, now = Date.now } = deps;
  const { organizationId, userId, importId, what } = record;
  const who: Author = { organizationId, userId, actorId: what.actorId, requestId: what.requestId };
  const named = [organizationId, importId, userId];
  const lock = lockOf(who);
  // Under the lock, so that a part that is being applied is seen below.
  await tenantTransaction(
    pool,
    organizationId,
    (client) =>
      client.query(
        `INSERT INTO removed_imports (organization_id, import_id, user_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
        named,
      ),
    { own: true, lock },
  );
  let removed = 0;
  for (let more = true; more; ) {
    const whose = { pool, outbox, tenant: organizationId, own: true, lock };
    const { result, published } = await transactionWithEvents(whose, async (client, tell) => {
      const { rows: parts } = await client.query<{ part: number; ids: string[] }>(
        `SELECT part, entry_ids AS ids FROM import_parts
         WHERE organization_id = $1 AND import_id = $2 AND user_id = $3 ORDER BY part LIMIT 1`,
        named,
      );
      const [part] = parts;
      if (!part) return undefined;
      // What others were made one with has their time, too: it stays.
      const { rows } = await client.query<EntryRow>(
        `SELECT ${entryColumns} FROM time_entries e
         WHERE organization_id = $1 AND user_id = $2 AND id = ANY($3::uuid[]) AND deleted_at IS NULL AND NOT EXISTS (
           SELECT FROM time_entry_changes c
           WHERE c.organization_id = $1 AND c.entry_id = e.id AND c.action = 'merged')`,
        [organizationId, userId, part.ids],
      );
      const nowMs = now();
      const changes = rows.map(stateOf).map((before) => ({
        action: 'deleted' as const,
        before,
        after: { ...before, deleted: true, version: before.version + 1, updatedAt: nowMs },
        reason,
      }));
      for (const { after } of changes) await updateEntry(client, who, after);
      await recordChanges(client, who, changes);
      await client.query(
        'DELETE FROM import_parts WHERE organization_id = $1 AND import_id = $2 AND user_id = $3 AND part = $4',
        [...named, part.part],
      );
      tell(
        ...recordsOf(
          who,
          changes.map(({ after }) => after),
          entriesCodec,
        ),
      );
      return changes.length;
    });
    await published;
    removed += result ?? 0;
    more = result !== undefined;
  }
  const { from, to, devices } = what;
  if (from >= to) return removed;
  for (const deviceId of devices) {
    const erasure = { organizationId, userId, deviceId, from, to, requestedBy: what.actorId };
    // Too many of one person wait: they are worked off in a moment.
    await recordErasure({ pool, outbox }, erasure).catch((error: unknown) => {
      throw unavailable('erasures', error);
    });
    onErasure();
  }
  return removed;
}

/** Longer than any record of an import is kept, a dead letter among them. */
const keptDays = 40;

/** Lets go of what is known of imports that were taken out long ago. Rejects 503. */
export async function forgetRemoved(pool: Pool): Promise<void> {
  await pool.query(`DELETE FROM removed_imports WHERE removed_at < now() - interval '${keptDays} days'`);
}
