import { isIP } from 'node:net';
import { AppError, describeError, type Logger, unavailable } from '@worktide/runtime';
import { Redis } from 'ioredis';

export interface Connection {
  redis: Redis;
  /**
   * Resolves when the first attempt to connect has come to an end, whichever: calls made right after the start wait for
   * it instead of failing. Later there is no waiting.
   */
  firstAttempt: Promise<void>;
  end(): void;
}

/**
 * ioredis turns TLS on for `rediss://`, but does not tell the server which name it was called by, which those that serve
 * many under one address need.
 */
function tlsOf(url: string): { tls?: { servername?: string; rejectUnauthorized: boolean } } {
  // Its own complaint would carry the URL, password and all, into the log.
  if (!URL.canParse(url)) throw badUrl();
  const { protocol, hostname, search } = new URL(url);
  // ioredis would take any of its options from there.
  if (hostname === '' || search !== '') throw badUrl();
  if (protocol !== 'rediss:') return {};
  const name = hostname.replace(/^\[|\]$/g, '');
  return { tls: { ...(isIP(name) ? {} : { servername: name }), rejectUnauthorized: true } };
}

const badUrl = (): AppError =>
  new AppError('BAD_CONFIGURATION', 'A Redis URL is redis[s]://[user:password@]host:port[/database].');

/**
 * A connection that comes back by itself, and whose commands fail at once while it is away: nothing queues up.
 * @param onState true when it is there, false when it is lost; each change once.
 */
export function connect(
  url: string,
  options: {
    name: string;
    /** Absent where `onState` tells what there is to tell. */
    log?: Logger;
    timeoutMs: number;
    watchSilence: boolean;
    onState(there: boolean, error: unknown): void;
  },
): Connection {
  const { log, timeoutMs, name } = options;
  const redis = new Redis(url, {
    ...tlsOf(url),
    connectionName: `worktide-${name}`,
    enableOfflineQueue: false,
    // A command that failed has been reported as failed; sent again it would count twice.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
    connectTimeout: 2_000,
    // Waited for also where the connection is gone already; by default that is two seconds of every shutdown.
    disconnectTimeout: 100,
    commandTimeout: timeoutMs,
    // A server that takes commands and answers none is dropped, after which calls fail without waiting.
    ...(options.watchSilence ? { socketTimeout: 2 * timeoutMs } : {}),
    retryStrategy: (times) => Math.min(2_000, 50 * 2 ** Math.min(times, 10)),
  });
  let there: boolean | undefined;
  let lastError: unknown;
  let settle: () => void = () => {};
  const firstAttempt = new Promise<void>((resolve) => {
    settle = resolve;
  });
  const change = (now: boolean): void => {
    settle();
    if (there === now) return;
    // The first arrival is no news.
    if (!now) log?.warn({ err: lastError, connection: name }, `key-value is away: ${describeError(lastError)}`);
    else if (there === false) log?.info({ connection: name }, 'key-value is back');
    there = now;
    options.onState(now, lastError);
  };
  // Without a listener an error would end the process.
  redis.on('error', (error: unknown) => {
    lastError = error;
  });
  redis.on('ready', () => change(true));
  redis.on('close', () => change(false));
  return {
    redis,
    firstAttempt,
    end() {
      redis.removeAllListeners('close');
      settle();
      redis.disconnect();
    },
  };
}

/**
 * Calls of a connection as all in key-value are: those right after the start wait for its first attempt, and what fails is 503.
 * @param options.isClosed by who opened it; nothing is asked then.
 * @param options.onFailure told of each that failed by the store.
 */
export function callsOf(
  { firstAttempt }: Pick<Connection, 'firstAttempt'>,
  { isClosed, onFailure = () => {} }: { isClosed: () => boolean; onFailure?: () => void },
): <T>(command: () => Promise<T>) => Promise<T> {
  return async (command) => {
    if (isClosed()) throw unavailable('key-value', new Error('it is closed'));
    await firstAttempt;
    try {
      return await command();
    } catch (error) {
      if (error instanceof AppError) throw error;
      onFailure();
      throw unavailable('key-value', error);
    }
  };
}
