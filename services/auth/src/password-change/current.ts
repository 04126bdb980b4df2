import { type Pool, tenantTransaction } from '@worktide/postgres';
import { AppError, type Caller, invalid, unauthorized, userSubject } from '@worktide/runtime';
import type { Response } from 'express';
import { counted } from '../accounts/attempts.ts';
import type { Applicant } from '../applicant.ts';
import type { AuthContext } from '../context.ts';
import type { AuthLimits } from '../limits.ts';

// Not 401, by which clients would log themselves out.
export const wrongPassword = (): AppError => invalid('WRONG_PASSWORD', 'The current password is not this one.');

/** What wants the caller's password: a stolen session must not be a way to try some. @throws 429, and what `work` throws. */
export const countedPassword = <T>(
  res: Response,
  limits: Pick<AuthLimits, 'changePassword'>,
  caller: Caller,
  work: () => Promise<T>,
): Promise<T> => {
  const isWrong = (error: unknown) => error instanceof AppError && error.code === 'WRONG_PASSWORD';
  return counted(res, limits.changePassword, userSubject(caller), work, isWrong);
};

/**
 * The caller's address and the hash that the given password was compared with.
 * @throws 400 `WRONG_PASSWORD`, 401 for one who was deleted meanwhile, 503.
 */
export async function provePassword(
  { pool, passwords }: Pick<AuthContext, 'pool' | 'passwords'>,
  caller: Caller,
  password: string,
  applicant: Applicant,
): Promise<{ email: string; passwordHash: string }> {
  const found = await findPassword(pool, caller);
  if (!(await passwords.verify(password, found.passwordHash, applicant))) throw wrongPassword();
  return found;
}

async function findPassword(
  pool: Pool,
  { organizationId, userId }: Caller,
): Promise<{ email: string; passwordHash: string }> {
  const { rows } = await tenantTransaction(pool, organizationId, (client) =>
    client.query<{ email: string; passwordHash: string }>(
      `SELECT email, password_hash AS "passwordHash" FROM auth.users
       WHERE organization_id = $1 AND id = $2 AND deleted_at IS NULL`,
      [organizationId, userId],
    ),
  );
  if (!rows[0]) throw unauthorized();
  return rows[0];
}
