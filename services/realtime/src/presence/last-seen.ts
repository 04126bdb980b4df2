import { askInternal } from '@worktide/identity';
import { type Pool, transaction } from '@worktide/postgres';
import { describeError, type Lifecycle, type Logger } from '@worktide/runtime';
import { maxPeopleSeen, peopleSeenAnswer } from '@worktide/schemas';

/** When people were last seen, to the minute, for when key-value has forgotten and for `GET /users`. */
export interface LastSeen {
  note(who: { organizationId: string; userId: string; seenAt: number }): void;
}

const everyMs = 5_000;
const exactMs = 60_000;
/** Remembered; beyond it what was noted longest ago is forgotten, and told when its person is seen again. */
const maxRemembered = 100_000;

interface Noted {
  organizationId: string;
  userId: string;
  seenAt: number;
  /** What the table has. */
  writtenAt: number;
}

export function createLastSeen(options: {
  pool: Pool;
  authUrl: string;
  internalToken: string;
  lifecycle: Lifecycle;
  log: Logger;
  now?: () => number;
}): LastSeen & { flush(): Promise<void> } {
  const { pool, authUrl, internalToken, lifecycle, log, now = Date.now } = options;
  const noted = new Map<string, Noted>();
  const auth = { service: 'auth', url: authUrl, internalToken };

  async function flush(): Promise<void> {
    const at = now();
    const due = [...noted.values()]
      // Once a minute, and a last time when nothing more comes.
      .filter(
        ({ seenAt, writtenAt }) => seenAt - writtenAt >= exactMs || (seenAt > writtenAt && at - seenAt >= exactMs),
      )
      .slice(0, maxPeopleSeen)
      .sort((a, b) => (a.userId < b.userId ? -1 : 1));
    if (due.length === 0) return;
    const seen = due.map(({ organizationId, userId, seenAt }) => ({ organizationId, userId, at: seenAt }));
    await transaction(pool, (client) =>
      client.query(
        `INSERT INTO realtime.people (organization_id, user_id, version, last_seen_at)
         SELECT o, u, 0, to_timestamp(at / 1000.0) FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS s (o, u, at)
         WHERE NOT EXISTS (SELECT FROM realtime.deleted_organizations d WHERE d.organization_id = o)
         ON CONFLICT (organization_id, user_id) DO UPDATE SET last_seen_at = EXCLUDED.last_seen_at
         WHERE people.last_seen_at IS NULL OR people.last_seen_at < EXCLUDED.last_seen_at`,
        [due.map((one) => one.organizationId), due.map((one) => one.userId), due.map((one) => one.seenAt)],
      ),
    );
    await askInternal(auth, peopleSeenAnswer, '/internal/users/seen', { people: seen });
    for (const [i, one] of due.entries()) {
      one.writtenAt = Math.max(one.writtenAt, seen[i]!.at);
      if (one.writtenAt >= one.seenAt && at - one.seenAt >= exactMs)
        noted.delete(`${one.organizationId}/${one.userId}`);
    }
  }
  lifecycle.every('last seen', { everyMs, retryMs: everyMs, first: 'later' }, flush);
  lifecycle.onClose('last seen', () =>
    flush().catch((error: unknown) => log.warn({ err: error }, `last seen is not written: ${describeError(error)}`)),
  );

  return {
    note({ organizationId, userId, seenAt }) {
      const key = `${organizationId}/${userId}`;
      const known = noted.get(key);
      if (known) {
        known.seenAt = Math.max(known.seenAt, Math.min(seenAt, now()));
        return;
      }
      noted.set(key, { organizationId, userId, seenAt: Math.min(seenAt, now()), writtenAt: 0 });
      if (noted.size > maxRemembered) noted.delete(noted.keys().next().value!);
    },
    flush,
  };
}
