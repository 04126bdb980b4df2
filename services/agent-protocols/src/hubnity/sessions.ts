import { createCipheriv, createDecipheriv, hash, hkdfSync, randomBytes } from 'node:crypto';
import { type Pool, tenantTransaction } from '@worktide/postgres';
import { keepNewest } from './requests.ts';

/** Desktops that a person is logged in on: the one that was used longest ago is forgotten beyond these. */
const maxSessions = 50;
const secretBytes = 32;
const ivBytes = 12;
const tagBytes = 16;

/** The token that a desktop keeps, taken apart. */
export interface DesktopToken {
  organizationId: string;
  /** What it is found by. */
  hash: Buffer;
  /** Opens what was sealed for it. */
  key: Buffer;
}

function ofSecret(organizationId: string, secret: Buffer): DesktopToken {
  return {
    organizationId,
    hash: hash('sha256', secret, 'buffer'),
    key: Buffer.from(hkdfSync('sha256', secret, '', 'hubnity refresh token', 32)),
  };
}

/** A new token for a desktop. It names its organisation, so that it is looked for in there alone. */
export function makeToken(organizationId: string): { text: string; token: DesktopToken } {
  const secret = randomBytes(secretBytes);
  return { text: `${organizationId}.${secret.toString('base64url')}`, token: ofSecret(organizationId, secret) };
}

/** @returns undefined for what was never one of ours. */
export function readToken(text: string): DesktopToken | undefined {
  const [, organizationId, encoded] = /^([\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})\.([\w-]{43})$/.exec(text) ?? [];
  if (organizationId === undefined) return undefined;
  const secret = Buffer.from(encoded!, 'base64url');
  return secret.length === secretBytes ? ofSecret(organizationId, secret) : undefined;
}

export function seal({ key }: DesktopToken, refreshToken: string): Buffer {
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  const text = Buffer.concat([cipher.update(refreshToken, 'utf8'), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), text]);
}

export function unseal({ key }: DesktopToken, sealed: Buffer): string {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, ivBytes), { authTagLength: tagBytes });
  decipher.setAuthTag(sealed.subarray(ivBytes, ivBytes + tagBytes));
  const text = Buffer.concat([decipher.update(sealed.subarray(ivBytes + tagBytes)), decipher.final()]);
  return text.toString('utf8');
}

/** Keeps a refresh token of ours for a desktop. Rejects 503. */
export async function keepSession(
  pool: Pool,
  token: DesktopToken,
  userId: string,
  refreshToken: string,
  signal?: AbortSignal,
): Promise<void> {
  await tenantTransaction(
    pool,
    token.organizationId,
    async (client) => {
      const { organizationId } = token;
      await client.query(
        'INSERT INTO agent_protocols.hubnity_sessions (organization_id, user_id, token_hash, sealed) VALUES ($1, $2, $3, $4)',
        [organizationId, userId, token.hash, seal(token, refreshToken)],
      );
      const bounds = { table: 'hubnity_sessions', column: 'used_at', most: maxSessions };
      await keepNewest(client, { organizationId, userId }, bounds);
    },
    { signal },
  );
}

/** What was sealed last for a token; undefined where there is nothing. Rejects 503. */
export function findSealed(pool: Pool, token: DesktopToken, signal?: AbortSignal): Promise<Buffer | undefined> {
  return tenantTransaction(
    pool,
    token.organizationId,
    async (client) => {
      const { rows } = await client.query<{ sealed: Buffer }>(
        'SELECT sealed FROM agent_protocols.hubnity_sessions WHERE organization_id = $1 AND token_hash = $2',
        [token.organizationId, token.hash],
      );
      return rows[0]?.sealed;
    },
    { signal },
  );
}

/**
 * Keeps the successor in the place of what it was made from. Where another process has been faster its successor stays: both are
 * good until one of them is used. Not ended with the request: a successor that is not kept is a session lost.
 */
export async function replaceSealed(
  pool: Pool,
  token: DesktopToken,
  from: Buffer,
  refreshToken: string,
): Promise<void> {
  await tenantTransaction(pool, token.organizationId, (client) =>
    client.query(
      `UPDATE agent_protocols.hubnity_sessions SET sealed = $4, used_at = now()
         WHERE organization_id = $1 AND token_hash = $2 AND sealed = $3`,
      [token.organizationId, token.hash, from, seal(token, refreshToken)],
    ),
  );
}

export async function forgetSession(pool: Pool, token: DesktopToken): Promise<void> {
  await tenantTransaction(pool, token.organizationId, (client) =>
    client.query('DELETE FROM agent_protocols.hubnity_sessions WHERE organization_id = $1 AND token_hash = $2', [
      token.organizationId,
      token.hash,
    ]),
  );
}
