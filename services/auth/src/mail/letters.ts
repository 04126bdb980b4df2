import { type Pool, type Queryable, transaction } from '@worktide/postgres';
import type { DigestMail } from '@worktide/schemas';
import type { QueuedMail } from './queue.ts';
import { hashOfMailToken, newMailToken, type TokenKind, tokenHours } from './tokens.ts';

/** A mail as it goes out. */
export interface Letter {
  to: string;
  subject: string;
  /** Plain text; a link stands on a line of its own. */
  text: string;
  /** Hash of the token in the link, where there is one. */
  tokenHash?: Buffer;
}

const signature = '\n-- \nWorktide\n';

/**
 * Writes a queued mail, and makes the token of its link: it exists in the letter alone, the database has its hash.
 * @returns undefined where nobody wants the mail any more: the invitation was revoked, the user suspended or deleted,
 *   the password set meanwhile.
 */
export async function writeLetter(pool: Pool, mail: QueuedMail, publicUrl: string): Promise<Letter | undefined> {
  switch (mail.kind) {
    case 'password-reset':
      return transaction(pool, (client) => passwordReset(client, mail, publicUrl));
    case 'invitation':
      return transaction(pool, (client) => invitation(client, mail, publicUrl));
    case 'verification':
      return transaction(pool, (client) => verification(client, mail, publicUrl));
    case 'password-changed':
      return passwordChanged(mail);
    case 'deletion-requested':
      return deletionRequested(pool, mail);
    case 'digest':
      return digest(pool, mail, publicUrl);
  }
}

async function passwordReset(client: Queryable, mail: QueuedMail, publicUrl: string): Promise<Letter | undefined> {
  const { rowCount } = await client.query(
    `SELECT 1 FROM auth.users
     WHERE organization_id = $1 AND id = $2 AND email = $3 AND status = 'active' AND deleted_at IS NULL FOR SHARE`,
    [mail.organizationId, mail.subjectId, mail.recipient],
  );
  if (rowCount === 0 || !(await isStillQueued(client, mail))) return undefined;
  const { token, tokenHash } = await insertToken(client, 'password-reset', mail);
  const text = `Somebody, most likely you, asked for a new password for this address.
Choose it here, within an hour:

${linkTo(publicUrl, 'reset-password', token)}

The link works once. If it was not you, nothing needs to be done:
your password stays what it is.
${signature}`;
  return { to: mail.recipient, subject: 'Choose a new password', text, tokenHash };
}

async function invitation(client: Queryable, mail: QueuedMail, publicUrl: string): Promise<Letter | undefined> {
  const { rows } = await client.query<{ organization: string; inviter: string }>(
    `SELECT o.name AS organization, u.name AS inviter
     FROM auth.invitations i
     JOIN auth.organizations o ON o.id = i.organization_id
     JOIN auth.users u ON u.organization_id = i.organization_id AND u.id = i.invited_by
     WHERE i.organization_id = $1 AND i.id = $2 AND i.accepted_at IS NULL AND i.revoked_at IS NULL
     FOR NO KEY UPDATE OF i`,
    [mail.organizationId, mail.subjectId],
  );
  const found = rows[0];
  if (!found || !(await isStillQueued(client, mail))) return undefined;
  const { token, tokenHash } = await insertToken(client, 'invitation', mail);
  await client.query(
    `UPDATE auth.invitations i SET expires_at = t.expires_at FROM auth.mail_tokens t
     WHERE i.organization_id = $1 AND i.id = $2 AND t.token_hash = $3`,
    [mail.organizationId, mail.subjectId, tokenHash],
  );
  const text = `You are invited to Worktide by
${wordsOf(found.inviter)}
of
${wordsOf(found.organization)}

Accept here, within seven days:

${linkTo(publicUrl, 'accept-invitation', token)}

The link works once. If you don't know what this is about,
nothing needs to be done.
${signature}`;
  return { to: mail.recipient, subject: 'You are invited to Worktide', text, tokenHash };
}

async function verification(client: Queryable, mail: QueuedMail, publicUrl: string): Promise<Letter | undefined> {
  const { rows } = await client.query<{ name: string; organization: string }>(
    `SELECT u.name, o.name AS organization FROM auth.users u JOIN auth.organizations o ON o.id = u.organization_id
     WHERE u.organization_id = $1 AND u.id = $2 AND u.email = $3 AND u.status = 'active' AND u.verified_at IS NULL
     FOR SHARE OF u`,
    [mail.organizationId, mail.subjectId, mail.recipient],
  );
  const found = rows[0];
  if (!found || !(await isStillQueued(client, mail))) return undefined;
  const { token, tokenHash } = await insertToken(client, 'verification', mail);
  const text = `Somebody, most likely you, registered at Worktide with this address, as
${wordsOf(found.name)}
of
${wordsOf(found.organization)}

If it was you, say so here, within a day:

${linkTo(publicUrl, 'verify-address', token)}

If it was not you, do NOT follow the link: whoever registered would have
an account with your address. Without it that account is gone in a day.
${signature}`;
  return { to: mail.recipient, subject: 'Is this your address?', text, tokenHash };
}

async function deletionRequested(client: Queryable, mail: QueuedMail): Promise<Letter | undefined> {
  const { rows } = await client.query<{ name: string; deletionAt: Date }>(
    `SELECT name, deletion_at AS "deletionAt" FROM auth.organizations WHERE id = $1 AND deletion_at IS NOT NULL`,
    [mail.organizationId],
  );
  const found = rows[0];
  if (!found) return undefined;
  const text = `You asked for the deletion of the organisation
${wordsOf(found.name)}

At ${found.deletionAt.toISOString().slice(0, 16).replace('T', ' ')} UTC everything that is stored of it will be deleted, for
good: people, time, screenshots, reports. Until then nothing changes, and
you can take it back in the settings of the organisation.

If it was not you, take it back and choose another password at once.
${signature}`;
  return { to: mail.recipient, subject: 'Your organisation will be deleted', text };
}

async function digest(pool: Pool, mail: QueuedMail, publicUrl: string): Promise<Letter | undefined> {
  const { rows } = await pool.query<{ content: Pick<DigestMail, 'items' | 'more'> }>(
    `SELECT m.content FROM auth.mails m
     JOIN auth.users u ON u.organization_id = m.organization_id AND u.id = m.subject_id AND u.email = m.recipient
     WHERE m.organization_id = $1 AND m.id = $2 AND u.status = 'active' AND u.deleted_at IS NULL`,
    [mail.organizationId, mail.id],
  );
  const content = rows[0]?.content;
  if (!content) return undefined;
  const { items, more } = content;
  // Colleagues chose some of these words: none of them is a link.
  const lines = items.map(({ title, body }) => `- ${wordsOf(title)}${body === '' ? '' : `\n  ${wordsOf(body)}`}`);
  const count = items.length + more;
  const text = `What is new for you, and not read yet:

${lines.join('\n')}
${more === 0 ? '' : `\n… and ${more} more.\n`}
All of it is here:

${publicUrl}/notifications

You get this mail because you asked for it. In the settings of your
notifications you can switch it off.
${signature}`;
  return { to: mail.recipient, subject: count === 1 ? 'One thing is new' : `${count} things are new`, text };
}

function passwordChanged(mail: QueuedMail): Letter {
  const text = `The password of your account was changed just now, and other devices
were logged out. Keys of agents still work, unless they were revoked with it.

If it was not you, choose a new password with "Forgot password"
at once, and tell an administrator of your organisation.
${signature}`;
  return { to: mail.recipient, subject: 'Your password was changed', text };
}

// Locked, so that a reset or a revocation that is under way either finds the new token or has removed the mail.
async function isStillQueued(client: Queryable, { organizationId, id }: QueuedMail): Promise<boolean> {
  const { rowCount } = await client.query(
    'SELECT 1 FROM auth.mails WHERE organization_id = $1 AND id = $2 FOR UPDATE',
    [organizationId, id],
  );
  return rowCount !== 0;
}

async function insertToken(
  client: Queryable,
  kind: TokenKind,
  mail: QueuedMail,
): Promise<{ token: string; tokenHash: Buffer }> {
  const token = newMailToken();
  const tokenHash = hashOfMailToken(token);
  await client.query(
    `INSERT INTO auth.mail_tokens (token_hash, organization_id, kind, subject_id, expires_at)
     VALUES ($1, $2, $3, $4, clock_timestamp() + $5 * interval '1 hour')`,
    [tokenHash, mail.organizationId, kind, mail.subjectId, tokenHours[kind]],
  );
  return { token, tokenHash };
}

const linkTo = (publicUrl: string, page: string, token: string): string => `${publicUrl}/${page}?token=${token}`;

/**
 * A name that a stranger chose, as text and nothing else: no characters of links, so that neither people nor programs
 * take a part of it for ours, no line breaks, no changes of direction.
 */
export const wordsOf = (name: string): string =>
  name
    .replaceAll(/[\p{C}\p{Z}=:/\\<>@?&]+/gu, ' ')
    // What looks like a host name is made a link by mail programs.
    .replaceAll(/\.(?=\p{L})/gu, '. ')
    .trim() || '?';
