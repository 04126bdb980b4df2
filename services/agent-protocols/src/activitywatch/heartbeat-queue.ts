import { AppError, backoffMs, sleep } from '@worktide/runtime';
import type { NumberedEvent } from './event.ts';
import { type Heartbeat, type TakeDependencies, takeHeartbeats } from './take.ts';

interface Waiting {
  heartbeat: Heartbeat;
  resolve: (event: NumberedEvent | undefined) => void;
  reject: (error: unknown) => void;
}

/** Heartbeats of one transaction. */
const mostAtOnce = 250;

/** Takes heartbeats; see `takeHeartbeats`. */
export type HeartbeatQueue = (heartbeat: Heartbeat) => Promise<NumberedEvent | undefined>;

/**
 * Puts what comes while a transaction is under way into the next one: a commit costs far more than a heartbeat. Each
 * organisation has a queue of its own, in the order in which they came.
 */
export function createHeartbeatQueue(deps: TakeDependencies): HeartbeatQueue {
  const queues = new Map<string, Waiting[]>();

  async function takeAll(organizationId: string, batch: readonly Waiting[]): Promise<void> {
    try {
      const events = await takeHeartbeats(
        deps,
        organizationId,
        batch.map(({ heartbeat }) => heartbeat),
      );
      for (const [i, { resolve }] of batch.entries()) resolve(events[i]);
    } catch (error) {
      const isAway = error instanceof AppError && error.statusCode === 503;
      // One of them is to blame, and the others are not.
      if (batch.length > 1 && !isAway) for (const one of batch) await takeAll(organizationId, [one]);
      else for (const { reject } of batch) reject(error);
    }
  }

  async function work(organizationId: string, queue: Waiting[]): Promise<void> {
    while (queue.length > 0) await takeAll(organizationId, queue.splice(0, mostAtOnce));
    queues.delete(organizationId);
  }

  return (heartbeat) =>
    new Promise((resolve, reject) => {
      const { organizationId } = heartbeat.caller;
      const queue = queues.get(organizationId);
      const one = { heartbeat, resolve, reject };
      if (queue) return void queue.push(one);
      const fresh = [one];
      queues.set(organizationId, fresh);
      // The rest of what has come in this turn of the loop goes along.
      setImmediate(() => void work(organizationId, fresh));
    });
}

/** How long a heartbeat is held while something is away: its sender never tries again. */
const holdMs = 25_000;

/**
 * Does something again for as long as what it needs is away, for 25 s; clients wait for 30 or more.
 * @throws what it throws at last; at once what is no 503, or a refusal for want of room.
 */
export async function held<T>(work: () => Promise<T>, forMs = holdMs): Promise<T> {
  const end = performance.now() + forMs;
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const isAway = error instanceof AppError && error.statusCode === 503 && error.code !== 'QUEUE_FULL';
      const waitMs = backoffMs(attempt, 50, 1_000);
      if (!isAway || performance.now() + waitMs > end) throw error;
      await sleep(waitMs);
    }
  }
}
