import { z } from 'zod';

/** How long a sum of stored bytes is kept in key-value: longer than the month that some of them are for. */
export const storedTtlMs = 40 * 86_400_000;

/** In key-value: the bytes of an organisation's screenshots, as their processor last told them. */
export const storedScreenshotsKey = (organizationId: string): string => `${organizationId}/stored-screenshots`;
/** In key-value: the bytes of pings that an organisation has sent in a month like `2026-11`, as gateways count them. */
export const storedPingsKey = (organizationId: string, month: string): string =>
  `${organizationId}/stored-pings/${month}`;

const stored = z.object({ bytes: z.int(), limitBytes: z.int().nullable() });
/** Answer of `GET /organization/storage`. */
export const organizationStorage = z.object({ screenshots: stored, pings: stored });
