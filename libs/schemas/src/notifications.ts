import { z } from 'zod';
import { givenId, id, page, pageQuery } from './common.ts';

const instantOut = z.iso.datetime();

/** What a person can be told of. */
export const notificationType = z.enum([
  'task.assigned',
  'task.reassigned',
  'task.due',
  'alert.own',
  'alert.team',
  'invitation.accepted',
  'export.ready',
  'export.failed',
  'webhook.off',
]);
export type NotificationType = z.output<typeof notificationType>;

export const notification = z
  .object({
    id,
    type: notificationType,
    title: z.string(),
    body: z.string().meta({ description: 'Plain text; may be empty.' }),
    link: z.string().meta({ description: 'A path of the dashboard.' }),
    createdAt: instantOut,
    readAt: instantOut.nullable(),
  })
  .meta({ id: 'Notification' });
export type Notification = z.output<typeof notification>;

const unread = z.int().min(0).meta({ description: 'How many of all are not read.' });

export const notificationPage = page(notification).extend({ unread }).meta({ id: 'NotificationPage' });
export const notificationQuery = z.object({ ...pageQuery, state: z.enum(['unread', 'read']).optional() });

/** Most that one request marks by their ids. */
const maxIds = 500;
export const notificationsRead = z
  .object({
    ids: z.array(givenId).min(1).max(maxIds).optional(),
    all: z.literal(true).optional().meta({ description: 'All that there are at this moment.' }),
  })
  .refine(({ ids, all }) => (ids === undefined) !== (all === undefined), { message: 'ids or all: one of them' })
  .meta({ id: 'NotificationsRead' });
export const notificationsLeft = z.object({ unread });

export const digest = z.enum(['off', 'daily']);
export type Digest = z.output<typeof digest>;
export const notificationSettings = z
  .object({
    digest: digest.meta({
      description: '`daily`: in the morning of the own zone a mail of what is new and not read, where there is any.',
    }),
  })
  .meta({ id: 'NotificationSettings' });
export type NotificationSettings = z.output<typeof notificationSettings>;

/** What auth is asked to mail to somebody, whose address nobody else knows. Not part of the public interface. */
export const digestMail = z.object({
  organizationId: id,
  userId: id,
  /** Newest first. */
  items: z
    .array(z.object({ title: z.string().max(500), body: z.string().max(1_000), link: z.string().max(500) }))
    .min(1)
    .max(20),
  /** How many there are beside them. */
  more: z.int().min(0),
});
export type DigestMail = z.output<typeof digestMail>;
export const digestTaken = z.object({
  queued: z.boolean().meta({ description: 'false: there is nobody to mail to, or not to a proven address.' }),
});
