import type { Pool, Reads } from '@worktide/postgres';
import { type AnyRoute, type Caller, route } from '@worktide/runtime';
import {
  notificationPage,
  notificationQuery,
  notificationSettings,
  notificationsLeft,
  notificationsRead,
} from '@worktide/schemas';
import { getSettings, listNotifications, markRead, type Owner, putSettings } from './store.ts';

const path = '/api/v1/notifications';
const tag = 'notifications';

const own = ({ organizationId, userId }: Caller): Owner => ({ organizationId, userId });

/** One's own and nobody else's; an agent's key reads none, for they tell of others. */
export function notificationRoutes(pool: Pool, reads: Pick<Reads, 'for'>): AnyRoute[] {
  return [
    route({
      method: 'get',
      path,
      operationId: 'listNotifications',
      summary: 'What I was told, newest first',
      tag,
      access: 'session',
      query: notificationQuery,
      responses: { 200: { description: 'A page, and how many of all are not read.', schema: notificationPage } },
      handler: async ({ caller, query, signal }) => ({
        status: 200,
        body: await listNotifications(await reads.for(caller), own(caller), query, { signal }),
      }),
    }),
    route({
      method: 'post',
      path: `${path}/read`,
      operationId: 'readNotifications',
      summary: 'Mark some of mine, or all, as read',
      description: 'Ids that are not mine, or of none, are passed over.',
      tag,
      access: 'session',
      body: notificationsRead,
      responses: { 200: { description: 'How many are left.', schema: notificationsLeft } },
      handler: async ({ caller, body, signal }) => ({
        status: 200,
        body: { unread: await markRead(pool, own(caller), body.ids, { signal }) },
      }),
    }),
    route({
      method: 'get',
      path: `${path}/settings`,
      operationId: 'getNotificationSettings',
      summary: 'How I am told besides',
      tag,
      access: 'session',
      responses: { 200: { description: 'My settings.', schema: notificationSettings } },
      handler: async ({ caller, signal }) => ({ status: 200, body: await getSettings(pool, own(caller), { signal }) }),
    }),
    route({
      method: 'put',
      path: `${path}/settings`,
      operationId: 'putNotificationSettings',
      summary: 'Choose how I am told besides',
      tag,
      access: 'session',
      body: notificationSettings,
      responses: { 200: { description: 'My settings.', schema: notificationSettings } },
      handler: async ({ caller, body, signal }) => ({
        status: 200,
        body: await putSettings(pool, own(caller), body, { signal }),
      }),
    }),
  ];
}
