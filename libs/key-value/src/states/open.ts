import { randomUUID } from 'node:crypto';
import { AppError } from '@worktide/runtime';
import type { KeyValueOptions } from '../types.ts';
import { memoryStates } from './memory.ts';
import { redisStates } from './redis.ts';
import type { States } from './types.ts';

/**
 * States of one kind in the key-value store of this URL.
 * @param url as of `openKeyValue`.
 * @param options.name of the kind: what others have under another does not meet these.
 */
export function openStates(
  url: string,
  { name, ...options }: Pick<KeyValueOptions, 'log' | 'timeoutMs'> & { name: string },
): States {
  if (url === 'memory:') return memoryStates(randomUUID());
  if (url.startsWith('memory:')) return memoryStates(`${url} ${name}`);
  if (/^rediss?:\/\//.test(url)) return redisStates(url, name, options);
  throw new AppError('BAD_CONFIGURATION', 'A key-value store is `memory:`, `memory:<name>` or a redis(s) URL.');
}
