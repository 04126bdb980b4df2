import { z } from 'zod';
import { eventDeviceId, id, instantMs, pingState } from './common.ts';
import { conformsTo } from './conforms.ts';

/**
 * The state of one usage entry after a commit (topic `usage`). Whole state, never a difference:
 * a consumer keeps the one with the higher `version`, whatever order they arrive in.
 */
export const usageEntryState = z.object({
  /** Derived from (stream, startedAt): the same facts give the same id. */
  id,
  deviceId: eventDeviceId,
  source: z.string(),
  app: z.string(),
  host: z.string().nullable(),
  state: pingState,
  startedAt: instantMs,
  /** Exclusive end; an instant ping makes an entry of one millisecond. */
  endedAt: instantMs,
  /** Microseconds since the epoch or one more than the stream's last: rises with every change of the stream. */
  version: z.int().positive(),
  /** A tombstone: the entry is no more; all other fields are those it last had. */
  deleted: z.boolean(),
});
export type UsageEntryState = z.output<typeof usageEntryState>;
export const isUsageEntryState = conformsTo(usageEntryState);

/** One record of topic `usage`: what one transaction changed for one user. */
export const usageRecord = z.object({
  organizationId: id,
  userId: id,
  entries: z.array(usageEntryState).min(1),
});
export type UsageRecord = z.output<typeof usageRecord>;
