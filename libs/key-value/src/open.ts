import { AppError } from '@worktide/runtime';
import { memoryKeyValue } from './memory.ts';
import { redisKeyValue } from './redis.ts';
import type { KeyValue, KeyValueOptions } from './types.ts';

/**
 * @param url `redis://[user:password@]host:port[/database]`, `rediss://…` with TLS, or `memory:`, a store of this
 * instance alone.
 */
export function openKeyValue(url: string, options: KeyValueOptions): KeyValue {
  if (url === 'memory:') return memoryKeyValue(options);
  if (/^rediss?:\/\//.test(url)) return redisKeyValue(url, options);
  throw new AppError('BAD_CONFIGURATION', 'A key-value store is `memory:` or a redis(s) URL.');
}
