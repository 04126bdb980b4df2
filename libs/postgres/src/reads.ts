import {
  type Caller,
  describeError,
  type Lifecycle,
  type Logger,
  type Metrics,
  type ReadinessCheck,
} from '@worktide/runtime';
import { checkPostgres, createPool, mannersOf, type Pool } from './pool.ts';
import { watchReplica } from './replica.ts';

/** Short-lived values that replicas of a service share. */
interface Marks {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string, ttlMs: number): Promise<void>;
}

type Who = Pick<Caller, 'organizationId' | 'userId'>;

/** Where lists are read. */
export interface Reads {
  /**
   * The pool for a list of this caller: a replica's, which may lag by five seconds, unless they changed something a moment ago.
   * What a change, a right or a cache depends on is not read from it. Never rejects.
   */
  for(caller: Who): Promise<Pool>;
  /**
   * Somebody changed something, or without a user, what all of the organisation must see: for ten seconds they read from the
   * primary, in whichever process. To be awaited before the answer; never rejects.
   */
  wrote(who: { organizationId: string; userId?: string | undefined }): Promise<void>;
  /** For readiness, by the side: lists are answered without the replica. */
  checks: Record<string, ReadinessCheck>;
}

/** How far behind a replica may be for a list, and for how long those who changed something do not ask it: longer than that. */
const defaultMaxLagMs = 5_000;
const ownMs = 10_000;

/** Lists where they are written: there is no replica. */
export const readsOf = (pool: Pool): Reads => ({ for: async () => pool, wrote: async () => {}, checks: {} });

/**
 * Reads from a replica, for what may lag: lists. Without a URL they are read where they are written.
 * @param service begins the pool's name and the keys of its marks, so that what is changed in one service says nothing of others.
 * @param pool of the primary, which answers where the replica is away or behind.
 * @param maxLagMs in milliseconds; 5 s unless said, at most the 10 s less a second that a change is remembered.
 */
export function openReads(options: {
  service: string;
  url: string | undefined;
  pool: Pool;
  max?: number;
  keyValue: Marks;
  maxLagMs?: number;
  lifecycle: Lifecycle;
  log: Logger;
  metrics: Metrics;
}): Reads {
  const { service, url, pool, max, keyValue, maxLagMs = defaultMaxLagMs, lifecycle, log, metrics } = options;
  if (url === undefined) return readsOf(pool);
  if (maxLagMs > ownMs - 1_000) throw new RangeError('a replica may not lag for longer than a change is remembered');

  const name = `${service}-read`;
  const readPool = createPool(url, { applicationName: name, ...(max === undefined ? {} : { max }), log, metrics });
  lifecycle.onClose(`${service} postgres replica`, () => readPool.end());
  const replica = watchReplica({ name, primary: pool, pool: readPool, maxLagMs, lifecycle, log, metrics });
  mannersOf(readPool).replica = replica;

  const keyOf = (organizationId: string, userId?: string): string =>
    `${organizationId}:${service}-wrote${userId === undefined ? '' : `:${userId}`}`;
  let distrustUntil = 0;

  /** Whoever cannot be told of as having changed something may have, here or elsewhere. */
  function failed(error: unknown): void {
    const now = performance.now();
    if (now >= distrustUntil)
      log.warn({ err: error, pool: name }, `lists are read from the primary: ${describeError(error)}`);
    distrustUntil = now + ownMs;
  }

  async function wroteLately({ organizationId, userId }: Who): Promise<boolean> {
    if (performance.now() < distrustUntil) return true;
    try {
      const found = await Promise.all([
        keyValue.get(keyOf(organizationId)),
        keyValue.get(keyOf(organizationId, userId)),
      ]);
      return found.some((mark) => mark !== undefined);
    } catch (error) {
      failed(error);
      return true;
    }
  }

  return {
    async for(caller) {
      if (replica.needed() === undefined) return readPool;
      if (!(await wroteLately(caller))) return readPool;
      replica.count('own');
      return pool;
    },
    async wrote({ organizationId, userId }) {
      await keyValue.set(keyOf(organizationId, userId), '1', ownMs).catch(failed);
    },
    checks: { 'postgres replica': checkPostgres(readPool) },
  };
}
