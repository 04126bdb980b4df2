import type { ServerResponse } from 'node:http';
import type { Limits, Rate } from '@worktide/key-value';
import { AppError, limitExceeded, type Metrics, showLimit } from '@worktide/runtime';
import type { SubscriptionStatus } from '@worktide/schemas';
import { z } from 'zod';

/** The pings of an organisation by its plan, as `<a second>/<at once>`; each may be configured. */
const defaultQuotas: Record<SubscriptionStatus, string> = {
  free: '100/10000',
  trial: '5000/100000',
  pro: '5000/100000',
  enterprise: 'unlimited',
};

export type Quota = Rate | 'unlimited';

/** `100/10000`: 100 pings a second, and 10,000 at once after a silence; or `unlimited`. */
const quotaOf = (plan: SubscriptionStatus) =>
  z
    .string()
    .regex(/^(unlimited|[1-9]\d{0,8}\/[1-9]\d{0,8})$/, 'like 100/10000 (pings a second/at once) or unlimited')
    .default(defaultQuotas[plan])
    .transform((text): Quota => {
      if (text === 'unlimited') return text;
      const [perSecond, burst] = text.split('/').map(Number) as [number, number];
      return { perSecond, burst };
    });

/** In the environment of every service that takes pings: one quota for all of them together. */
export const pingQuotaConfig = {
  /**
   * Pings that an organisation may send, by its plan, as `<a second>/<at once>` or `unlimited`. A request with more pings
   * than fit at once is refused whenever it comes, so keep the second number above PINGS_MAX_PER_REQUEST.
   */
  QUOTA_FREE: quotaOf('free'),
  /** As QUOTA_FREE. */
  QUOTA_TRIAL: quotaOf('trial'),
  /** As QUOTA_FREE. */
  QUOTA_PRO: quotaOf('pro'),
  /** As QUOTA_FREE. */
  QUOTA_ENTERPRISE: quotaOf('enterprise'),
};

/** By plan, of an environment that was read with `pingQuotaConfig`. */
export const pingQuotas = (config: {
  QUOTA_FREE: Quota;
  QUOTA_TRIAL: Quota;
  QUOTA_PRO: Quota;
  QUOTA_ENTERPRISE: Quota;
}): Record<SubscriptionStatus, Quota> => ({
  free: config.QUOTA_FREE,
  trial: config.QUOTA_TRIAL,
  pro: config.QUOTA_PRO,
  enterprise: config.QUOTA_ENTERPRISE,
});

/** What reading a body is worth in pings: as many as would be in it if they were on the large side. */
export const pingsIn = (bytes: number): number => Math.ceil(bytes / 1_000);

export interface PingQuota {
  /**
   * For what is dear to look at: refuses it unlooked at where so much surely is not left, or where a request like it was
   * refused a moment ago. Counts nothing.
   * @throws AppError `PING_QUOTA_EXCEEDED` (429).
   */
  expect(organizationId: string, pings: number): Promise<void>;
  /**
   * Counts the pings of a request, all or none, and shows what is left on its answer.
   * @throws AppError `PING_QUOTA_EXCEEDED` (429).
   */
  take(res: ServerResponse, organizationId: string, pings: number): Promise<void>;
}

/** Organisations remembered for having been refused. */
const maxRefused = 10_000;

/** The quota of pings, shared by all services and replicas that have the same key-value store. */
export function createPingQuota(options: {
  limits: Limits;
  quotas: Record<SubscriptionStatus, Quota>;
  /** Undefined while it is not known; as on trial, then. */
  planOf: (organizationId: string) => SubscriptionStatus | undefined;
  metrics: Metrics;
}): PingQuota {
  const { limits, quotas, planOf, metrics } = options;
  const code = 'PING_QUOTA_EXCEEDED';
  const message = 'The organization sends more pings than its plan takes; nothing of this request was taken.';
  const bucket = limits.bucket({ name: 'pings', code, message });
  const refused = metrics.counter(
    'worktide_pings_quota_refused_total',
    "Pings of requests answered 429 because the organization's quota was used up.",
  );
  /** Until when what organisations were refused last would not fit, on the monotonic clock. */
  const notBefore = new Map<string, number>();
  const quotaFor = (organizationId: string): Quota => quotas[planOf(organizationId) ?? 'trial'];

  return {
    async expect(organizationId, pings) {
      const quota = quotaFor(organizationId);
      if (quota === 'unlimited') return;
      const state = await bucket.take(organizationId, quota, 0);
      const missing = (Math.min(pings, quota.burst) - state.remaining) / quota.perSecond;
      const until = notBefore.get(organizationId);
      const left = until === undefined ? 0 : (until - performance.now()) / 1_000;
      if (until !== undefined && left <= 0) notBefore.delete(organizationId);
      if (missing <= 0 && left <= 0) return;
      refused.inc(pings);
      throw limitExceeded(state, { code, message, retryAfterSeconds: Math.ceil(Math.max(missing, left)) });
    },
    async take(res, organizationId, pings) {
      const quota = quotaFor(organizationId);
      if (quota === 'unlimited') return;
      try {
        showLimit(res, await bucket.take(organizationId, quota, pings));
      } catch (error) {
        if (error instanceof AppError && error.code === code) {
          refused.inc(pings);
          if (notBefore.size >= maxRefused) notBefore.clear();
          notBefore.set(organizationId, performance.now() + (error.retryAfterSeconds ?? 1) * 1_000);
        }
        throw error;
      }
    },
  };
}
