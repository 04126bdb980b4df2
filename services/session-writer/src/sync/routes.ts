import type { Pool } from '@worktide/postgres';
import {
  type AnyRoute,
  AppError,
  type Budget,
  type Caller,
  type Holding,
  notFound,
  ownedUuidTime,
  type RequestLimit,
  route,
  userSubject,
} from '@worktide/runtime';
import { id, syncBatchQuery, syncOutcome, takenSyncBatch } from '@worktide/schemas';
import { z } from 'zod';
import type { Arrivals } from './arrivals.ts';
import { outcomeOf, readParts, type StoredPart } from './outcomes.ts';

/** What another replica committed is seen so soon. */
const pollMs = 1_000;
/** Of the thirty seconds that an answer has. */
const maxWaitMs = 25_000;
/** A batch is on the log when its id is given out. One of which nothing was read for so long is not on its way any more. */
const onItsWayMs = 24 * 3_600_000;

export interface SyncRoutesOptions {
  /** The one that is written to: a replica lags behind what was waited for. */
  pool: Pool;
  arrivals: Arrivals;
  /** Of one user. */
  limit: RequestLimit;
  /** Requests that wait. */
  waits: Budget;
  now?: () => number;
}

export function syncRoutes({ pool, arrivals, limit, waits, now = Date.now }: SyncRoutesOptions): AnyRoute[] {
  /** Waits until the batch is whole, or so long. */
  async function wait(caller: Caller, batchId: string, ms: number, signal: AbortSignal): Promise<StoredPart[]> {
    const until = performance.now() + ms;
    let place: Holding | undefined;
    try {
      for (;;) {
        const left = until - performance.now();
        const stop = new AbortController();
        // Before it is looked: what is committed meanwhile is not missed.
        const arrived = arrivals.next(
          batchId,
          Math.min(pollMs, Math.max(0, left)),
          AbortSignal.any([signal, stop.signal]),
        );
        try {
          const parts = await readParts(pool, caller, batchId, signal);
          if (isWhole(parts) || left <= 0 || signal.aborted) return parts;
          place ??= placeOf(caller);
          if (!place) return parts;
          await arrived;
        } finally {
          stop.abort();
        }
      }
    } finally {
      place?.release();
    }
  }

  /** None where the organisation has too many that wait: it is told what is known, and asks again. */
  function placeOf({ organizationId }: Caller): Holding | undefined {
    try {
      return waits.take(organizationId, 1);
    } catch (error) {
      if (error instanceof AppError) return undefined;
      throw error;
    }
  }

  return [
    route({
      method: 'get',
      path: '/api/v1/sync/batches/:id',
      operationId: 'getSyncBatch',
      summary: 'What has become of a batch of offline entries',
      description:
        'Of the caller only, for seven days. 202 while it is on its way; with `wait` the answer comes as soon as it is known, at ' +
        'the latest after so many seconds.',
      tag: 'time entries',
      access: 'user',
      // Agents ask, and the gateway for them: many people have one address.
      agents: true,
      userLimit: limit,
      params: z.object({ id: id.toLowerCase().meta({ format: 'uuid' }) }),
      query: syncBatchQuery,
      responses: {
        200: { description: 'Its outcome.', schema: syncOutcome },
        202: {
          description: 'It is on its way; `accepted` and `rejected` are of what was read so far.',
          schema: takenSyncBatch,
        },
      },
      alsoAnswers: { 429: 'More than 60 of these requests of the user in a minute.' },
      handler: async ({ params, query, caller, signal }) => {
        const batchId: string = params.id;
        const madeAt = ownedUuidTime(batchId, userSubject(caller));
        if (madeAt === undefined) throw notFound(noBatch);
        const isYoung = now() - madeAt < onItsWayMs;
        const ms = isYoung ? Math.min(query.wait * 1_000, maxWaitMs) : 0;
        const parts = await wait(caller, batchId, ms, signal);
        if (isWhole(parts)) return { status: 200, body: outcomeOf(batchId, parts) };
        if (parts.length === 0 && !isYoung) throw notFound(noBatch);
        const { conflicts, results } = outcomeOf(batchId, parts);
        return { status: 202, body: { batchId, accepted: results.length - conflicts.length, rejected: conflicts } };
      },
    }),
  ];
}

const noBatch = 'There is no such batch.';

const isWhole = (parts: readonly StoredPart[]): boolean => parts.length > 0 && parts.length === parts[0]!.parts;
