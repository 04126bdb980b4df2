import type { SubscriptionStatus } from '@worktide/schemas';
import { z } from 'zod';

/** What an organisation may store by its plan, in bytes; null: as much as there is. */
export interface StorageLimits {
  /** At a time. */
  screenshots: number | null;
  /** Sent within one calendar month (UTC). */
  pings: number | null;
}

const defaults: Record<SubscriptionStatus, string> = {
  free: '1000000000/2000000000',
  trial: '100000000000/100000000000',
  pro: '100000000000/100000000000',
  enterprise: 'unlimited',
};

/** `1000000000/2000000000`: 1 GB of screenshots, and 2 GB of pings a month; or `unlimited`. */
export const storageQuotaOf = (plan: SubscriptionStatus) =>
  z
    .string()
    .regex(/^(unlimited|\d{1,15}\/\d{1,15})$/, 'like 1000000000/2000000000 (screenshots/pings a month) or unlimited')
    .default(defaults[plan])
    .transform((text): StorageLimits => {
      if (text === 'unlimited') return { screenshots: null, pings: null };
      const [screenshots, pings] = text.split('/').map(Number) as [number, number];
      return { screenshots, pings };
    });
