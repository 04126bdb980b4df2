import { z } from 'zod';
import { givenId, id, instantMs, localDate, page, pageQuery } from './common.ts';

const instantOut = z.iso.datetime();

export const alertType = z.enum(['idle', 'overtime']);
export type AlertType = z.output<typeof alertType>;

export const alert = z
  .object({
    id,
    userId: id,
    type: alertType,
    date: localDate.meta({ description: "A day of the person's own zone." }),
    timeEntryId: id.nullable(),
    message: z.string(),
    createdAt: instantOut,
    resolvedAt: instantOut.nullable(),
    resolvedBy: id.nullable().meta({ description: 'null: not resolved, or by itself.' }),
  })
  .meta({ id: 'Alert' });
export type Alert = z.output<typeof alert>;
export const alertPage = page(alert).meta({ id: 'AlertPage' });
export const alertQuery = z.object({
  ...pageQuery,
  state: z.enum(['open', 'resolved']).optional(),
  userId: givenId.optional(),
  type: alertType.optional(),
});

/** The state of one alert after a commit (topic `alerts`): whole, the higher `version` counts. */
export const alertState = z.object({
  id,
  type: alertType,
  date: localDate,
  timeEntryId: id.nullable(),
  message: z.string(),
  createdAt: instantMs,
  resolvedAt: instantMs.nullable(),
  resolvedBy: id.nullable(),
  version: z.int().positive(),
});
export type AlertState = z.output<typeof alertState>;
/** One record of topic `alerts`: what one transaction changed for one user. */
export const alertsRecord = z.object({ organizationId: id, userId: id, alerts: z.array(alertState).min(1) });
export type AlertsRecord = z.output<typeof alertsRecord>;
