import { AppError } from '@worktide/runtime';
import { memoryKeyValue, namedMemoryKeyValue } from './memory.ts';
import { redisKeyValue } from './redis.ts';
import type { KeyValue, KeyValueOptions } from './types.ts';

/**
 * @param url `redis://[user:password@]host:port[/database]`, `rediss://…` with TLS, `memory:`, a store of this
 * instance alone, or `memory:<name>`, which those who open it by one name in one process share until the last closes.
 */
export function openKeyValue(url: string, options: KeyValueOptions): KeyValue {
  if (url === 'memory:') return memoryKeyValue(options);
  if (url.startsWith('memory:')) return namedMemoryKeyValue(url.slice('memory:'.length), options);
  if (/^rediss?:\/\//.test(url)) return redisKeyValue(url, options);
  throw new AppError('BAD_CONFIGURATION', 'A key-value store is `memory:`, `memory:<name>` or a redis(s) URL.');
}
