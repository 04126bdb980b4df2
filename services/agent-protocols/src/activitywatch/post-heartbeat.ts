import {
  type Authenticate,
  type Budget,
  invalid,
  type Metrics,
  type RawRoute,
  type RequestLimit,
  requireVerified,
  takeLimit,
  userSubject,
} from '@worktide/runtime';
import type { PingQuota } from '@worktide/service';
import { z } from 'zod';
import { readJson } from '../body.ts';
import { createGroupQueue, held } from '../group-queue.ts';
import { canonicalJson, eventJson, eventSchema, readEvent } from './event.ts';
import { bucketParams, bucketPath, nameIn, sendText } from './protocol.ts';
import { type Heartbeat, type TakeDependencies, takeHeartbeats } from './take.ts';
import { perSecond } from './times.ts';

export interface HeartbeatDependencies extends TakeDependencies {
  authenticate: Authenticate;
  limit: RequestLimit;
  /** Bytes that requests hold. */
  budget: Budget;
  metrics: Metrics;
  quota: PingQuota;
}

const maxBodyBytes = 64 * 1024;
const requestBytes = 4_096;
const maxPulseSeconds = 31 * 86_400;

/**
 * `POST …/heartbeat`. A raw route: it is what watchers call every second. Clients drop a heartbeat for ever on any error, so
 * while something is away it is held.
 */
export function heartbeatRoute(deps: HeartbeatDependencies): RawRoute {
  const { authenticate, limit, budget, metrics } = deps;
  const take = createGroupQueue((organizationId: string, heartbeats: readonly Heartbeat[]) =>
    takeHeartbeats(deps, organizationId, heartbeats),
  );
  const counted = metrics.counter(
    'worktide_activitywatch_heartbeats_total',
    'Heartbeats of ActivityWatch’s watchers that were taken, by whether anything of them may be kept.',
    ['outcome'],
  );

  return {
    spec: {
      method: 'post',
      path: `${bucketPath}/heartbeat`,
      operationId: 'activityWatchHeartbeat',
      summary: 'Go on with the last event of a bucket, or begin another',
      description:
        'With the same data, and begun within `pulsetime` seconds of its end, it is the last event that goes on; else it is an event of ' +
        'its own. A bucket that is not there is made. What privacy takes away is answered as taken. Held for up to 25 s while it cannot be stored.',
      tag: 'activitywatch',
      access: 'user',
      agents: true,
      userLimit: limit,
      params: bucketParams,
      query: z.object({ pulsetime: z.string().meta({ description: 'Seconds.' }) }),
      body: eventSchema,
      responses: { 200: { description: 'The event that it belongs to.', schema: eventSchema } },
    },
    async handle(req, res, { sender }) {
      const caller = await held(() => authenticate(req.headers.authorization, sender));
      requireVerified(caller);
      await takeLimit(res, limit, userSubject(caller));
      await deps.quota.take(res, caller.organizationId, 1);
      const holding = budget.take(caller.organizationId, requestBytes);
      try {
        const { pathname, searchParams } = new URL(req.url!, 'http://worktide');
        const bucketId = nameIn(pathname);
        const body = await readJson(req, maxBodyBytes, holding);
        const pulse = Number(searchParams.get('pulsetime') ?? Number.NaN);
        if (!(pulse >= 0 && pulse <= maxPulseSeconds)) {
          throw invalid('INVALID_PULSETIME', 'pulsetime is missing, or no number of seconds.');
        }
        const event = readEvent(body, Date.now());
        // Refused before anybody else's transaction has it.
        const data = canonicalJson(event.data);
        const pulsetime = Math.round(pulse * perSecond);
        const kept = await held(() => take(caller, { caller, bucketId, event, pulsetime }));
        counted.inc({ outcome: kept ? 'kept' : 'left' });
        sendText(res, eventJson(kept ?? { ...event, data, number: null }));
      } finally {
        holding.release();
      }
    },
  };
}
