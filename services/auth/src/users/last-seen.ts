import type { Pool } from '@worktide/postgres';
import { describeError, type Lifecycle, type Logger } from '@worktide/runtime';

/** When people, and their agents' keys, were last heard of: to the minute, and never at the cost of a request. */
export interface LastSeen {
  /** Notes it in memory; at most once a minute for each user or key, it is written with others' a moment later. */
  note(who: { organizationId: string; userId: string; agentKeyId?: string; from?: string | undefined }): void;
}

/** By id of the user or key. */
type Seen = Map<string, { organizationId: string; from: string | undefined }>;

const exactMs = 60_000;
const gatherMs = 1_000;
/** Remembered at once; beyond it somebody's minute is forgotten and written again. */
const maxRemembered = 100_000;

export function createLastSeen(options: { pool: Pool; log: Logger; lifecycle: Lifecycle }): LastSeen {
  const { pool, log, lifecycle } = options;
  /** By `user` or `agent-key` and id. */
  const noted = new Map<string, number>();
  let users: Seen = new Map();
  let keys: Seen = new Map();
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
      const from = ', last_used_from = coalesce(noted.address, agent_keys.last_used_from)';
      await update(pool, 'agent_keys', 'last_used_at', usedKeys, from);
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
    note({ organizationId, userId, agentKeyId, from }) {
      const now = Date.now();
      if (isNew('user', userId, now)) users.set(userId, { organizationId, from });
      if (agentKeyId !== undefined && isNew('agent-key', agentKeyId, now)) {
        keys.set(agentKeyId, { organizationId, from });
      }
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
  seen: Seen,
  alsoSet = '',
): Promise<void> {
  if (seen.size === 0) return;
  // Other replicas note the same people: whoever is locked is being noted, or changed, by somebody else.
  await pool.query(
    `WITH noted AS (
       SELECT t.organization_id, t.id, seen.address FROM auth.${table} t
       JOIN unnest($1::uuid[], $2::uuid[], $3::text[]) AS seen (organization_id, id, address) USING (organization_id, id)
       WHERE t.${column} IS NULL OR t.${column} < now() - interval '1 minute'
       FOR NO KEY UPDATE OF t SKIP LOCKED
     )
     UPDATE auth.${table} SET ${column} = now()${alsoSet}
     FROM noted WHERE ${table}.organization_id = noted.organization_id AND ${table}.id = noted.id`,
    [
      Array.from(seen.values(), ({ organizationId }) => organizationId),
      [...seen.keys()],
      Array.from(seen.values(), ({ from }) => from ?? null),
    ],
  );
}

/** What somebody else has seen of people; an older one changes nothing. @returns of how many it was news. Rejects 503. */
export async function notePeopleSeen(
  pool: Pool,
  people: readonly { organizationId: string; userId: string; at: number }[],
): Promise<number> {
  const { rowCount } = await pool.query(
    `WITH noted AS (
       SELECT u.organization_id, u.id, max(least(to_timestamp(seen.at / 1000.0), now())) OVER (PARTITION BY u.id) AS at
       FROM auth.users u
       JOIN unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS seen (organization_id, id, at) USING (organization_id, id)
     )
     UPDATE auth.users SET last_seen_at = noted.at FROM noted
     WHERE users.organization_id = noted.organization_id AND users.id = noted.id
       AND (users.last_seen_at IS NULL OR users.last_seen_at < noted.at)`,
    [people.map((one) => one.organizationId), people.map((one) => one.userId), people.map((one) => one.at)],
  );
  return rowCount ?? 0;
}
