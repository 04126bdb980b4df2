import { z } from 'zod';
import { role, subscriptionStatus, userStatus } from './auth.ts';
import { id } from './common.ts';

/**
 * Who somebody is, after a commit of auth (topic `people`): whole, the higher `version` counts. Never an address or a
 * credential.
 */
export const personState = z.object({
  type: z.literal('person'),
  id,
  name: z.string(),
  role,
  status: userStatus,
  timezone: z.string(),
  version: z.int().positive(),
  /** A tombstone: they are gone, their name stays with what they did. */
  deleted: z.boolean(),
});
export const organizationState = z.object({
  type: z.literal('organization'),
  id,
  name: z.string(),
  timezone: z.string(),
  subscriptionStatus,
  version: z.int().positive(),
  /** A tombstone: all that is stored of it is to be erased, for good. */
  deleted: z.boolean(),
});
export const peopleEvent = z.discriminatedUnion('type', [personState, organizationState]);
export type PeopleEvent = z.output<typeof peopleEvent>;

/** Somebody has accepted an invitation, and is there now: what their state alone does not say. */
export const invitationAccepted = z.object({
  type: z.literal('invitation.accepted'),
  /** Of the invitation. */
  id,
  userId: id,
  /** Who sent it last. */
  invitedBy: id,
});
export type InvitationAccepted = z.output<typeof invitationAccepted>;

/** One record of topic `people`: what one transaction changed in one organisation. */
export const peopleRecord = z.object({
  organizationId: id,
  events: z.array(peopleEvent).min(1),
  /** What happened to people whose states are in `events`. Beside them: readers of before would not know a kind of event. */
  happened: z.array(invitationAccepted).min(1).optional(),
});
export type PeopleRecord = z.output<typeof peopleRecord>;
