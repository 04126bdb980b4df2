import type { Queryable } from '@worktide/postgres';
import { uuidv7 } from '@worktide/runtime';

export type MailKind =
  | 'password-reset'
  | 'password-changed'
  | 'invitation'
  | 'verification'
  | 'deletion-requested'
  | 'digest';

/** A mail that is to be sent. */
export interface QueuedMail {
  organizationId: string;
  id: string;
  kind: MailKind;
  /** The user, or the invitation. */
  subjectId: string;
  recipient: string;
  /** Attempts so far, the one under way included. */
  attempts: number;
}

/** As long as sending one mail can take at most, and a little more: then another replica takes it. */
const leaseSeconds = 120;
/** Mail servers are away for a night, or a weekend; after that a mail comes as a surprise. */
const keepHours = 48;

/** A thousand invitations of one organisation stand in the line as if they had come one after the other. */
const turnSeconds = 1;

/** Puts a mail into the queue, in the transaction that makes it due. Wake the mailer after the commit. */
export async function queueMail(
  client: Queryable,
  mail: Pick<QueuedMail, 'organizationId' | 'kind' | 'subjectId' | 'recipient'> & { content?: object },
): Promise<void> {
  await client.query(
    `INSERT INTO auth.mails (organization_id, id, kind, subject_id, recipient, content, turn_at)
     SELECT $1, $2, $3, $4, $5, $6, clock_timestamp() + count(*) * interval '${turnSeconds} seconds'
     FROM auth.mails WHERE organization_id = $1`,
    [
      mail.organizationId,
      uuidv7(),
      mail.kind,
      mail.subjectId,
      mail.recipient,
      mail.content === undefined ? null : JSON.stringify(mail.content),
    ],
  );
}

/**
 * Mails that are due, by turns between organisations, passwords before invitations and digests; they are the caller's for two
 * minutes.
 */
export async function claimMails(client: Queryable, limit: number): Promise<QueuedMail[]> {
  const { rows } = await client.query<QueuedMail>(
    `UPDATE auth.mails SET due_at = clock_timestamp() + interval '${leaseSeconds} seconds', attempts = attempts + 1
     WHERE (organization_id, id) IN (
       SELECT organization_id, id FROM auth.mails WHERE due_at <= clock_timestamp()
       ORDER BY (kind IN ('invitation', 'digest')), turn_at LIMIT $1 FOR UPDATE SKIP LOCKED)
     RETURNING organization_id AS "organizationId", id, kind, subject_id AS "subjectId", recipient, attempts`,
    [limit],
  );
  return rows;
}

/** Sent, or not wanted any more. */
export async function removeMail(client: Queryable, { organizationId, id }: QueuedMail): Promise<void> {
  await client.query('DELETE FROM auth.mails WHERE organization_id = $1 AND id = $2', [organizationId, id]);
}

export async function postponeMail(client: Queryable, { organizationId, id }: QueuedMail, ms: number): Promise<void> {
  await client.query(
    `UPDATE auth.mails SET due_at = clock_timestamp() + $3 * interval '1 millisecond'
     WHERE organization_id = $1 AND id = $2`,
    [organizationId, id, ms],
  );
}

/** Takes out what could not be sent in two days, and gives it. */
export async function giveUpMails(client: Queryable): Promise<Omit<QueuedMail, 'recipient'>[]> {
  const { rows } = await client.query<Omit<QueuedMail, 'recipient'>>(
    `DELETE FROM auth.mails
     WHERE due_at <= clock_timestamp() AND created_at < clock_timestamp() - interval '${keepHours} hours'
     RETURNING organization_id AS "organizationId", id, kind, subject_id AS "subjectId", attempts`,
  );
  return rows;
}

/** How many wait, and for how long the oldest has. */
export async function measureMails(client: Queryable): Promise<{ waiting: number; oldestSeconds: number }> {
  const { rows } = await client.query<{ waiting: number; oldest: number }>(
    `SELECT count(*) AS waiting,
            coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS oldest
     FROM auth.mails`,
  );
  return { waiting: rows[0]!.waiting, oldestSeconds: Math.max(0, rows[0]!.oldest) };
}
