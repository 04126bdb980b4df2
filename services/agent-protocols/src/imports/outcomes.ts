import type { Consumer, EventLog } from '@worktide/event-log';
import { checkPostgres, type Pool, tenantTransaction } from '@worktide/postgres';
import {
  type Codec,
  type ConflictReason,
  type ImportOutcome,
  importOutcome,
  readRecord,
  topics,
} from '@worktide/schemas';
import { contentOfKey } from './bring.ts';
import { forgetContent } from './content.ts';
import { createProblems } from './problems.ts';
import { findImport, settleDone } from './store.ts';

const messages: Record<ConflictReason, string> = {
  overlap: 'Another entry has some of this time.',
  invalid: 'The entry is none that can be kept.',
  missing_idempotency_key: 'The entry is none that can be kept.',
  project_unknown: 'Its project is not there any more.',
  project_archived: 'Its project is not active any more.',
  task_unknown: 'Its task is not there any more.',
};

/** Follows topic `import-outcomes` for ever: what became of entries, and with the last of them that an import is done. */
export function followOutcomes({
  eventLog,
  pool,
  codec,
  service,
}: {
  service: string;
  eventLog: Pick<EventLog, 'consume'>;
  pool: Pool;
  codec: Codec;
}): Promise<Consumer> {
  return eventLog.consume({
    group: `${service}-import-outcomes`,
    topics: [topics['import-outcomes'].name],
    maxBytes: 1024 * 1024,
    ready: () => codec.prepare(),
    answers: checkPostgres(pool),
    handle: async (batch, context) => {
      for (const record of batch) {
        const read = readRecord(codec, record.value, importOutcome);
        if ('unusable' in read) context.deadLetter(record, read.unusable);
        else await noteOutcome(pool, read.data);
      }
    },
  });
}

/** Notes what became of one part. Again changes nothing. Rejects 503. */
export async function noteOutcome(pool: Pool, outcome: ImportOutcome): Promise<void> {
  const { organizationId, importId, part, created, skipped, conflicts } = outcome;
  await tenantTransaction(
    pool,
    organizationId,
    async (client) => {
      const row = await findImport(client, organizationId, importId, true);
      // Taken out meanwhile.
      if (!row) return;
      const { rowCount } = await client.query(
        `INSERT INTO agent_protocols.import_outcomes (organization_id, import_id, part) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
        [organizationId, importId, part],
      );
      if (rowCount !== 1) return;
      const problems = createProblems(row.conflicts);
      for (const { index, reason } of conflicts) {
        problems.add({ code: reason.toUpperCase(), message: messages[reason] }, index);
      }
      await client.query(
        `UPDATE agent_protocols.imports
         SET added = added + $3, already_there = already_there + $4, refused = refused + $5, conflicts = $6
         WHERE organization_id = $1 AND id = $2`,
        [organizationId, importId, created, skipped, conflicts.length, JSON.stringify(problems.list)],
      );
      const refused = new Set(conflicts.flatMap(({ idempotencyKey }) => contentOfKey(idempotencyKey) ?? []));
      await forgetContent(client, { organizationId, importId, part }, refused);
      await settleDone(client, organizationId, importId);
    },
    { own: true },
  );
}
