import { colleagueAsked, type Identity, type Leads } from '@worktide/identity';
import { type AppError, type Caller, forbidden } from '@worktide/runtime';
import type { Subject } from './reports.ts';

export const refused = (): AppError => forbidden('Reports of others are for managers, admins and who leads them.');

/**
 * Whose report a caller gets: their own, for managers and admins that of anybody in their organisation, for leads that of
 * their teams' members. The zone is the one asked for, else that user's own.
 * @throws as `colleagueAsked`.
 */
export async function subjectOf(
  caller: Caller,
  asked: { userId?: string | undefined; timezone?: string | undefined },
  findUser: Identity['findUser'],
  leads: Leads,
): Promise<Subject> {
  const { organizationId } = caller;
  const userId = asked.userId ?? caller.userId;
  const { timezone } =
    userId === caller.userId ? caller : await colleagueAsked(caller, userId, findUser, { leads, refused });
  return { organizationId, userId, timezone: asked.timezone ?? timezone };
}
