import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Pool } from '@worktide/postgres';
import {
  AppError,
  type Authenticate,
  type Caller,
  createInFlight,
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

/** Pages that are read side by side; a list waits for its socket without a place. */
const places = 4;
/** Lists that are open at once: each holds a page. */
const openOfOrganization = 12;
const openInAll = 120;
/** Whoever takes nothing of a list for this long loses it, and nobody keeps one for longer than that. */
const idleMs = 15_000;
const longestMs = 300_000;

/**
 * Lists of events, which may be long: they leave as they are read, and no more of one is held than a page. Raw routes: a declared
 * one answers as a whole.
 */
export function eventLists({ pool, authenticate, limit, metrics }: ListDependencies): RawRoute[] {
  const turns = createTurns({ name: 'activitywatch lists', places, placesEach: 2, metrics });
  const opened = createOpened();
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
      const close = opened(caller.organizationId);
      try {
        const { json, file } = await make(caller, nameIn(pathname), searchParams);
        const inTurn = (): Promise<IteratorResult<string>> => turns.run(caller.organizationId, () => json.next());
        // Before anything is said: while the answer can still be that it failed.
        const first = await inTurn();
        res.setHeader('content-type', 'application/json; charset=utf-8');
        if (file !== undefined) res.setHeader('content-disposition', `attachment; filename="${file}"`);
        res.setTimeout(idleMs, () => res.destroy());
        try {
          await pipeline(Readable.from(following(first, inTurn)), res, { signal: AbortSignal.timeout(longestMs) });
        } catch {
          // Half a list is no list: the connection ends without its end.
          res.destroy();
        }
      } finally {
        close();
      }
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

async function* following(
  first: IteratorResult<string>,
  next: () => Promise<IteratorResult<string>>,
): AsyncGenerator<string> {
  for (let part = first; !part.done; part = await next()) yield part.value;
}

/** @returns what opens a list of an organisation; what that returns closes it. @throws 503 where there are too many. */
function createOpened(): (organizationId: string) => () => void {
  const busy = (): AppError =>
    new AppError('BUSY', 'Too many lists are being read at the moment; try again.', {
      statusCode: 503,
      retryAfterSeconds: 2,
    });
  const all = createInFlight(openInAll, busy);
  const ofOne = createInFlight(openOfOrganization, busy);
  return (organizationId) => {
    const leaveOne = ofOne.enter(organizationId);
    try {
      const leaveAll = all.enter('all');
      return () => {
        leaveOne();
        leaveAll();
      };
    } catch (error) {
      leaveOne();
      throw error;
    }
  };
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
