import type { Identity, Leads } from '@worktide/identity';
import { type Caller, forbidden, notFound } from '@worktide/runtime';
import type { Subject } from './reports.ts';

/**
 * Whose report a caller gets: their own, for managers and admins that of anybody in their organisation, for leads that of
 * their teams' members. The zone is
 * the one asked for, else that user's own.
 * @throws AppError 404 for a user who is not in the caller's organisation, whoever asks; 403 for a colleague without
 *   the role; 503 when auth cannot be asked.
 */
export async function subjectOf(
  caller: Caller,
  asked: { userId?: string | undefined; timezone?: string | undefined },
  findUser: Identity['findUser'],
  leads: Leads,
): Promise<Subject> {
  const { organizationId } = caller;
  const userId = asked.userId ?? caller.userId;
  if (userId === caller.userId) return { organizationId, userId, timezone: asked.timezone ?? caller.timezone };
  const user = await findUser(organizationId, userId);
  if (!user) throw notFound('There is no such user here.');
  if (caller.role === 'employee' && !(await leads.of(caller)).userIds.has(userId)) {
    throw forbidden('Reports of others are for managers, admins and who leads them.');
  }
  return { organizationId, userId, timezone: asked.timezone ?? user.timezone };
}
