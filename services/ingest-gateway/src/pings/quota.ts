import type { ServerResponse } from 'node:http';
import type { Limits, Rate } from '@worktide/key-value';
import { AppError, type Metrics, showLimit } from '@worktide/runtime';
import type { SubscriptionStatus } from '@worktide/schemas';
import { z } from 'zod';

/** The pings of an organisation by its plan (U7), as `<a second>/<at once>`; each may be configured. */
const defaultQuotas: Record<SubscriptionStatus, string> = {
  free: '100/10000',
  trial: '5000/100000',
  pro: '5000/100000',
  enterprise: 'unlimited',
};

export type Quota = Rate | 'unlimited';

/** `100/10000`: 100 pings a second, and 10,000 at once after a silence; or `unlimited`. */
export const quotaOf = (plan: SubscriptionStatus) =>
  z
    .string()
    .regex(/^(unlimited|[1-9]\d{0,8}\/[1-9]\d{0,8})$/, 'like 100/10000 (pings a second/at once) or unlimited')
    .default(defaultQuotas[plan])
    .transform((text): Quota => {
      if (text === 'unlimited') return text;
      const [perSecond, burst] = text.split('/').map(Number) as [number, number];
      return { perSecond, burst };
    });

export interface PingQuota {
  /**
   * Counts the pings of a request, all or none, and shows what is left on its answer.
   * @throws AppError `PING_QUOTA_EXCEEDED` (429).
   */
  take(res: ServerResponse, organizationId: string, pings: number): Promise<void>;
}

export function createPingQuota(options: {
  limits: Limits;
  quotas: Record<SubscriptionStatus, Quota>;
  /** Undefined while it is not known; as on trial, then. */
  planOf: (organizationId: string) => SubscriptionStatus | undefined;
  metrics: Metrics;
}): PingQuota {
  const { limits, quotas, planOf, metrics } = options;
  const code = 'PING_QUOTA_EXCEEDED';
  const bucket = limits.bucket({
    name: 'pings',
    code,
    message: 'The organization sends more pings than its plan takes; nothing of this request was taken.',
  });
  const refused = metrics.counter(
    'worktide_pings_quota_refused_total',
    "Pings of requests answered 429 because the organization's quota was used up.",
  );
  return {
    async take(res, organizationId, pings) {
      const quota = quotas[planOf(organizationId) ?? 'trial'];
      if (quota === 'unlimited') return;
      try {
        showLimit(res, await bucket.take(organizationId, quota, pings));
      } catch (error) {
        if (error instanceof AppError && error.code === code) refused.inc(pings);
        throw error;
      }
    },
  };
}
