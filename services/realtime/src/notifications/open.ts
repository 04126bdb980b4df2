import type { Consumer, EventLog } from '@worktide/event-log';
import { askInternal } from '@worktide/identity';
import type { Pool, Reads } from '@worktide/postgres';
import type { AnyRoute, Lifecycle, Metrics } from '@worktide/runtime';
import { digestTaken, type SchemaRegistry } from '@worktide/schemas';
import type { Config } from '../config.ts';
import { followForNotifications } from './consumer.ts';
import { mailDigests } from './digest.ts';
import { tellDueTasks } from './due.ts';
import type { Push } from './push.ts';
import { removeOldNotifications } from './retention.ts';
import { notificationRoutes } from './routes.ts';
import { createTeller, notificationMetrics, type Teller } from './tell.ts';

/** How soon after the morning has begun somewhere people are told of tomorrow. */
const scanEveryMs = 300_000;
const sweepEveryMs = 6 * 3_600_000;
const retryMs = 30_000;

/** Tables of notifications, for the erasing of an organisation. */
export const notificationTables = [
  'notifications',
  'notification_settings',
  'known_tasks',
  'known_projects',
  'known_teams',
] as const;

export interface Notifications {
  routes: AnyRoute[];
  teller: Teller;
  consumer: Consumer;
}

/** Notifications: from topics and scans into rows, and from these to sockets and digests. Closes with the lifecycle. */
export async function openNotifications(
  config: Pick<Config, 'AUTH_URL' | 'INTERNAL_TOKEN'>,
  deps: {
    pool: Pool;
    reads: Reads;
    eventLog: Pick<EventLog, 'consume'>;
    registry: SchemaRegistry;
    push: Push;
    lifecycle: Lifecycle;
    metrics: Metrics;
  },
): Promise<Notifications> {
  const { pool, reads, eventLog, registry, push, lifecycle } = deps;
  const metrics = notificationMetrics(deps.metrics);
  const teller = createTeller({ pool, push, metrics });
  const auth = { service: 'auth', url: config.AUTH_URL, internalToken: config.INTERNAL_TOKEN };

  lifecycle.every('tasks due tomorrow', { everyMs: scanEveryMs, retryMs }, () =>
    tellDueTasks({ pool, teller }, Date.now()),
  );
  const mail = async (body: object): Promise<void> => {
    await askInternal(auth, digestTaken, '/internal/mails/digest', body);
  };
  lifecycle.every('digests', { everyMs: scanEveryMs, retryMs }, () => mailDigests({ pool, mail, metrics }, Date.now()));
  lifecycle.every('old notifications', { everyMs: sweepEveryMs, retryMs }, () => removeOldNotifications(pool, metrics));

  const consumer = await followForNotifications({ eventLog, registry, pool, teller });
  lifecycle.onClose('notifications consumer', () => consumer.close());
  return { routes: notificationRoutes(pool, reads), teller, consumer };
}
