import { Worker } from 'node:worker_threads';
import { AppError, invalid, requestAborted } from '@worktide/runtime';
import type { Asked, QueryTask, Said, StoredQueryEvent, Told } from './worker.ts';

/** What may still be read for a query. */
export interface ReadBounds {
  events: number;
  bytes: number;
  /** The query has ended: nobody wants the rest. */
  isOver: () => boolean;
}

export interface QuerySource {
  /** Events of a bucket that touch a period of the task, hardly more than may be; undefined where there is no such bucket. */
  events(bucket: string, period: number, bounds: ReadBounds): Promise<StoredQueryEvent[] | undefined>;
  count(bucket: string, period: number): Promise<number | undefined>;
}

/** Of all buckets and periods of one query together. */
export const maxEventsOfQuery = 200_000;
/** Of their data; it is held twice for a moment. */
const maxBytesOfQuery = 48 * 1024 * 1024;
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
  const bytes = maxBytesOfQuery;
  let over = false;

  async function tell({ kind, bucket, period }: Asked): Promise<Told> {
    if (kind === 'count') {
      const count = await source.count(bucket, period);
      return count === undefined ? noBucket(bucket) : { count };
    }
    const events = await source.events(bucket, period, { events: left, bytes, isOver: () => over });
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
      const onAbort = (): void => reject(requestAborted(signal!.reason));
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
    over = true;
    await worker.terminate();
  }
}

const noBucket = (bucket: string): Told => ({ refused: `There is no bucket ${bucket.slice(0, 256)}.` });
const tooLarge = (message: string): AppError => invalid('QUERY_TOO_LARGE', `${message} Ask for a shorter time.`);
