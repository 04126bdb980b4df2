import { type Pool, tenantTransaction } from '@worktide/postgres';
import { type AnyRoute, AppError, invalid, notFound, type RequestLimit, route } from '@worktide/runtime';
import { type PingQuota, pingsIn } from '@worktide/service';
import { z } from 'zod';
import { held } from '../group-queue.ts';
import { bucketOf } from './bucket-routes.ts';
import { canonicalJson, eventJson, eventSchema, readEvent } from './event.ts';
import { bucketParams, bucketPath, givenTime, tag } from './protocol.ts';
import { countEvents, findEvent } from './read.ts';
import { keyText, lockBuckets } from './store.ts';
import { keyOf, noBucket, type TakeDependencies, takeEvents } from './take.ts';

export interface EventDependencies extends TakeDependencies {
  limit: RequestLimit;
  quota: PingQuota;
}

export const maxEvents = 10_000;
const maxBodyBytes = 5_000_000;
const time = z.string().max(64).optional();
export const periodQuery = z.object({ start: time, end: time });
/** What is no number names no event. */
const eventParams = bucketParams.extend({
  eventId: z
    .string()
    .max(64)
    .transform((text) => (/^\d{1,15}$/.test(text) ? Number(text) : -1)),
});

/** Events one by one; lists of them are `event-lists.ts`. */
export function eventRoutes(deps: EventDependencies): AnyRoute[] {
  const { pool, limit } = deps;
  const common = { tag, access: 'user', agents: true, userLimit: limit, params: bucketParams } as const;

  return [
    route({
      ...common,
      method: 'post',
      path: `${bucketPath}/events`,
      operationId: 'addActivityWatchEvents',
      summary: 'Add one or many events to a bucket',
      description: `At most ${maxEvents} a request. One with the id of an event that is there takes its place; reports keep what was told of that one.`,
      body: z.union([eventSchema, z.array(z.unknown())]),
      bodyLimit: maxBodyBytes,
      responses: { 200: { description: 'The event where it was one; null else.', schema: eventSchema.nullable() } },
      alsoAnswers: { 404: 'No such bucket on this device.', 413: 'Too many, or too large.' },
      handler: async ({ req, res, caller, params, body }) => {
        const list = Array.isArray(body) ? body : [body];
        if (list.length > maxEvents) {
          throw new AppError('TOO_MANY_EVENTS', `At most ${maxEvents} events a request.`, { statusCode: 413 });
        }
        const bytes = Number(req.headers['content-length'] ?? 0);
        await deps.quota.take(res, caller.organizationId, Math.max(list.length, pingsIn(bytes)));
        const nowMs = Date.now();
        const events = list.map((value) => {
          const event = readEvent(value, nowMs);
          canonicalJson(event.data);
          return event;
        });
        const kept = await held(() => takeEvents(deps, caller, params.bucketId, events));
        if (Array.isArray(body) && body.length !== 1) return { status: 200, body: null };
        const [only] = kept;
        const shown = only ?? { ...events[0]!, data: canonicalJson(events[0]!.data), number: null };
        return { status: 200, body: JSON.parse(eventJson(shown)) };
      },
    }),
    route({
      ...common,
      method: 'get',
      path: `${bucketPath}/events/count`,
      operationId: 'countActivityWatchEvents',
      summary: 'How many events of a bucket touch a period',
      query: periodQuery,
      responses: { 200: { description: 'The number.', schema: z.int() } },
      alsoAnswers: { 404: 'No such bucket on this device.' },
      handler: async ({ caller, params, query }) => {
        const period = { start: givenTime('start', query.start), end: givenTime('end', query.end) };
        const bucket = await bucketOf(pool, caller, params.bucketId);
        return { status: 200, body: await countEvents(pool, caller.organizationId, bucket, period) };
      },
    }),
    route({
      ...common,
      method: 'get',
      path: `${bucketPath}/events/:eventId`,
      operationId: 'activityWatchEvent',
      summary: 'One event',
      params: eventParams,
      responses: { 200: { description: 'The event.', schema: eventSchema } },
      alsoAnswers: { 404: 'No such event.' },
      handler: async ({ caller, params }) => {
        const bucket = await bucketOf(pool, caller, params.bucketId);
        const found = await findEvent(pool, caller.organizationId, bucket, params.eventId);
        if (!found) throw notFound('There is no such event.', 'EVENT_NOT_FOUND');
        return { status: 200, body: JSON.parse(eventJson(found)) };
      },
    }),
    route({
      ...common,
      method: 'delete',
      path: `${bucketPath}/events/:eventId`,
      operationId: 'deleteActivityWatchEvent',
      summary: 'Delete one event',
      description: 'From the bucket; what has become of it in reports stays.',
      params: eventParams,
      responses: { 200: { description: 'Whether it was there.', schema: z.object({ success: z.boolean() }) } },
      alsoAnswers: { 404: 'No such bucket on this device.' },
      handler: async ({ caller, params }) => ({
        status: 200,
        body: { success: await deleteEvent(pool, caller, params) },
      }),
    }),
  ];
}

function deleteEvent(
  pool: Pool,
  caller: Parameters<typeof keyOf>[0],
  { bucketId, eventId }: { bucketId: string; eventId: number },
): Promise<boolean> {
  const { organizationId } = caller;
  const key = keyOf(caller, bucketId);
  return tenantTransaction(pool, organizationId, async (client) => {
    const bucket = (await lockBuckets(client, organizationId, [key])).get(keyText(key));
    if (!bucket) throw noBucket();
    const which = [organizationId, bucket.number, eventId];
    const { rowCount } =
      bucket.last?.number === eventId
        ? await client.query(
            `UPDATE agent_protocols.buckets SET last_number = NULL, last_started_at = NULL, last_length = NULL, last_data = NULL
             WHERE organization_id = $1 AND number = $2 AND last_number = $3`,
            which,
          )
        : await client.query(
            'DELETE FROM agent_protocols.events WHERE organization_id = $1 AND bucket = $2 AND number = $3',
            which,
          );
    return rowCount! > 0;
  });
}

export const givenPeriod = (parameters: URLSearchParams) => ({
  start: givenTime('start', parameters.get('start') ?? undefined),
  end: givenTime('end', parameters.get('end') ?? undefined),
});

/** How many events are asked for; none, or less than none, is all of them, as in the protocol. @throws AppError 400. */
export function givenLimit(text: string | null): number {
  if (text === null || text === '') return Number.POSITIVE_INFINITY;
  if (!/^-?\d{1,9}$/.test(text)) throw invalid('INVALID_LIMIT', 'limit is a whole number.');
  return Number(text) < 0 ? Number.POSITIVE_INFINITY : Number(text);
}
