import {
  AppError,
  type Authenticate,
  type Budget,
  type Metrics,
  type RawRoute,
  type RequestLimit,
  requireVerified,
  sendJson,
  takeLimit,
  userSubject,
} from '@worktide/runtime';
import type { PingQuota } from '@worktide/service';
import { z } from 'zod';
import { readJson } from '../body.ts';
import { createGroupQueue } from '../group-queue.ts';
import { flattened, shownHeartbeat } from './heartbeat.ts';
import { type Sending, type TakeDependencies, type Taken, takeHeartbeats } from './take.ts';

export interface PostDependencies extends TakeDependencies {
  authenticate: Authenticate;
  limit: RequestLimit;
  /** Bytes that requests hold. */
  budget: Budget;
  metrics: Metrics;
  quota: PingQuota;
}

/** Plugins send 25, or what they have kept while they were offline. */
const maxHeartbeats = 1_000;
const maxBodyBytes = 1_000_000;
const requestBytes = 4_096;

const heartbeat = z
  .looseObject({
    entity: z.string().meta({ description: 'A file, an address or an application.' }),
    time: z.number().meta({ description: 'Unix seconds, with a fraction.' }),
    type: z.string().optional(),
    category: z.string().nullable().optional(),
    project: z.string().nullable().optional(),
    branch: z.string().nullable().optional(),
    language: z.string().nullable().optional(),
    is_write: z.boolean().nullable().optional(),
    lines: z.int().nullable().optional(),
    lineno: z.int().nullable().optional(),
    cursorpos: z.int().nullable().optional(),
    user_agent: z.string().nullable().optional(),
  })
  .meta({ id: 'Heartbeat' });
const responses = z.object({
  responses: z
    .array(z.tuple([z.looseObject({}), z.int()]))
    .meta({ description: 'In the order sent, each with its status.' }),
});

/** What is told of each. */
const shown = (taken: Taken, userId: string): [object, number] =>
  'heartbeat' in taken
    ? [{ data: shownHeartbeat(taken.heartbeat, userId), error: null }, 201]
    : [{ errors: taken.errors }, 400];

const header = (value: string | string[] | undefined, max: number): string | null => {
  const one = Array.isArray(value) ? value[0] : value;
  return one ? one.slice(0, max) : null;
};

/** `POST …/heartbeats` and `…/heartbeats.bulk`: raw routes, for plugins send JSON as text, too. */
export function heartbeatRoutes(deps: PostDependencies): RawRoute[] {
  const { authenticate, limit, budget, metrics } = deps;
  const counted = metrics.counter(
    'worktide_wakatime_heartbeats_total',
    'Heartbeats of WakaTime’s plugins, by what became of them.',
    ['outcome'],
  );

  const take = createGroupQueue(
    (organizationId: string, sendings: readonly Sending[]) => takeHeartbeats(deps, organizationId, sendings),
    ({ values }) => values.length,
  );

  const postTo = (name: string, operationId: string): RawRoute => ({
    spec: {
      method: 'post',
      path: `/api/v1/users/current/${name}`,
      operationId,
      summary: 'Take heartbeats of a WakaTime plugin',
      description:
        'One or many, however nested, JSON by whatever content type. Answered once they are durable, each with a status of its own, in ' +
        'the order sent. What privacy takes away is answered as taken. `<<LAST_PROJECT>>`, `<<LAST_BRANCH>>` and `<<LAST_LANGUAGE>>` ' +
        'stand for what the last heartbeat before said.',
      tag: 'wakatime',
      access: 'user',
      agents: true,
      userLimit: limit,
      body: z.union([heartbeat, z.array(heartbeat)]),
      contentTypes: ['text/plain'],
      requestHeaders: { 'X-Machine-Name': 'The computer.', 'User-Agent': 'Editor, plugin and system.' },
      responses: {
        201: { description: 'Of one that was sent alone.', schema: responses.extend({ data: z.looseObject({}) }) },
        202: { description: 'Of a list.', schema: responses },
      },
    },
    async handle(req, res, context) {
      const caller = await authenticate(req.headers.authorization, context.sender);
      requireVerified(caller);
      await takeLimit(res, limit, userSubject(caller));
      const holding = budget.take(caller.organizationId, requestBytes);
      try {
        const body = await readJson(req, maxBodyBytes, holding);
        const values = flattened(body, maxHeartbeats);
        if (!values) {
          throw new AppError('TOO_MANY_HEARTBEATS', `At most ${maxHeartbeats} heartbeats a request.`, {
            statusCode: 413,
          });
        }
        await deps.quota.take(res, caller.organizationId, Math.max(1, values.length));
        const sender = {
          userAgent: header(req.headers['user-agent'], 512),
          machine: header(req.headers['x-machine-name'], 256),
        };
        const taken = await take(caller, { caller, values, sender });
        for (const one of taken) counted.inc({ outcome: 'heartbeat' in one ? 'taken' : 'refused' });
        const all = taken.map((one) => shown(one, caller.userId));
        const [only] = taken;
        if (!Array.isArray(body) && only && 'heartbeat' in only) {
          sendJson(res, 201, { data: shownHeartbeat(only.heartbeat, caller.userId), responses: all });
        } else sendJson(res, 202, { responses: all });
      } finally {
        holding.release();
      }
    },
  });
  return [postTo('heartbeats', 'postHeartbeats'), postTo('heartbeats.bulk', 'postHeartbeatsBulk')];
}
