import type { Reads } from '@worktide/postgres';
import { describeError, type Logger } from '@worktide/runtime';
import type { Notification } from '@worktide/schemas';
import type { Pushes } from '../pushes/pushes.ts';
import { rooms } from '../sockets/rooms.ts';

/** A notification on its way to whatever sockets its person has. */
export interface NotificationPush {
  organizationId: string;
  userId: string;
  payload: Notification & { at: string };
}

/**
 * Sends notifications. Never before the commit of what they tell, never awaited, and never throws: who has no socket, or
 * loses it now, reads them in the list.
 */
export type Push = (pushes: readonly NotificationPush[]) => void;

/** @param wrote told before: who hears of one looks at the list at once. */
export function pushThrough(pushes: Pick<Pushes, 'post'>, wrote: Reads['wrote'], log: Logger): Push {
  return (list) => {
    const posted = list.map(({ organizationId, userId, payload }) => ({
      kind: 'notification' as const,
      organizationId,
      id: payload.id,
      version: 1,
      deliveries: [{ rooms: [rooms.user(userId)], event: 'notification', payload }],
    }));
    if (posted.length === 0) return;
    Promise.all(list.map(wrote))
      .then(() => pushes.post(posted))
      .catch((error: unknown) => {
        log.warn({ err: error }, `notifications are in the list, and not pushed: ${describeError(error)}`);
      });
  };
}
