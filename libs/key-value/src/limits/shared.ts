import { describeError } from '@worktide/runtime';
import type { Redis } from 'ioredis';
import { connect } from '../connection.ts';
import type { LimitsOptions } from './types.ts';

/** Redis for counting: used while it answers quickly, otherwise left alone until it does again. */
export interface Shared {
  redis: Redis;
  /** False while limits are counted locally. */
  there(): boolean;
  /** `ask` where Redis answers in time, else `local`. A refusal is an answer, not a failure: `ask` must not throw it. */
  call<T>(ask: () => Promise<T>, local: () => T | Promise<T>): Promise<T>;
  end(): void;
}

/** How often Redis is asked, by nobody's request, whether it is there again. */
const probeMs = 1_000;

export function connectShared(url: string, options: LimitsOptions): Shared {
  const { log, metrics, patienceMs = 150 } = options;
  const gauge = metrics.gauge(
    'worktide_limits_local',
    '1 while limits that replicas share are counted by this process alone.',
  );
  gauge.set(0);
  let away = false;
  let ended = false;
  let timer: NodeJS.Timeout | undefined;

  const { redis, firstAttempt, end } = connect(url, {
    name: 'limits',
    timeoutMs: patienceMs,
    watchSilence: true,
    onState: (there, error) => {
      if (!there) leave(error);
    },
  });

  function leave(error: unknown): void {
    if (away || ended) return;
    away = true;
    gauge.set(1);
    log.warn({ err: error }, `limits are local for now: ${describeError(error)}`);
    probeLater();
  }

  // Not by the next request: with a server that hangs each of them would wait.
  function probeLater(): void {
    timer = setTimeout(async () => {
      try {
        await redis.ping();
      } catch {
        if (!ended) probeLater();
        return;
      }
      away = false;
      gauge.set(0);
      log.info('limits are shared again');
    }, probeMs);
    timer.unref();
  }

  // Requests right after the start wait for the connection, but not for longer than for an answer.
  let starting: Promise<void> | undefined = Promise.race([firstAttempt, wait(patienceMs)]).then(() => {
    starting = undefined;
  });

  // Not ready and not away: still connecting for the first time.
  const usable = (): boolean => !away && !ended && redis.status === 'ready';

  return {
    redis,
    there: () => starting !== undefined || usable(),
    async call(ask, local) {
      if (starting) await starting;
      if (!usable()) return local();
      try {
        return await ask();
      } catch (error) {
        leave(error);
        return local();
      }
    },
    end() {
      ended = true;
      clearTimeout(timer);
      end();
    },
  };
}

const wait = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
