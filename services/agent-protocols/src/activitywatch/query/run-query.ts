import { Worker } from 'node:worker_threads';
import { AppError, invalid } from '@worktide/runtime';
import type { QueryEvent } from './functions.ts';
import type { Asked, QueryTask, Said, Told } from './worker.ts';

export interface QuerySource {
  /** Events of a bucket that touch a period of the task, no more than `most` and one; undefined where there is no such bucket. */
  events(bucket: string, period: number, most: number): Promise<QueryEvent[] | undefined>;
  count(bucket: string, period: number): Promise<number | undefined>;
}

/** Of all buckets and periods of one query together. */
export const maxEventsOfQuery = 200_000;
const maxMemoryMb = 384;

/**
 * Carries out a query in a thread of its own: what people write runs loops and regular expressions over what they have, and nobody
 * else is to wait for it. Ended after `maxMs`, or with more than its memory.
 * @returns the answer as JSON.
 * @throws AppError 400 `INVALID_QUERY`, `QUERY_TOO_LARGE`; what the source throws; what aborts it.
 */
export async function runQuery(
  task: QueryTask,
  source: QuerySource,
  { maxMs, signal }: { maxMs: number; signal?: AbortSignal },
): Promise<string> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    workerData: task,
    env: {},
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: maxMemoryMb, maxYoungGenerationSizeMb: 32 },
  });
  let left = maxEventsOfQuery;

  async function tell({ kind, bucket, period }: Asked): Promise<Told> {
    if (kind === 'count') {
      const count = await source.count(bucket, period);
      return count === undefined ? noBucket(bucket) : { count };
    }
    const events = await source.events(bucket, period, left);
    if (!events) return noBucket(bucket);
    left -= events.length;
    return left < 0
      ? { refused: `A query reads ${maxEventsOfQuery} events at most; ask for a shorter time.` }
      : { events };
  }

  try {
    return await new Promise<string>((resolve, reject) => {
      const end = (): void => reject(tooLarge('The query took too long.'));
      const timer = setTimeout(end, maxMs);
      const onAbort = (): void => reject(signal!.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      worker.on('message', (said: Said) => {
        if ('ask' in said) tell(said.ask).then((told) => worker.postMessage(told), reject);
        else if ('refused' in said)
          reject(invalid('INVALID_QUERY', `The query cannot be carried out: ${said.refused}`));
        else resolve(said.json);
      });
      worker.on('error', (error: Error & { code?: string }) => {
        reject(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? tooLarge('The query needs too much memory.') : error);
      });
      worker.on('exit', () => {
        done();
        reject(new AppError('INTERNAL', 'The query ended without an answer.'));
      });
    });
  } finally {
    await worker.terminate();
  }
}

const noBucket = (bucket: string): Told => ({ refused: `There is no bucket ${bucket.slice(0, 256)}.` });
const tooLarge = (message: string): AppError => invalid('QUERY_TOO_LARGE', `${message} Ask for a shorter time.`);
