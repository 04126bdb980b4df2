import { type Caller, forbidden, notFound } from '@worktide/runtime';
import type { Identity } from './identity.ts';
import type { Leads } from './leads.ts';

/**
 * Whose data a caller asks for: their own where nobody is named; a colleague's is for managers and admins, and for who leads
 * them where `leads` are given.
 * @throws AppError 404 for a user who is not in the caller's organisation, whoever asks; 403 for a colleague without
 *   the right; 503 when auth, or workspace, cannot be asked.
 */
export async function userAsked(
  caller: Caller,
  given: string | undefined,
  findUser: Identity['findUser'],
  leads?: Leads,
): Promise<string> {
  const userId = given?.toLowerCase() ?? caller.userId;
  if (userId === caller.userId) return userId;
  if (!(await findUser(caller.organizationId, userId))) throw notFound('There is no such user here.');
  if (caller.role === 'employee' && !(await leads?.of(caller))?.userIds.has(userId)) throw forbidden();
  return userId;
}
