import { createHash, randomBytes } from 'node:crypto';
import { inTurn, type Pool, type Queryable } from '@worktide/postgres';
import { type AppError, invalid } from '@worktide/runtime';
import type { Applicant } from '../applicant.ts';

export type TokenKind = 'password-reset' | 'invitation' | 'verification';

/** How long the link of a mail works, from its sending. */
export const tokenHours: Record<TokenKind, number> = { 'password-reset': 1, invitation: 168, verification: 24 };

/** 128 random bits, 22 characters. */
export const newMailToken = (): string => randomBytes(16).toString('base64url');

/** Stored instead of the token; with 128 random bits nothing slower is needed. */
export const hashOfMailToken = (token: string): Buffer => createHash('sha256').update(token).digest();

export interface TokenSubject {
  organizationId: string;
  /** The user whose password it sets or whose address it proves, or the invitation. */
  subjectId: string;
}

/** Alike for a token that never was, has expired, or was used: who guesses learns nothing. */
export const invalidToken = (): AppError =>
  invalid('INVALID_TOKEN', 'This link is not valid any more; ask for another.');

/**
 * Whom a token is for, before the work of a hash is spent on it. It proves nothing yet: `spendToken` does.
 * @throws 400 `INVALID_TOKEN`.
 */
export async function findToken(
  pool: Pool,
  kind: TokenKind,
  token: string,
  applicant: Applicant,
): Promise<TokenSubject> {
  const ask = () =>
    pool.query<TokenSubject>(
      `SELECT organization_id AS "organizationId", subject_id AS "subjectId" FROM auth.mail_tokens
       WHERE token_hash = $1 AND kind = $2 AND expires_at > clock_timestamp()`,
      [hashOfMailToken(token), kind],
    );
  const { rows } = await inTurn(pool, applicant.subject, ask, applicant.signal);
  if (!rows[0]) throw invalidToken();
  return rows[0];
}

/**
 * Takes a token away, and everything else that was sent or is to be sent for its subject. Of several transactions at
 * once one succeeds: each has locked the subject's row first.
 * @throws 400 `INVALID_TOKEN`.
 */
export async function spendToken(
  client: Queryable,
  kind: TokenKind,
  { organizationId, subjectId }: TokenSubject,
  token: string,
): Promise<void> {
  const { rowCount } = await client.query(
    `DELETE FROM auth.mail_tokens
     WHERE organization_id = $1 AND kind = $2 AND subject_id = $3 AND token_hash = $4 AND expires_at > clock_timestamp()`,
    [organizationId, kind, subjectId, hashOfMailToken(token)],
  );
  if (rowCount === 0) throw invalidToken();
  await dropTokens(client, kind, { organizationId, subjectId });
}

/** Makes every link of one kind for a subject worthless, also those of mails not sent yet. Lock the subject first. */
export async function dropTokens(
  client: Queryable,
  kind: TokenKind,
  { organizationId, subjectId }: TokenSubject,
): Promise<void> {
  await client.query('DELETE FROM auth.mails WHERE organization_id = $1 AND kind = $2 AND subject_id = $3', [
    organizationId,
    kind,
    subjectId,
  ]);
  await client.query('DELETE FROM auth.mail_tokens WHERE organization_id = $1 AND kind = $2 AND subject_id = $3', [
    organizationId,
    kind,
    subjectId,
  ]);
}

/** Tokens nobody can use any more. */
export async function pruneTokens(client: Queryable): Promise<void> {
  await client.query("DELETE FROM auth.mail_tokens WHERE expires_at < now() - interval '1 day'");
}
