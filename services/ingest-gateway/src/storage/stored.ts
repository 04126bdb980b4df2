import type { KeyValue } from '@worktide/key-value';
import { conflict, describeError, type Lifecycle, type Logger, type Metrics } from '@worktide/runtime';
import { type SubscriptionStatus, storedPingsKey, storedScreenshotsKey, storedTtlMs } from '@worktide/schemas';
import type { StorageLimits } from './quota.ts';

/** How long a total of screenshots is believed; the processor tells of changes every 15 s, and of all each hour. */
const screenshotsFreshMs = 10_000;
const flushEveryMs = 10_000;
const flushAtOnce = 50;

export interface Stored {
  /**
   * Best effort, and never a reason to refuse where it is not known: what is taken here is kept, also past the quota.
   * @throws AppError `STORAGE_QUOTA_EXCEEDED` (409).
   */
  requirePings(organizationId: string): void;
  addPings(organizationId: string, bytes: number): void;
  /** @throws as `requirePings`. */
  requireScreenshots(organizationId: string): Promise<void>;
  /** Adds up what was taken since the last time. */
  addUp(): Promise<void>;
  /** @throws 503 while it cannot be asked. */
  usage(organizationId: string): Promise<Record<'screenshots' | 'pings', { bytes: number; limitBytes: number | null }>>;
}

interface StoredOptions {
  keyValue: Pick<KeyValue, 'get' | 'increment'>;
  quotas: Record<SubscriptionStatus, StorageLimits>;
  /** Undefined while it is not known; as on trial, then. */
  planOf: (organizationId: string) => SubscriptionStatus | undefined;
  metrics: Metrics;
  lifecycle: Lifecycle;
  log: Logger;
  now?: () => number;
}

const exceeded = (what: string) =>
  conflict('STORAGE_QUOTA_EXCEEDED', `The organization has stored as many ${what} as its plan takes.`);

/**
 * What organisations have stored, against their plans. Pings are counted here, by month, and added up in key-value now
 * and then, not with every request; screenshots are counted by their processor.
 */
export function createStored({
  keyValue,
  quotas,
  planOf,
  metrics,
  lifecycle,
  log,
  now = Date.now,
}: StoredOptions): Stored {
  const taken = metrics.counter('worktide_pings_bytes_total', 'Bytes of pings on the log and answered 202.');
  const refused = metrics.counter('worktide_storage_quota_refused_total', 'Requests refused for a plan.', ['kind']);
  const limitsOf = (organizationId: string): StorageLimits => quotas[planOf(organizationId) ?? 'trial'];

  let month = '';
  /** When it begins and ends: asked of every request, and cheaper than its name. */
  let [monthStart, monthEnd] = [0, 0];
  /** Of this month: what all replicas had taken when it was last added up, and what this one has taken since. */
  let pings = new Map<string, { total: number; since: number }>();

  function pingsOf(organizationId: string): { total: number; since: number } {
    const at = now();
    if (at < monthStart || at >= monthEnd) {
      const date = new Date(at);
      month = date.toISOString().slice(0, 7);
      monthStart = Date.UTC(date.getUTCFullYear(), date.getUTCMonth());
      monthEnd = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1);
      // What was not added up yet of the month before is let go: its quota is over.
      pings = new Map();
    }
    const known = pings.get(organizationId) ?? { total: 0, since: 0 };
    pings.set(organizationId, known);
    return known;
  }

  async function addUpOf(organizationId: string, counted: { total: number; since: number }): Promise<void> {
    const { since } = counted;
    counted.since = 0;
    try {
      counted.total = await keyValue.increment(storedPingsKey(organizationId, month), since, storedTtlMs);
    } catch (error) {
      // Perhaps it was added all the same; then it is a few seconds' pings too many.
      counted.since += since;
      throw error;
    }
  }

  let flushing: Promise<void> = Promise.resolve();
  async function flush(): Promise<void> {
    const changed = [...pings].filter(([, { since }]) => since > 0);
    for (let start = 0; start < changed.length; start += flushAtOnce) {
      await Promise.all(changed.slice(start, start + flushAtOnce).map(([id, counted]) => addUpOf(id, counted)));
    }
  }
  function flushInTurn(): Promise<void> {
    flushing = flushing
      .then(flush)
      .catch((err: unknown) => log.debug({ err }, `stored pings not added up: ${describeError(err)}`));
    return flushing;
  }
  lifecycle.onClose('last stored pings', flushInTurn);
  lifecycle.every('stored pings', { everyMs: flushEveryMs, first: 'later' }, flushInTurn);

  const screenshots = new Map<string, { at: number; bytes: number }>();
  async function screenshotsOf(organizationId: string): Promise<number> {
    const known = screenshots.get(organizationId);
    if (known && now() - known.at < screenshotsFreshMs) return known.bytes;
    const bytes = Number((await keyValue.get(storedScreenshotsKey(organizationId))) ?? 0);
    screenshots.delete(organizationId);
    screenshots.set(organizationId, { at: now(), bytes });
    // The oldest; they are asked for again at no great cost.
    if (screenshots.size > 10_000) screenshots.delete(screenshots.keys().next().value!);
    return bytes;
  }

  return {
    requirePings(organizationId) {
      const limit = limitsOf(organizationId).pings;
      if (limit === null) return;
      const { total, since } = pingsOf(organizationId);
      if (total + since < limit) return;
      refused.inc({ kind: 'pings' });
      throw exceeded('pings this month');
    },
    addPings(organizationId, bytes) {
      taken.inc(bytes);
      pingsOf(organizationId).since += bytes;
    },
    async requireScreenshots(organizationId) {
      const limit = limitsOf(organizationId).screenshots;
      if (limit === null) return;
      if ((await screenshotsOf(organizationId).catch(() => 0)) < limit) return;
      refused.inc({ kind: 'screenshots' });
      throw exceeded('screenshots');
    },
    addUp: flushInTurn,
    async usage(organizationId) {
      const limits = limitsOf(organizationId);
      const counted = pingsOf(organizationId);
      const [pictures, total] = await Promise.all([
        screenshotsOf(organizationId),
        keyValue.get(storedPingsKey(organizationId, month)),
      ]);
      return {
        screenshots: { bytes: pictures, limitBytes: limits.screenshots },
        pings: { bytes: Number(total ?? 0) + counted.since, limitBytes: limits.pings },
      };
    },
  };
}
