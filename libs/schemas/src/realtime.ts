import { z } from 'zod';
import { givenId, id, page, pageQuery } from './common.ts';

const instantOut = z.iso.datetime();

export const presence = z
  .object({
    userId: id,
    state: z.enum(['online', 'idle', 'offline']),
    since: instantOut.nullable().meta({ description: 'null: not known, as of who was never seen.' }),
    lastSeenAt: instantOut.nullable(),
    deviceId: z.string().nullable().meta({ description: 'Of the last activity.' }),
    app: z.string().nullable().optional().meta({ description: 'Where the setting `showCurrentApp` says so.' }),
    version: z.int().min(0).meta({ description: 'Rises with every change that is told.' }),
  })
  .meta({ id: 'Presence' });
export type ShownPresence = z.output<typeof presence>;
export const presencePage = page(presence).meta({ id: 'PresencePage' });
export const presenceQuery = z.object({
  ...pageQuery,
  userId: givenId.optional(),
  teamId: givenId.optional().meta({ description: 'Who is in this team.' }),
});
