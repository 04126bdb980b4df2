import { z } from 'zod';
import { boundInstant, eventDeviceId, id, instant, page, pageQuery, pingState } from './common.ts';

/** [from, to) of whom; the caller unless `userId` is given. */
export const eraseUsageQuery = z.object({
  from: boundInstant.meta({ description: 'Inclusive.' }),
  to: boundInstant.meta({ description: 'Exclusive.' }),
  userId: id.optional(),
  deviceId: eventDeviceId.optional(),
});

/** An erasure that was asked for. */
export const usageErasure = z
  .object({
    from: instant,
    to: instant,
    userId: id,
    deviceId: z.string().nullable(),
    status: z.enum(['pending', 'applied']).meta({
      description: 'pending: it is out of lists at once, and of reports when it was worked off, seconds later.',
    }),
  })
  .meta({ id: 'UsageErasure' });

export const usageQuery = eraseUsageQuery.extend(pageQuery);

/** A usage entry as the public interface shows it. */
export const usageItem = z
  .object({
    id: id.meta({ description: 'Derived from the stream (user, device, source) and startedAt.' }),
    userId: id,
    deviceId: z.string(),
    source: z.string(),
    app: z.string(),
    host: z.string().nullable(),
    state: pingState,
    startedAt: instant,
    endedAt: instant.meta({ description: 'Exclusive.' }),
    seconds: z.int().meta({ description: 'Whole seconds, rounded.' }),
  })
  .meta({ id: 'UsageEntry' });
export type UsageItem = z.output<typeof usageItem>;

export const usagePage = page(usageItem).meta({ id: 'UsagePage' });
export type UsagePage = z.output<typeof usagePage>;
