import { z } from 'zod';
import { eventDeviceId, id, instantMs, pingState } from './common.ts';
import { conformsTo } from './conforms.ts';

const day = 24 * 3_600_000;

/**
 * Bounds of the log itself, texts in characters and times in ms: what a deployment accepts must lie within them, and every
 * consumer takes all that does. A ping reaches less far ahead than the tables are made, and begins after 1970.
 */
export const pingEventBounds = {
  app: 2_048,
  title: 8_192,
  url: 16_384,
  durationMs: 31 * day,
  futureMs: 31 * day,
  ageMs: 50 * 365 * day,
} as const;

/** A validated ping on its way through the log. Times in epoch milliseconds, `host` already derived from the URL. */
export const pingEvent = z.object({
  id,
  startedAt: instantMs,
  endedAt: instantMs,
  app: z.string().min(1).max(pingEventBounds.app),
  host: z.string().max(253).nullable(),
  state: pingState,
  deviceId: eventDeviceId,
  source: z.string().min(1).max(64),
  title: z.string().max(pingEventBounds.title).optional(),
  url: z.string().max(pingEventBounds.url).optional(),
  projectId: id.optional(),
  timeEntryId: id.optional(),
});
export type PingEvent = z.output<typeof pingEvent>;
export const isPingEvent = conformsTo(pingEvent);

/** What surrounds the pings of a record; checked apart from them, so that one bad ping does not take the others along. */
export const pingsEnvelope = z.object({
  organizationId: id,
  userId: id,
  receivedAt: instantMs,
  pings: z.array(z.unknown()).min(1),
});

/** One record of topic `pings`: the pings of one request of one user. */
export const pingsRecord = pingsEnvelope.extend({ pings: z.array(pingEvent).min(1) });
export type PingsRecord = z.output<typeof pingsRecord>;
