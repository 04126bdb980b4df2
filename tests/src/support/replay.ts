import { openEventLog } from '@worktide/event-log';
import { createMetrics, silentLogger } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { metric } from './http.ts';

interface Group {
  group: string;
  topic: string;
  service: 'session-writer' | 'analytics';
  /** Not every run sends such. */
  mayBeEmpty?: boolean;
}

/** Every consumer that a replay must not disturb. */
const groups: readonly Group[] = [
  { group: 'session-writer', topic: 'pings', service: 'session-writer' },
  { group: 'session-writer-slow', topic: 'pings-slow', service: 'session-writer', mayBeEmpty: true },
  { group: 'session-writer-sync', topic: 'time-entry-syncs', service: 'session-writer', mayBeEmpty: true },
  { group: 'session-writer-sync-slow', topic: 'time-entry-syncs-slow', service: 'session-writer', mayBeEmpty: true },
  { group: 'session-writer-input', topic: 'input-minutes', service: 'session-writer', mayBeEmpty: true },
  { group: 'analytics-pings', topic: 'pings', service: 'analytics' },
  { group: 'analytics-usage', topic: 'usage', service: 'analytics' },
  { group: 'analytics-input-minutes', topic: 'input-minutes', service: 'analytics', mayBeEmpty: true },
  { group: 'analytics-erasures', topic: 'erasures', service: 'analytics', mayBeEmpty: true },
  { group: 'analytics-time-entries', topic: 'time-entries', service: 'analytics', mayBeEmpty: true },
  { group: 'analytics-alerts', topic: 'alerts', service: 'analytics', mayBeEmpty: true },
  { group: 'analytics-audit', topic: 'audit', service: 'analytics' },
  { group: 'analytics-people', topic: 'people', service: 'analytics' },
  { group: 'analytics-workspace-events', topic: 'workspace-events', service: 'analytics', mayBeEmpty: true },
  { group: 'analytics-screenshots-ready', topic: 'screenshots-ready', service: 'analytics', mayBeEmpty: true },
];

/** Where the metrics of a service's replicas are. */
export type OriginsOf = (service: 'session-writer' | 'analytics') => string[];

/**
 * Moves every group back to the first record of its topic; their consumers must have been stopped in order.
 * @returns waits, once they run again, until all records have been handled once more.
 */
export async function replayAll(eventLogUrl: string): Promise<(originsOf: OriginsOf) => Promise<void>> {
  const log = openEventLog(eventLogUrl, { clientId: 'replay', log: silentLogger(), metrics: createMetrics() });
  const records = new Map<string, number>();
  try {
    for (const { group, topic } of groups) {
      // A consumer that was killed earlier counts as a member until its session has run out.
      await until(`${group} has no member`, () => log.admin.resetGroup(group, topic, 'earliest').then(() => true));
      records.set(group, (await log.admin.lag(group, [topic]))[topic]!);
    }
  } finally {
    await log.close();
  }
  return async (originsOf) => {
    for (const { group, topic, service, mayBeEmpty } of groups) {
      const consumed = async (): Promise<number> => {
        const labels = { group, topic };
        const counts = originsOf(service).map((origin) => metric(origin, 'worktide_consumer_records_total', labels));
        return (await Promise.all(counts)).reduce((a, b) => a + b, 0);
      };
      const all = records.get(group)!;
      if (all === 0 && !mayBeEmpty) throw new Error(`${topic} is empty: there was nothing to replay`);
      await until(`${group} has read ${all} records again`, async () => (await consumed()) >= all, { seconds: 60 });
    }
  };
}
