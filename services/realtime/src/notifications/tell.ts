import { type Pool, type PoolClient, transaction } from '@worktide/postgres';
import type { Metrics } from '@worktide/runtime';
import type { Draft } from './drafts.ts';
import type { Push } from './push.ts';
import { insertNotifications, type NotificationRow, showNotification } from './store.ts';

export type NotificationMetrics = ReturnType<typeof notificationMetrics>;

/** What an operator sees of notifications. */
export const notificationMetrics = (metrics: Metrics) => ({
  made: metrics.counter('worktide_notifications_total', 'Notifications that people were given', ['type']),
  digests: metrics.counter('worktide_notification_digests_total', 'Mails of what is new that auth was asked for'),
  removed: metrics.counter('worktide_notifications_removed_total', 'Notifications removed: too old, or too many', [
    'why',
  ]),
});

/** How people are told. */
export interface Teller {
  /** Notes what `work` drafts, in its transaction, and pushes after the commit what is new of it. Rejects as that. */
  tell(work: (client: PoolClient) => Promise<Draft[]>): Promise<void>;
  /** Pushes what another transaction has noted; after its commit. */
  push(rows: readonly NotificationRow[]): void;
}

export function createTeller(options: { pool: Pool; push: Push; metrics: NotificationMetrics }): Teller {
  const { pool, push, metrics } = options;
  function send(rows: readonly NotificationRow[]): void {
    push(
      rows.map((row) => {
        metrics.made.inc({ type: row.type });
        const shown = showNotification(row);
        const { organizationId, userId } = row;
        return { organizationId, userId, payload: { ...shown, at: shown.createdAt } };
      }),
    );
  }
  return {
    push: send,
    async tell(work) {
      send(await transaction(pool, async (client) => insertNotifications(client, await work(client))));
    },
  };
}
