import type { AuditSource } from '@worktide/audit';
import type { Queryable } from '@worktide/postgres';
import { uuidv7 } from '@worktide/runtime';
import { firstOfAddress } from '../accounts/unverified.ts';
import type { Act } from '../action.ts';

/** Requests taken in one transaction. */
const batch = 50;

/**
 * Notes that a new password is wanted for an address. The same for every address: who it belongs to is looked up later,
 * so that neither the answer nor its time tells whether there is an account. Wake the mailer after it. Rejects 503.
 */
export async function requestReset(
  client: Queryable,
  email: string,
  source: Pick<AuditSource, 'ipAddress' | 'userAgent' | 'requestId'>,
): Promise<void> {
  await client.query(
    `INSERT INTO auth.password_requests (id, email, ip_address, user_agent, request_id) VALUES ($1, $2, $3, $4, $5)`,
    [uuidv7(), email, source.ipAddress, source.userAgent, source.requestId],
  );
}

interface RequestRow {
  email: string;
  ip_address: string | null;
  user_agent: string | null;
  request_id: string | null;
}

/** Makes mails of requests, for active users alone; how many requests it took. Several replicas may do it at once. */
export function queueRequestedResets(act: Act): Promise<number> {
  // Begins without a tenant: an address that is proven is unique in the system.
  return act(null, async ({ client, audit }) => {
    const { rows } = await client.query<RequestRow>(
      `DELETE FROM auth.password_requests
       WHERE id IN (SELECT id FROM auth.password_requests ORDER BY id LIMIT ${batch} FOR UPDATE SKIP LOCKED)
       RETURNING email, ip_address, user_agent, request_id`,
    );
    for (const request of rows) {
      const user = await queueReset(client, request.email);
      if (!user) continue;
      const source: AuditSource = {
        actorType: 'user',
        // Whoever knows an address can ask: that it was its owner is not known.
        actorId: null,
        ipAddress: request.ip_address,
        userAgent: request.user_agent,
        requestId: request.request_id,
        sessionId: null,
      };
      audit(user.organizationId, source, {
        action: 'user.password-reset-requested',
        entityType: 'user',
        entityId: user.id,
      });
    }
    return rows.length;
  });
}

async function queueReset(
  client: Queryable,
  email: string,
): Promise<{ organizationId: string; id: string } | undefined> {
  const { rows } = await client.query<{ organizationId: string; id: string }>(
    `SELECT organization_id AS "organizationId", id FROM auth.users
     WHERE email = $1 AND status = 'active' AND deleted_at IS NULL ${firstOfAddress}`,
    [email],
  );
  const user = rows[0];
  if (!user) return undefined;
  // Asked for again and again while the mail server is away, it is still one mail.
  await client.query(
    `INSERT INTO auth.mails (organization_id, id, kind, subject_id, recipient)
     SELECT $1, $2, 'password-reset', $3, $4 WHERE NOT EXISTS (
       SELECT 1 FROM auth.mails
       WHERE organization_id = $1 AND subject_id = $3 AND kind = 'password-reset' AND attempts = 0)`,
    [user.organizationId, uuidv7(), user.id, email],
  );
  return user;
}
