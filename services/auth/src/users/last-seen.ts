import type { Pool } from '@worktide/postgres';
import { describeError, type Lifecycle, type Logger } from '@worktide/runtime';

/** When people, and their agents' keys, were last heard of (U4): to the minute, and never at the cost of a request. */
export interface LastSeen {
  /** Notes it in memory; at most once a minute for each user or key, it is written with others' a moment later. */
  note(who: { organizationId: string; userId: string; agentKeyId?: string }): void;
}

const exactMs = 60_000;
const gatherMs = 1_000;
/** Remembered at once; beyond it somebody's minute is forgotten and written again. */
const maxRemembered = 100_000;

export function createLastSeen(options: { pool: Pool; log: Logger; lifecycle: Lifecycle }): LastSeen {
  const { pool, log, lifecycle } = options;
  /** By `user` or `agent-key` and id. */
  const noted = new Map<string, number>();
  let users = new Map<string, string>();
  let keys = new Map<string, string>();
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  function isNew(kind: string, id: string, now: number): boolean {
    const name = `${kind} ${id}`;
    if (now - (noted.get(name) ?? Number.NEGATIVE_INFINITY) < exactMs) return false;
    if (noted.size >= maxRemembered) noted.clear();
    noted.set(name, now);
    return true;
  }

  async function write(): Promise<void> {
    timer = undefined;
    const [seenUsers, usedKeys] = [users, keys];
    users = new Map();
    keys = new Map();
    const now = Date.now();
    for (const [name, at] of noted) if (now - at >= exactMs) noted.delete(name);
    try {
      await update(pool, 'users', 'last_seen_at', seenUsers);
      await update(pool, 'agent_keys', 'last_used_at', usedKeys);
    } catch (error) {
      log.warn({ err: error }, `last seen not noted: ${describeError(error)}`);
    }
  }

  lifecycle.onClose('auth last seen', async () => {
    clearTimeout(timer);
    await writing;
    await write();
  });

  return {
    note({ organizationId, userId, agentKeyId }) {
      const now = Date.now();
      if (isNew('user', userId, now)) users.set(userId, organizationId);
      if (agentKeyId !== undefined && isNew('agent-key', agentKeyId, now)) keys.set(agentKeyId, organizationId);
      if (timer || users.size + keys.size === 0) return;
      timer = setTimeout(() => {
        writing = writing.then(write);
      }, gatherMs);
      timer.unref();
    },
  };
}

async function update(
  pool: Pool,
  table: 'users' | 'agent_keys',
  column: 'last_seen_at' | 'last_used_at',
  organizationsById: ReadonlyMap<string, string>,
): Promise<void> {
  if (organizationsById.size === 0) return;
  // Other replicas note the same people: whoever is locked is being noted, or changed, by somebody else.
  await pool.query(
    `UPDATE auth.${table} SET ${column} = now()
     WHERE (organization_id, id) IN (
       SELECT t.organization_id, t.id FROM auth.${table} t
       JOIN unnest($1::uuid[], $2::uuid[]) AS seen (organization_id, id) USING (organization_id, id)
       WHERE t.${column} IS NULL OR t.${column} < now() - interval '1 minute'
       FOR NO KEY UPDATE OF t SKIP LOCKED
     )`,
    [[...organizationsById.values()], [...organizationsById.keys()]],
  );
}
