import { AppError, describeError, type Lifecycle, type Logger, type Metrics, unavailable } from '@worktide/runtime';
import type { Pool, PoolClient } from './pool.ts';

export interface Replica {
  /** Where its work is done while it is away or too far behind. */
  primary: Pool;
  /** What it must have replayed to be asked (a position in the write-ahead log); undefined while it is not to be asked. */
  needed(): string | undefined;
  /** Rejects when the replica is found to be away: what waits for it then need not wait any longer. */
  lost(): Promise<never>;
  /** Why not, while it is not. */
  why(): 'behind' | 'away';
  count(outcome: 'replica' | 'own' | 'behind' | 'away'): void;
}

export interface ReplicaOptions {
  /** In metrics and log lines. */
  name: string;
  primary: Pool;
  pool: Pool;
  /** How far behind a replica may be to be asked, in ms. */
  maxLagMs: number;
  lifecycle: Lifecycle;
  log: Logger;
  metrics: Metrics;
}

const everyMs = 1_000;
const askMs = 2_000;

/** What the primary had written of its log, and before when all of that was committed (`performance.now()`). */
interface Mark {
  at: number;
  position: string;
}

/** A replica's own; after a failover the URL may lead to what is no replica any more, or to the primary itself. */
const hasReplayed =
  'SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END >= $1::pg_lsn AS fresh';

/** Whether the server behind a connection, of several perhaps, has all of the log up to there. */
export async function isFresh(client: Pick<PoolClient, 'query'>, position: string): Promise<boolean> {
  const { rows } = await client.query<{ fresh: boolean | null }>(hasReplayed, [position]);
  return rows[0]?.fresh === true;
}

/**
 * Watches a replica: once a second the primary is asked how far its log is, and the replica whether it is as far as the
 * primary was `maxLagMs` ago. No clocks are compared, and neither a paused nor a cut-off replica looks fresh by having nothing
 * to do. While the primary is away nothing is newer than what it said last: the replica goes on answering.
 */
export function watchReplica(options: ReplicaOptions): Replica {
  const { name, primary, pool, maxLagMs, lifecycle, log, metrics } = options;
  const marks: Mark[] = [];
  let state: 'unknown' | 'fresh' | 'behind' | 'away' = 'unknown';
  let lost = Promise.withResolvers<never>();
  lost.promise.catch(() => {});
  let freshAt = performance.now();
  const by = ['pool', 'outcome'] as const;
  const reads = metrics.counter('worktide_replica_reads_total', 'Lists read, by where and why there', by);
  for (const outcome of ['replica', 'own', 'behind', 'away']) reads.inc({ pool: name, outcome }, 0);
  const lag = metrics.gauge('worktide_replica_lag_seconds', 'How far behind the replica for lists is', ['pool']);
  lag.set({ pool: name }, 0);

  const needed = (): string | undefined => {
    const oldest = performance.now() - maxLagMs;
    return (marks.find(({ at }) => at >= oldest) ?? marks.at(-1))?.position;
  };

  async function ask(): Promise<void> {
    const at = performance.now();
    try {
      const { rows } = await inTime(
        primary.query<{ position: string }>('SELECT pg_current_wal_lsn()::text AS position'),
      );
      marks.push({ at, position: rows[0]!.position });
    } catch (error) {
      // Its own readiness says so.
      log.debug({ err: error, pool: name }, 'the primary says nothing of its log');
    }
    // One that is older stays: what is between it and the next is the oldest that may be asked for.
    while (marks.length > 1 && marks[1]!.at < at - 2 * maxLagMs) marks.shift();
  }

  async function look(): Promise<void> {
    await ask();
    const position = needed();
    if (position === undefined) return;
    try {
      // From the newest on: the first that it has says how far behind it is.
      const { rows } = await inTime(
        pool.query<{ positions: (string | null)[] }>(
          `SELECT array_agg(p::text) AS positions FROM unnest($1::pg_lsn[]) p WHERE p <=
             CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END`,
          [marks.map((mark) => mark.position)],
        ),
      );
      const replayed = new Set(rows[0]?.positions);
      freshAt = marks.findLast((mark) => replayed.has(mark.position))?.at ?? freshAt;
      turn(replayed.has(position) ? 'fresh' : 'behind');
    } catch (error) {
      turn('away', error);
    }
    const newest = marks.at(-1)!;
    lag.set({ pool: name }, state === 'fresh' && freshAt >= newest.at ? 0 : (performance.now() - freshAt) / 1_000);
  }

  function turn(next: typeof state, error?: unknown): void {
    if (next === state) return;
    const before = state;
    state = next;
    if (next === 'away') {
      log.warn(
        { err: error, pool: name },
        `the replica for lists is away, the primary answers: ${describeError(error)}`,
      );
      lost.reject(unavailable('postgres', error));
      lost = Promise.withResolvers<never>();
      lost.promise.catch(() => {});
    } else if (next === 'behind')
      log.warn({ pool: name }, 'the replica for lists is too far behind, the primary answers');
    else if (before !== 'unknown') log.info({ pool: name }, 'the replica for lists answers again');
  }

  lifecycle.every(`replica of ${name}`, { everyMs, graceMs: 0 }, look);

  return {
    primary,
    needed: () => (state === 'fresh' ? needed() : undefined),
    lost: () => lost.promise,
    why: () => (state === 'behind' ? 'behind' : 'away'),
    count: (outcome) => reads.inc({ pool: name, outcome }),
  };
}

async function inTime<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(unavailable('postgres', new Error(`no answer within ${askMs} ms`))), askMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

class Behind extends Error {}

/**
 * Does work at the replica where it is there and fresh, else at the primary. What the replica does not know is asked of the
 * primary too: it may be new.
 * @param run does it in a transaction of that pool; may be called twice.
 */
export async function readAt<T>(
  pool: Pool,
  replica: Replica,
  run: (pool: Pool, first: (client: PoolClient) => Promise<void>) => Promise<T>,
): Promise<T> {
  const position = replica.needed();
  const atPrimary = (): Promise<T> => run(replica.primary, async () => {});
  if (position === undefined) {
    replica.count(replica.why());
    return atPrimary();
  }
  const work = run(pool, async (client) => {
    if (!(await isFresh(client, position))) throw new Behind();
  });
  work.catch(() => {});
  try {
    const result = await Promise.race([work, replica.lost()]);
    replica.count('replica');
    return result;
  } catch (error) {
    if (error instanceof Behind) replica.count('behind');
    else if (error instanceof AppError && (error.code === 'DEPENDENCY_UNAVAILABLE' || error.statusCode === 404)) {
      replica.count(error.statusCode === 404 ? 'behind' : 'away');
    } else throw error;
    return atPrimary();
  }
}
