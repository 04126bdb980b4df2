import { isStorable } from '@worktide/runtime';
import { z } from 'zod';
import { plainText } from './auth.ts';
import { id, namesSomething, page, pageQuery } from './common.ts';

const instantOut = z.iso.datetime();

/** What a webhook can be told of; docs/webhooks.md says when each comes and what its `data` is. */
export const webhookEvent = z.enum([
  'task.created',
  'task.updated',
  'task.deleted',
  'task.assigned',
  'project.created',
  'project.updated',
  'project.deleted',
  'team.created',
  'team.updated',
  'team.deleted',
  'time-entry.created',
  'time-entry.updated',
  'time-entry.deleted',
  'alert.opened',
  'alert.resolved',
  'screenshot.ready',
  'screenshot.failed',
  'person.updated',
  'person.deleted',
  'invitation.accepted',
  'day.finished',
  'export.ready',
  'export.failed',
]);
export type WebhookEvent = z.output<typeof webhookEvent>;
/** The one of `POST /webhooks/:id/test`, which nobody has to choose. */
export const testEvent = 'ping';

const url = z
  .url({ protocol: /^https?$/ })
  .max(2_048)
  .refine(isStorable, { message: 'holds what no store takes' })
  .meta({ description: 'https, to an address of the public internet; redirects are not followed.' });
const events = z
  .array(webhookEvent)
  .min(1)
  .max(100)
  .transform((list) => [...new Set(list)]);
/** Null, like the empty text, is none. */
const description = plainText(200).nullable();

export const webhook = z
  .object({
    id,
    url: z.string(),
    events: z.array(webhookEvent),
    description: z.string().nullable(),
    enabled: z.boolean(),
    off: z
      .object({ at: instantOut, reason: z.enum(['person', 'failing', 'backlog', 'gone']) })
      .nullable()
      .meta({
        description:
          'Since when it is off, and why: by a person, after a day in which nothing got through, with too many deliveries waiting, or because the receiver answered 410.',
      }),
    failingSince: instantOut
      .nullable()
      .meta({ description: 'Since when nothing got through; null where all is well.' }),
    waiting: z.int().min(0).meta({ description: 'Deliveries that are not made yet.' }),
    oldSecretUntil: instantOut.nullable().meta({ description: 'Until then the secret before this one signs, too.' }),
    createdBy: id,
    createdAt: instantOut,
    updatedAt: instantOut,
  })
  .meta({ id: 'Webhook' });
export type Webhook = z.output<typeof webhook>;
export const webhookPage = page(webhook);

const secret = z.string().meta({ description: 'Signs deliveries; shown here and never again.' });
export const createdWebhook = webhook.extend({ secret }).meta({ id: 'CreatedWebhook' });
export type CreatedWebhook = z.output<typeof createdWebhook>;

export const newWebhook = z.object({ url, events, description: description.optional() });
export type NewWebhook = z.output<typeof newWebhook>;
export const webhookChange = z
  .object({
    url: url.optional(),
    events: events.optional(),
    description: description.optional(),
    enabled: z.boolean().optional().meta({ description: 'On again, it is told of what happens from then on.' }),
  })
  .refine(...namesSomething());
export type WebhookChange = z.output<typeof webhookChange>;

export const deliveryStatus = z.enum(['waiting', 'delivered', 'failed', 'dropped']);
export type DeliveryStatus = z.output<typeof deliveryStatus>;

/** One time that a delivery was tried. */
export const deliveryTry = z.object({
  at: instantOut,
  durationMs: z.int().min(0),
  statusCode: z.int().nullable().meta({ description: 'Of the answer, where there was one.' }),
  failure: z.object({ code: z.string(), message: z.string() }).nullable(),
});
export type DeliveryTry = z.output<typeof deliveryTry>;

export const delivery = z
  .object({
    id: id.meta({ description: '`X-Worktide-Delivery`: the same for all tries.' }),
    eventId: id.meta({ description: 'Of what happened: the same for all webhooks.' }),
    event: z.string(),
    status: deliveryStatus.meta({
      description:
        '`failed`: not taken within a day. `dropped`: the webhook was switched off before it could be delivered.',
    }),
    attempts: z.int().min(0),
    tries: z.array(deliveryTry).meta({ description: 'The last ten, newest first.' }),
    nextTryAt: instantOut.nullable(),
    createdAt: instantOut,
    settledAt: instantOut.nullable(),
  })
  .meta({ id: 'WebhookDelivery' });
export type Delivery = z.output<typeof delivery>;
export const deliveryPage = page(delivery);
export const deliveryQuery = z.object({ ...pageQuery, status: deliveryStatus.optional() });

export const wholeDelivery = delivery
  .extend({
    payload: z
      .string()
      .nullable()
      .meta({ description: 'The body, as it is sent; null where it is not kept any more.' }),
    answer: z
      .string()
      .nullable()
      .meta({ description: 'The first 64 KiB of the last answer; null where there was none, or it is not kept.' }),
  })
  .meta({ id: 'WholeWebhookDelivery' });
export const deliveryParams = z.object({ id, deliveryId: id });
export const testQueued = z.object({ deliveryId: id });
