import type { Logger } from '@worktide/runtime';
import { Redis } from 'ioredis';
import { connect } from './connection.ts';

/** Connections for who speaks to Redis by themselves, as an adapter of Socket.IO does. */
export interface StreamConnections {
  /**
   * Fails at once while Redis is away. What it is asked for by `duplicate` waits instead: a reader that asks again after
   * each failure would spin.
   */
  redis: Redis;
  /** Ends all of them. */
  end(): void;
}

/** @param url of `redis://` or `rediss://`. */
export function connectStreams(url: string, { name, log }: { name: string; log: Logger }): StreamConnections {
  const { redis, end } = connect(url, { name, log, timeoutMs: 2_000, watchSilence: false, onState() {} });
  const readers: Redis[] = [];
  redis.duplicate = () => {
    const { commandTimeout, ...options } = redis.options;
    // What a connection was made of is more than the constructor's type takes.
    const reader = new Redis({
      ...options,
      enableOfflineQueue: true,
      autoResendUnfulfilledCommands: true,
      autoResubscribe: true,
      maxRetriesPerRequest: null,
      connectionName: `worktide-${name}-reader`,
    } as object);
    reader.on('error', () => {});
    readers.push(reader);
    return reader;
  };
  return {
    redis,
    end() {
      end();
      for (const reader of readers) reader.disconnect();
    },
  };
}
