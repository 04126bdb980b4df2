import type { Pool } from '@worktide/postgres';
import { type AnyRoute, createTurns, invalid, type Metrics, type RequestLimit, route } from '@worktide/runtime';
import { z } from 'zod';
import { bucketsOf } from '../bucket-routes.ts';
import { base, tag } from '../protocol.ts';
import { type BucketRow, countEvents, cutTo, readEvents } from '../read.ts';
import { readTimestamp } from '../times.ts';
import { type ReadBounds, runQuery } from './run-query.ts';
import type { StoredQueryEvent } from './worker.ts';

const maxQueryLength = 200_000;
const maxPeriods = 400;
const maxMs = 10_000;

const period = z
  .string()
  .max(128)
  .transform((text, context) => {
    const [start, end] = text.split('/').map(readTimestamp);
    if (start !== undefined && end !== undefined && start <= end) return { start, end };
    context.addIssue({ code: 'custom', message: 'is a time, a slash and a later time' });
    return z.NEVER;
  });
const body = z.object({
  timeperiods: z
    .array(period)
    .min(1)
    .max(maxPeriods)
    .meta({ description: '`2026-05-04T00:00:00Z/2026-05-05T00:00:00Z`.' }),
  query: z.array(z.string().max(maxQueryLength)).min(1).max(10_000).meta({ description: 'Statements, put together.' }),
});

export interface QueryDependencies {
  pool: Pool;
  limit: RequestLimit;
  metrics: Metrics;
  /** How long one may take, in ms; 10 s unless said. */
  queryMs?: number;
}

/** `POST /query`: what ActivityWatch's web interface and people's scripts ask, over the buckets of one device. */
export function queryRoute({ pool, limit, metrics, queryMs = maxMs }: QueryDependencies): AnyRoute {
  // A thread each: two at once, and of one organisation one.
  const turns = createTurns({ name: 'activitywatch queries', places: 2, placesEach: 1, metrics });
  return route({
    method: 'post',
    path: `${base}/query`,
    operationId: 'queryActivityWatch',
    summary: 'Carry out a query of ActivityWatch’s language, once for each period',
    description: 'Reads 200,000 events at most, and takes 10 s at most.',
    tag,
    access: 'user',
    agents: true,
    userLimit: limit,
    query: z.object({ name: z.string().max(256).optional(), cache: z.string().max(16).optional() }),
    body,
    bodyLimit: 2 * maxQueryLength,
    responses: { 200: { description: 'Of each period what RETURN was set to.', schema: z.array(z.unknown()) } },
    handler: async ({ caller, query: { name = '' }, body: { timeperiods, query }, signal }) => {
      const { organizationId } = caller;
      const text = query.join('');
      if (text.length > maxQueryLength)
        throw invalid('QUERY_TOO_LARGE', `A query has ${maxQueryLength} characters at most.`);
      return turns.run(
        organizationId,
        async () => {
          const buckets = new Map((await bucketsOf(pool, caller)).map((row) => [row.bucketId, row]));
          const json = await runQuery(
            {
              name,
              query: text,
              periods: timeperiods,
              buckets: [...buckets.values()].map(({ bucketId, hostname }) => ({ id: bucketId, hostname })),
            },
            {
              events: async (bucketId, i, bounds) => {
                const bucket = buckets.get(bucketId);
                return bucket && allOf(pool, organizationId, bucket, timeperiods[i]!, bounds);
              },
              count: async (bucketId, i) => {
                const bucket = buckets.get(bucketId);
                return bucket && countEvents(pool, organizationId, bucket, timeperiods[i]!);
              },
            },
            { maxMs: queryMs, signal },
          );
          return {
            status: 200,
            body: Buffer.from(json),
            headers: { 'content-type': 'application/json; charset=utf-8' },
          };
        },
        { signal },
      );
    },
  });
}

async function allOf(
  pool: Pool,
  organizationId: string,
  bucket: BucketRow,
  asked: { start: number; end: number },
  { events: most, bytes, isOver }: ReadBounds,
): Promise<StoredQueryEvent[]> {
  const events: StoredQueryEvent[] = [];
  let left = bytes;
  for await (const page of readEvents(pool, organizationId, bucket, asked, most + 1)) {
    for (const event of page) {
      const { number, startedAt, endedAt, data } = cutTo(event, asked);
      left -= data.length;
      events.push({ id: number, startedAt, length: endedAt - startedAt, data });
    }
    // Too much is told by having too much.
    if (left < 0 || isOver()) break;
  }
  return events;
}
