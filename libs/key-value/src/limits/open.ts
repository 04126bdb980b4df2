import { AppError } from '@worktide/runtime';
import { type BucketOptions, bucketLimit } from './bucket.ts';
import { connectShared } from './shared.ts';
import type { BucketLimit, Limits, LimitsOptions, WindowLimit } from './types.ts';
import { type WindowOptions, windowLimit } from './window.ts';

/** @param url as of `openKeyValue`. Limits of one `memory:<name>` in one process are counted together. */
export function openLimits(url: string, options: LimitsOptions): Limits {
  if (url === 'memory:') return memoryLimits();
  if (url.startsWith('memory:')) return namedLimits(url.slice('memory:'.length));
  if (/^rediss?:\/\//.test(url)) return redisLimits(url, options);
  throw new AppError('BAD_CONFIGURATION', 'A key-value store is `memory:`, `memory:<name>` or a redis(s) URL.');
}

function redisLimits(url: string, options: LimitsOptions): Limits {
  const shared = connectShared(url, options);
  return {
    window: (window) => windowLimit(window, shared),
    bucket: (bucket) => bucketLimit(bucket, shared),
    close: async () => shared.end(),
  };
}

/** By their options: one name is one limit, whoever opens it. */
interface Space {
  windows: Map<string, WindowLimit>;
  buckets: Map<string, BucketLimit>;
  users: number;
}
const newSpace = (): Space => ({ windows: new Map(), buckets: new Map(), users: 0 });

/** What a name means is the process's, as it is Redis's elsewhere. */
const spaces = new Map<string, Space>();

function namedLimits(name: string): Limits {
  const space = spaces.get(name) ?? newSpace();
  spaces.set(name, space);
  space.users++;
  let closed = false;
  return {
    ...memoryLimits(space),
    async close() {
      if (closed) return;
      closed = true;
      space.users--;
      if (space.users === 0) spaces.delete(name);
    },
  };
}

function memoryLimits({ windows, buckets }: Space = newSpace()): Limits {
  const once = <O, L>(known: Map<string, L>, make: (options: O) => L, options: O): L => {
    const key = JSON.stringify(options);
    const limit = known.get(key) ?? make(options);
    known.set(key, limit);
    return limit;
  };
  return {
    window: ({ name, points, seconds }) =>
      once<WindowOptions, WindowLimit>(windows, windowLimit, { name, points, seconds }),
    bucket: ({ name, code, message }) =>
      once<BucketOptions, BucketLimit>(buckets, bucketLimit, {
        name,
        ...(code === undefined ? {} : { code }),
        ...(message === undefined ? {} : { message }),
      }),
    close: async () => {},
  };
}
