import { type Audit, systemSource } from '@worktide/audit';
import type { PoolClient, Tell } from '@worktide/postgres';
import type { Logger } from '@worktide/runtime';
import { draftsForAdmins, insertNotifications, type NotificationRow } from '../notifications/store.ts';
import type { SwitchedOff } from './deliveries.ts';
import type { WebhookMetrics } from './metrics.ts';

const words = {
  person: 'Somebody switched it off.',
  failing: 'It has taken nothing for a day.',
  backlog: 'Too many deliveries wait for it.',
  gone: 'It has answered that it is gone.',
} as const;

/** In the transaction that switches webhooks off: tells those who administer them. @returns what is to be pushed after it. */
export async function noteSwitchedOff(
  client: PoolClient,
  off: readonly SwitchedOff[],
  { audit, tell }: { audit: Pick<Audit, 'events'>; tell: Tell },
): Promise<NotificationRow[]> {
  const rows: NotificationRow[] = [];
  for (const { organizationId, id, reason, offAt } of off) {
    const told = {
      type: 'webhook.off' as const,
      title: 'A webhook was switched off',
      body: words[reason],
      link: `/settings/webhooks/${id}`,
    };
    rows.push(
      ...(await insertNotifications(client, await draftsForAdmins(client, organizationId, told, id, offAt.getTime()))),
    );
    tell(
      ...audit.events(organizationId, systemSource, [
        {
          action: 'webhook.switched-off',
          entityType: 'webhook',
          entityId: id,
          before: { enabled: true },
          after: { enabled: false, reason },
        },
      ]),
    );
  }
  return rows;
}

/** After the commit. */
export function countSwitchedOff(off: readonly SwitchedOff[], metrics: WebhookMetrics, log: Logger): void {
  for (const { organizationId, id, reason } of off) {
    metrics.off.inc({ reason });
    log.warn({ organizationId, webhookId: id, reason }, 'a webhook is switched off');
  }
}
