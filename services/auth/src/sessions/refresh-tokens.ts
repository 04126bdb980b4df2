import { createHash, randomBytes } from 'node:crypto';
import type { Queryable } from '@worktide/postgres';

/** U2: a refresh token lives 7 days; each use gives a new one. */
export const refreshTokenDays = 7;

/** However often it is used: then somebody has to know the password again. */
export const maxSessionDays = 90;

/** 256 random bits; stored as their SHA-256 alone. */
export const newRefreshToken = (): string => randomBytes(32).toString('base64url');

export const hashOf = (token: string): Buffer => createHash('sha256').update(token).digest();

/** Stores a token of a session, given for `parent` or, as the first of the session, for none. */
export async function insertRefreshToken(
  client: Queryable,
  token: { organizationId: string; sessionId: string; token: string; parent: Buffer | null },
): Promise<void> {
  await client.query(
    `INSERT INTO auth.refresh_tokens (token_hash, organization_id, session_id, parent_hash, expires_at)
     VALUES ($1, $2, $3, $4, clock_timestamp() + interval '${refreshTokenDays} days')`,
    [hashOf(token.token), token.organizationId, token.sessionId, token.parent],
  );
}
