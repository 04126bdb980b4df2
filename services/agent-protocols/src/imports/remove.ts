import type { ObjectStore } from '@worktide/object-store';
import type { Pool, Queryable, Tell } from '@worktide/postgres';
import { type Codec, type ImportRecord, topics } from '@worktide/schemas';
import { deviceIdOf } from './items.ts';
import { fileKeyOf } from './keys.ts';
import type { ImportRow } from './store.ts';

/** Deletes the file of an import, and then the word that there is one. Rejects 503. */
export async function removeFile(
  { pool, store }: { pool: Pool; store: Pick<ObjectStore, 'delete'> },
  { organizationId, id }: Pick<ImportRow, 'organizationId' | 'id'>,
): Promise<void> {
  await store.delete(fileKeyOf(organizationId, id));
  await pool.query('UPDATE agent_protocols.imports SET file_key = NULL WHERE organization_id = $1 AND id = $2', [
    organizationId,
    id,
  ]);
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
  const { organizationId, id, plan, startedAt } = row;
  if (startedAt === null || plan === null) {
    await client.query('DELETE FROM agent_protocols.imports WHERE organization_id = $1 AND id = $2', [
      organizationId,
      id,
    ]);
    return false;
  }
  await client.query(
    `UPDATE agent_protocols.imports SET removed_at = clock_timestamp(), lease = NULL, due_at = NULL
     WHERE organization_id = $1 AND id = $2`,
    [organizationId, id],
  );
  const devices = plan.devices.map((device) => deviceIdOf(id, device));
  const { from, to } = plan;
  // Of WakaTime a span begins with the heartbeat before.
  const what: ImportRecord['what'] = { type: 'removed', actorId, requestId, devices, from: Math.max(0, from), to };
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
