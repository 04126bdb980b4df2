import type { Identity } from '@worktide/identity';
import { invalid } from '@worktide/runtime';

/**
 * Asks auth whether this user can be given something, before a transaction holds locks; the answer is taken when it
 * turns out to matter.
 * @returns a function that throws 400 `UNKNOWN_USER` unless the user is of the organisation and not inactive, and 503
 *   where auth could not be asked.
 */
export async function lookUpUser(
  findUser: Identity['findUser'],
  organizationId: string,
  userId: string,
  path: string,
): Promise<() => void> {
  try {
    const user = await findUser(organizationId, userId);
    if (user && user.status !== 'inactive') return () => {};
    return () => {
      throw invalid('UNKNOWN_USER', 'There is no such user here.', [
        { path, code: 'UNKNOWN_USER', message: 'not an active user of this organization' },
      ]);
    };
  } catch (error) {
    return () => {
      throw error;
    };
  }
}
