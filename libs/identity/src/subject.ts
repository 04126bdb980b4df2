import { type AppError, type Caller, forbidden, notFound } from '@worktide/runtime';
import type { KnownUser } from '@worktide/schemas';
import type { Identity } from './identity.ts';
import type { Leads } from './leads.ts';

/** By whom a colleague's data may be had besides managers and admins, and what all others are told. */
export interface ColleagueOptions {
  /** Who leads them may, where these are given. */
  leads?: Leads | undefined;
  refused?: () => AppError;
}

/**
 * Somebody else of the caller's organisation, whose data is for managers and admins.
 * @throws AppError 404 for a user who is not in the caller's organisation, whoever asks; 403 for a colleague without
 *   the right; 503 when auth, or workspace, cannot be asked.
 */
export async function colleagueAsked(
  caller: Caller,
  userId: string,
  findUser: Identity['findUser'],
  { leads, refused = forbidden }: ColleagueOptions = {},
): Promise<KnownUser> {
  const user = await findUser(caller.organizationId, userId);
  if (!user) throw notFound('There is no such user here.');
  if (caller.role === 'employee' && !(await leads?.of(caller))?.userIds.has(userId)) throw refused();
  return user;
}

/** Whose data a caller asks for: their own where nobody is named, else a colleague's. @throws as `colleagueAsked`. */
export async function userAsked(
  caller: Caller,
  given: string | undefined,
  findUser: Identity['findUser'],
  leads?: Leads,
): Promise<string> {
  const userId = given?.toLowerCase() ?? caller.userId;
  if (userId !== caller.userId) await colleagueAsked(caller, userId, findUser, { leads });
  return userId;
}
