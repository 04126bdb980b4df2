import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Pool } from '@worktide/postgres';
import {
  type Authenticate,
  type Caller,
  createTurns,
  type Metrics,
  type RawRoute,
  type RequestLimit,
  type Sender,
  takeLimit,
  userSubject,
} from '@worktide/runtime';
import { z } from 'zod';
import { bucketOf, bucketsOf, shownBucket } from './bucket-routes.ts';
import { eventJson, eventSchema } from './event.ts';
import { givenLimit, givenPeriod, periodQuery } from './event-routes.ts';
import { base, bucketParams, bucketPath, nameIn, tag } from './protocol.ts';
import { type BucketRow, cutTo, readEvents } from './read.ts';

export interface ListDependencies {
  pool: Pool;
  authenticate: Authenticate;
  limit: RequestLimit;
  metrics: Metrics;
}

/** Lists that are read side by side. Whoever does not take one in this time loses it. */
const places = 8;
const longestMs = 300_000;

/**
 * Lists of events, which may be long: they leave as they are read, and no more of one is held than a page. Raw routes: a declared
 * one answers as a whole.
 */
export function eventLists({ pool, authenticate, limit, metrics }: ListDependencies): RawRoute[] {
  const turns = createTurns({ name: 'activitywatch lists', places, placesEach: 3, metrics });
  const common = { method: 'get', tag, access: 'user', agents: true, userLimit: limit } as const;
  type Made = { json: AsyncGenerator<string>; file?: string };

  function list(
    spec: Omit<RawRoute['spec'], keyof typeof common>,
    make: (caller: Caller, bucketId: string, parameters: URLSearchParams) => Promise<Made>,
  ): RawRoute {
    async function handle(req: IncomingMessage, res: ServerResponse, { sender }: { sender: Sender }): Promise<void> {
      const caller = await authenticate(req.headers.authorization, sender);
      await takeLimit(res, limit, userSubject(caller));
      const { pathname, searchParams } = new URL(req.url!, 'http://worktide');
      await turns.run(caller.organizationId, async () => {
        const { json, file } = await make(caller, nameIn(pathname), searchParams);
        // Before anything is said: while the answer can still be that it failed.
        const first = await json.next();
        res.setHeader('content-type', 'application/json; charset=utf-8');
        if (file !== undefined) res.setHeader('content-disposition', `attachment; filename="${file}"`);
        try {
          await pipeline(Readable.from(withFirst(first.value ?? '', json)), res, {
            signal: AbortSignal.timeout(longestMs),
          });
        } catch {
          // Half a list is no list: the connection ends without its end.
          res.destroy();
        }
      });
    }
    return { spec: { ...common, ...spec }, handle };
  }

  return [
    list(
      {
        path: `${bucketPath}/events`,
        operationId: 'activityWatchEvents',
        summary: 'Events of a bucket that touch a period, cut to it',
        description: 'What begins last comes first. Without a limit all of them, however many.',
        params: bucketParams,
        query: periodQuery.extend({ limit: z.string().optional() }),
        responses: { 200: { description: 'The events.', schema: z.array(eventSchema) } },
        alsoAnswers: { 404: 'No such bucket on this device.' },
      },
      async (caller, bucketId, parameters) => {
        const period = givenPeriod(parameters);
        const most = givenLimit(parameters.get('limit'));
        const bucket = await bucketOf(pool, caller, bucketId);
        async function* json(): AsyncGenerator<string> {
          let joint = '[';
          for await (const page of readEvents(pool, caller.organizationId, bucket, period, most)) {
            yield joint + page.map((event) => eventJson(cutTo(event, period))).join(',');
            joint = ',';
          }
          yield joint === '[' ? '[]' : ']';
        }
        return { json: json() };
      },
    ),
    list(
      {
        path: `${bucketPath}/export`,
        operationId: 'exportActivityWatchBucket',
        summary: 'One bucket with its events',
        params: bucketParams,
        responses: { 200: { description: 'As imports of ActivityWatch take it.', schema: z.looseObject({}) } },
        alsoAnswers: { 404: 'No such bucket on this device.' },
      },
      async (caller, bucketId) => ({
        json: exported(pool, caller, [await bucketOf(pool, caller, bucketId)]),
        file: 'aw-bucket-export.json',
      }),
    ),
    list(
      {
        path: `${base}/export`,
        operationId: 'exportActivityWatch',
        summary: 'All buckets of this device with their events',
        responses: { 200: { description: 'As imports of ActivityWatch take it.', schema: z.looseObject({}) } },
      },
      async (caller) => ({
        json: exported(pool, caller, await bucketsOf(pool, caller)),
        file: 'aw-buckets-export.json',
      }),
    ),
  ];
}

async function* withFirst(first: string, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  yield first;
  yield* rest;
}

async function* exported(pool: Pool, caller: Caller, buckets: readonly BucketRow[]): AsyncGenerator<string> {
  yield '{"buckets":{';
  for (const [i, bucket] of buckets.entries()) {
    const { last_updated: _, ...shown } = shownBucket(bucket);
    yield `${i > 0 ? ',' : ''}${JSON.stringify(bucket.bucketId)}:${JSON.stringify(shown).slice(0, -1)},"events":[`;
    let joint = '';
    for await (const page of readEvents(pool, caller.organizationId, bucket, { start: undefined, end: undefined })) {
      yield joint + page.map(({ number: _number, ...event }) => eventJson(event)).join(',');
      joint = ',';
    }
    yield ']}';
  }
  yield '}}';
}
