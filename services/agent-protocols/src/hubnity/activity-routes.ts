import { type AnyRoute, type RequestLimit, route } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import type { PingQuota } from '@worktide/service';
import { z } from 'zod';
import { type ActivityDependencies, takeHeartbeat, takeVisits, type Visit } from './activity.ts';

const tag = 'hubnity';
const instantOut = z.iso.datetime();
const maxVisits = 100;
/** Seconds that one may last. */
const maxSpent = 86_400;

const visit = z
  .object({
    timeEntryId: schemas.id,
    url: z
      .string()
      .max(2_048)
      .regex(/^https?:\/\/./i),
    title: z.string().nullable().optional(),
    timeSpent: z.number().min(0).max(maxSpent),
    startTime: z.string().nullable().optional(),
    endTime: z.string().nullable().optional(),
  })
  .refine(({ url }) => URL.canParse(url));

const shownVisit = z
  .object({
    id: schemas.id,
    timeEntryId: schemas.id,
    userId: schemas.id,
    url: z.string(),
    domain: z.string(),
    title: z.string().nullable(),
    timeSpent: z.int(),
    startTime: instantOut,
    endTime: instantOut,
    createdAt: instantOut,
    updatedAt: instantOut,
  })
  .meta({ id: 'HubnityVisit' });

/** What the desktop sees of a person: whether somebody is there, and the pages of their browser. */
export function activityRoutes(deps: ActivityDependencies & { limit: RequestLimit; quota: PingQuota }): AnyRoute[] {
  const common = { tag, access: 'session', userLimit: deps.limit } as const;
  return [
    route({
      ...common,
      method: 'post',
      path: '/api/idle/heartbeat',
      operationId: 'hubnityHeartbeat',
      summary: 'Somebody is there, or is not, says Hubnity’s desktop',
      description: 'What lies between two of these, up to 150 s, becomes time of source `afk` of the device `hubnity`.',
      body: z.looseObject({ isActive: z.boolean().nullable().optional().meta({ description: 'True unless said.' }) }),
      responses: {
        200: { description: 'Durable.', schema: z.object({ success: z.literal(true), timestamp: instantOut }) },
      },
      handler: async ({ res, caller, body }) => {
        await deps.quota.take(res, caller.organizationId, 1);
        const nowMs = Date.now();
        await takeHeartbeat(deps, caller, body.isActive !== false, nowMs);
        return { status: 200, body: { success: true, timestamp: new Date(nowMs).toISOString() } };
      },
    }),
    route({
      ...common,
      method: 'post',
      path: '/api/url-activity/batch',
      operationId: 'hubnityVisits',
      summary: 'Take pages of a browser from Hubnity’s desktop',
      description:
        'In their order. Where they say no start they lie back to back, the last one ending when it arrives; time of source `web` of ' +
        'the device `hubnity`. What can be no visit is skipped.',
      bodyLimit: 1_000_000,
      body: z.looseObject({ activities: z.array(z.unknown()).min(1).max(maxVisits) }),
      responses: {
        201: {
          description: 'Durable.',
          schema: z.object({ count: z.int(), skipped: z.int(), activities: z.array(shownVisit) }),
        },
      },
      handler: async ({ res, caller, body }) => {
        await deps.quota.take(res, caller.organizationId, body.activities.length);
        const nowMs = Date.now();
        const read = body.activities.map((one) => visit.safeParse(one));
        const visits = read.flatMap((one): Visit[] => (one.success ? [one.data] : []));
        const taken = await takeVisits(deps, caller, visits, nowMs);
        const at = new Date(nowMs).toISOString();
        const activities = taken.map(({ id, visit: { timeEntryId, url, title, timeSpent, start, end } }) => ({
          id,
          timeEntryId,
          userId: caller.userId,
          url,
          domain: new URL(url).hostname.replace(/^www\./, ''),
          title: title ?? null,
          timeSpent: Math.round(timeSpent),
          startTime: new Date(start).toISOString(),
          endTime: new Date(end).toISOString(),
          createdAt: at,
          updatedAt: at,
        }));
        return {
          status: 201,
          body: { count: taken.length, skipped: body.activities.length - taken.length, activities },
        };
      },
    }),
  ];
}
