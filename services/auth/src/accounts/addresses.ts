import { type Pool, transaction, violatedConstraint } from '@worktide/postgres';
import type { Logger } from '@worktide/runtime';
import { mailboxOf } from '@worktide/schemas';

const rowsAtOnce = 500;

interface Row {
  organization_id: string;
  id: string;
  email: string;
}

/**
 * Brings addresses that were stored before there was one form of them to that form, so that their people can log in.
 * Where another account has it already, or there is none, the address stays as it is and its row is named in the log:
 * which of two accounts is whose is for people to say. Any number of replicas may do so at once.
 */
export async function sweepAddresses(pool: Pool, { log, signal }: { log: Logger; signal: AbortSignal }): Promise<void> {
  for (const table of ['users', 'invitations'] as const) {
    let after: Row | undefined;
    do {
      // Those of ASCII had the one form before.
      const { rows } = await pool.query<Row>(
        `SELECT organization_id, id, email FROM auth.${table}
         WHERE email ~ '[^\\x01-\\x7f]' AND ($1::uuid IS NULL OR (organization_id, id) > ($1, $2::uuid))
         ORDER BY organization_id, id LIMIT ${rowsAtOnce}`,
        [after?.organization_id ?? null, after?.id ?? null],
      );
      for (const row of rows) {
        const mailbox = mailboxOf(row.email);
        if (mailbox === row.email) continue;
        const isMoved = mailbox !== undefined && (await move(pool, table, row, mailbox));
        const { organization_id: organizationId, id } = row;
        const said = isMoved ? 'an address has its one form now' : 'an address is left in a form that is not the one';
        log[isMoved ? 'info' : 'warn']({ table, organizationId, id, isAddress: mailbox !== undefined }, said);
      }
      after = rows.length === rowsAtOnce ? rows.at(-1) : undefined;
    } while (after && !signal.aborted);
  }
}

/** False where the form is somebody else's. */
async function move(pool: Pool, table: string, { organization_id, id, email }: Row, mailbox: string): Promise<boolean> {
  try {
    await transaction(pool, async (client) => {
      const at = [organization_id, id, email, mailbox];
      await client.query(
        `UPDATE auth.${table} SET email = $4 WHERE organization_id = $1 AND id = $2 AND email = $3`,
        at,
      );
      // What waits for this address is for it still.
      await client.query(
        'UPDATE auth.mails SET recipient = $4 WHERE organization_id = $1 AND subject_id = $2 AND recipient = $3',
        at,
      );
    });
    return true;
  } catch (error) {
    if (violatedConstraint(error) === undefined) throw error;
    return false;
  }
}
