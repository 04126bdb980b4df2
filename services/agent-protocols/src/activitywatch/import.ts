import type { Pool } from '@worktide/postgres';
import { tenantTransaction } from '@worktide/postgres';
import { type AnyRoute, AppError, type RequestLimit, route } from '@worktide/runtime';
import { type PingQuota, pingsIn } from '@worktide/service';
import { z } from 'zod';
import { canonicalJson, type GivenEvent, readEvent } from './event.ts';
import { maxEvents } from './event-routes.ts';
import { base, name, tag } from './protocol.ts';
import { makeBuckets, maxBucketsOfUser } from './store.ts';
import { keyOf, type TakeDependencies, takeEvents } from './take.ts';

const maxBodyBytes = 5_000_000;
const maxImported = 50_000;

const exported = z.object({
  buckets: z.record(
    name,
    z.looseObject({
      type: name,
      client: name,
      hostname: name,
      created: z.string().max(64).optional(),
      events: z.array(z.unknown()),
    }),
  ),
});

/**
 * `POST /import`: buckets as an export has them. What is there already is not added again, so that an import that was cut off is
 * sent once more. Years of history go by `POST /imports`, which knows neither this bound nor how old pings may be.
 */
export function importRoute(deps: TakeDependencies & { pool: Pool; limit: RequestLimit; quota: PingQuota }): AnyRoute {
  return route({
    method: 'post',
    path: `${base}/import`,
    operationId: 'importActivityWatch',
    summary: 'Take buckets with their events from an export',
    description: `At most ${maxBodyBytes / 1e6} MB; larger ones, and what is older than 90 days, go by \`POST /imports\`. Twice adds nothing.`,
    tag,
    access: 'user',
    agents: true,
    userLimit: deps.limit,
    body: exported,
    bodyLimit: maxBodyBytes,
    responses: { 200: { description: 'All of it is here.', schema: z.null() } },
    alsoAnswers: { 413: 'Too many events, or too large.' },
    handler: async ({ req, res, caller, body }) => {
      const { organizationId } = caller;
      const buckets = Object.entries(body.buckets);
      if (
        buckets.length > maxBucketsOfUser ||
        buckets.reduce((n, [, { events }]) => n + events.length, 0) > maxImported
      ) {
        throw new AppError('TOO_MANY_EVENTS', `At most ${maxImported} events an import.`, { statusCode: 413 });
      }
      const count = buckets.reduce((n, [, { events }]) => n + events.length, 0);
      const bytes = Number(req.headers['content-length'] ?? 0);
      await deps.quota.take(res, organizationId, Math.max(count, pingsIn(bytes)));
      const nowMs = Date.now();
      // All of it is read before any of it is taken.
      const read = buckets.map(([bucketId, { events, ...bucket }]) => ({
        fresh: { ...keyOf(caller, bucketId), ...bucket, createdAt: madeAt(bucket.created) },
        events: events.map((value): GivenEvent => {
          const event = { ...readEvent(value, nowMs), id: undefined };
          canonicalJson(event.data);
          return event;
        }),
      }));
      const lock = `buckets ${organizationId} ${caller.userId}`;
      await tenantTransaction(
        deps.pool,
        organizationId,
        (client) =>
          makeBuckets(
            client,
            organizationId,
            read.map(({ fresh }) => fresh),
          ),
        { lock },
      );
      for (const { fresh, events } of read) {
        for (let from = 0; from < events.length; from += maxEvents) {
          await takeEvents(deps, caller, fresh.bucketId, events.slice(from, from + maxEvents), { once: true });
        }
      }
      return { status: 200, body: null };
    },
  });
}

function madeAt(text: string | undefined): Date {
  const at = new Date(text ?? Date.now());
  return Number.isNaN(at.getTime()) || at.getUTCFullYear() < 1970 || at.getUTCFullYear() > 9998 ? new Date() : at;
}
