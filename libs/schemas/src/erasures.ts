import { z } from 'zod';
import { eventDeviceId, id, instantMs } from './common.ts';

/** Time that somebody had erased: for ever, so it has no version, and more of it only adds. */
export const erasedRange = z.object({
  /** null: all devices, also those first seen later. */
  deviceId: eventDeviceId.nullable(),
  /** [from, to). A minute of counts that it touches is forgotten whole: nobody can tell which of it was before. */
  from: instantMs,
  to: instantMs,
});

/** One record of topic `erasures`. */
export const erasuresRecord = z.object({ organizationId: id, userId: id, ranges: z.array(erasedRange).min(1) });
export type ErasuresRecord = z.output<typeof erasuresRecord>;
