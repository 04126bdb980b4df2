import { AppError, describeError, type Logger, type Metrics } from '@worktide/runtime';
import type { z } from 'zod';
import type { KeyValue } from './types.ts';

/** Answers that an organisation asks for again and again. */
export interface TenantCache<T> {
  /**
   * What is remembered for this organisation under `key`, else what `load` gives. Key-value being away or slow means
   * `load`, never an error.
   */
  get(organizationId: string, key: string, load: () => Promise<T>): Promise<T>;
  /** Forgets all of one organisation, on every replica. Rejects 503 where that is not known to have happened. */
  invalidate(organizationId: string): Promise<void>;
}

/** What a lost invalidation leaves stale at most. */
const defaultTtlMs = 30_000;
/** A generation outlives every entry that was made under it, by far. */
const generationTtlMs = 24 * 3_600_000;
/** After a failure the store is not asked for so long: its timeouts would make every answer slow. */
const pauseMs = 1_000;

/**
 * Entries are named by a generation of their organisation, which an invalidation raises: whoever read the database
 * before it puts the answer where nobody looks any more. The organisation comes first in every key.
 * @param name of the cache, in keys and metrics.
 * @param schema of what is remembered: an entry of an older release that does not fit is none.
 */
export function createTenantCache<S extends z.ZodType>(options: {
  name: string;
  schema: S;
  keyValue: Pick<KeyValue, 'get' | 'set' | 'increment'>;
  ttlMs?: number;
  log: Logger;
  metrics: Metrics;
}): TenantCache<z.output<S>> {
  type T = z.output<S>;
  const { name, schema, keyValue, ttlMs = defaultTtlMs, log, metrics } = options;
  const lookups = metrics.counter('worktide_cache_lookups_total', 'Lookups in a cache of answers', [
    'cache',
    'outcome',
  ]);
  for (const outcome of ['hit', 'miss', 'away']) lookups.inc({ cache: name, outcome }, 0);
  /** By full key: of many who miss at once one asks the database. */
  const loading = new Map<string, Promise<T>>();
  let askAgainAt = 0;

  const generationKey = (organizationId: string): string => `${organizationId}:${name}:generation`;

  function failed(error: unknown): void {
    // One answer that is too large says nothing about the store.
    if (error instanceof AppError && error.code === 'KEY_VALUE_TOO_LARGE') return;
    if (performance.now() >= askAgainAt) log.warn({ err: error, cache: name }, `cache: ${describeError(error)}`);
    askAgainAt = performance.now() + pauseMs;
  }

  async function find(
    organizationId: string,
    key: string,
  ): Promise<{ fullKey: string; value: T | undefined } | undefined> {
    if (performance.now() < askAgainAt) return undefined;
    try {
      const generation = (await keyValue.get(generationKey(organizationId))) ?? '0';
      const fullKey = `${organizationId}:${name}:${generation}:${key}`;
      const text = await keyValue.get(fullKey);
      return { fullKey, value: text === undefined ? undefined : parse(text) };
    } catch (error) {
      failed(error);
      return undefined;
    }
  }

  function parse(text: string): T | undefined {
    try {
      return schema.safeParse(JSON.parse(text)).data;
    } catch {
      return undefined;
    }
  }

  return {
    async get(organizationId, key, load) {
      const found = await find(organizationId, key);
      lookups.inc({ cache: name, outcome: !found ? 'away' : found.value === undefined ? 'miss' : 'hit' });
      if (!found) return load();
      const { fullKey, value } = found;
      if (value !== undefined) return value;
      const other = loading.get(fullKey);
      if (other) return other;
      const mine = load();
      loading.set(fullKey, mine);
      try {
        const loaded = await mine;
        // Nobody waits for it: the next to miss would set it too.
        keyValue.set(fullKey, JSON.stringify(loaded), ttlMs).catch(failed);
        return loaded;
      } finally {
        loading.delete(fullKey);
      }
    },
    async invalidate(organizationId) {
      await keyValue.increment(generationKey(organizationId), 1, generationTtlMs);
    },
  };
}
