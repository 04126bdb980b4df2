import type { ObjectStore } from '@worktide/object-store';
import type { Pool, Queryable, Tell } from '@worktide/postgres';
import { type Codec, type ImportRecord, pingEventBounds, topics } from '@worktide/schemas';
import { deviceIdOf, type Plan } from './items.ts';
import { fileKeyOf } from './keys.ts';
import type { ImportRow } from './store.ts';

/** Deletes the file of an import, and then the word that there is one: all there is of what was never started. Rejects 503. */
export async function removeFile(
  { pool, store }: { pool: Pool; store: Pick<ObjectStore, 'delete'> },
  { organizationId, id }: Pick<ImportRow, 'organizationId' | 'id'>,
): Promise<void> {
  await store.delete(fileKeyOf(organizationId, id));
  await pool.query('UPDATE agent_protocols.imports SET file_key = NULL WHERE organization_id = $1 AND id = $2', [
    organizationId,
    id,
  ]);
  await pool.query(
    `DELETE FROM agent_protocols.imports
     WHERE organization_id = $1 AND id = $2 AND removed_at IS NOT NULL AND started_at IS NULL`,
    [organizationId, id],
  );
}

const dayMs = 86_400_000;

/**
 * [from, to), epoch ms, in which all is that an import has brought so far; both 0 without any. What is told apart by a day begins on
 * it, but for the span before a heartbeat, and ends as much later as a ping may last.
 */
async function broughtTime(
  client: Queryable,
  { organizationId, id }: ImportRow,
): Promise<{ from: number; to: number }> {
  const { rows } = await client.query<{ first: number | null; last: number | null }>(
    `SELECT min(day) AS first, max(day) AS last FROM agent_protocols.imported_content
     WHERE organization_id = $1 AND import_id = $2`,
    [organizationId, id],
  );
  const { first, last } = rows[0]!;
  if (first === null || last === null) return { from: 0, to: 0 };
  return { from: Math.max(0, (first - 1) * dayMs), to: (last + 1) * dayMs + pingEventBounds.durationMs };
}

/**
 * Takes an import out: nothing more of it goes to the log from this commit on, and whoever has what went is told. Hold its row.
 * @returns whether anything could have been imported by then.
 */
export async function takeOut(
  client: Queryable,
  tell: Tell,
  row: ImportRow,
  { codec, actorId, requestId }: { codec: Codec; actorId: string; requestId: string },
): Promise<boolean> {
  const { organizationId, id, startedAt } = row;
  // Its row stays for as long as there is a file of it, which counts until it is gone.
  const { rows } = await client.query<{ plan: Plan | null }>(
    `UPDATE agent_protocols.imports SET removed_at = clock_timestamp(), lease = NULL, due_at = NULL
     WHERE organization_id = $1 AND id = $2 RETURNING CASE WHEN started_at IS NOT NULL THEN plan END AS plan`,
    [organizationId, id],
  );
  const plan = rows[0]?.plan ?? null;
  if (startedAt === null || plan === null) return false;
  const devices = plan.devices.map((device) => deviceIdOf(id, device));
  // Of what was brought, not of what was usable when the file was looked at: rules may be others since.
  const brought = await broughtTime(client, row);
  const what: ImportRecord['what'] = { type: 'removed', actorId, requestId, devices, ...brought };
  for (const userId of new Set(devices.length > 0 ? [row.userId] : Object.values(plan.people))) {
    const record: ImportRecord = {
      organizationId,
      userId,
      importId: id,
      actorId: row.userId,
      receivedAt: Date.now(),
      what,
    };
    tell({ topic: topics.imports.name, key: userId, value: codec.encode(record) });
  }
  return true;
}
