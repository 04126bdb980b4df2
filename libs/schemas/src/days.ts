import { z } from 'zod';
import { id, localDate } from './common.ts';

const seconds = z.int().min(0);

/**
 * What one finished day of a person came to, by the reports' own sums. Of the same day and zone the higher `version` counts:
 * what comes late, or is erased, makes another one.
 */
export const dayState = z.object({
  date: localDate,
  /** IANA zone whose day it is: the person's. */
  timezone: z.string(),
  workSeconds: seconds,
  activeSeconds: seconds,
  keyboardClicks: seconds,
  mouseMovements: seconds,
  version: z.int().positive(),
});
export type DayState = z.output<typeof dayState>;

/** One record of topic `days`. */
export const daysRecord = z.object({ organizationId: id, userId: id, days: z.array(dayState).min(1) });
export type DaysRecord = z.output<typeof daysRecord>;
