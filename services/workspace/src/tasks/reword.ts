import { type Pool, transaction } from '@worktide/postgres';
import { taskWords, wordsForm } from './words.ts';

const rowsAtOnce = 500;

/**
 * Makes the words of tasks anew that were made by an older rule, so that they are found like those of today; how many.
 * Any number of replicas may do so at once, and people may change the tasks meanwhile.
 */
export async function rewordTasks(pool: Pool, signal: AbortSignal): Promise<number> {
  let reworded = 0;
  for (;;) {
    const done = await transaction(pool, async (client) => {
      const { rows } = await client.query<{
        organization_id: string;
        id: string;
        title: string;
        description: string | null;
      }>(
        `SELECT organization_id, id, title, description FROM workspace.tasks WHERE words_form < $1
         ORDER BY organization_id, id LIMIT ${rowsAtOnce} FOR UPDATE SKIP LOCKED`,
        [wordsForm],
      );
      if (rows.length === 0) return 0;
      const words = rows.map((row) => JSON.stringify(taskWords(row.organization_id, row.title, row.description)));
      await client.query(
        `UPDATE workspace.tasks t SET words_form = $4,
           words = array_to_tsvector(ARRAY(SELECT jsonb_array_elements_text(n.words::jsonb)))
         FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS n(organization_id, id, words)
         WHERE t.organization_id = n.organization_id AND t.id = n.id`,
        [rows.map((row) => row.organization_id), rows.map((row) => row.id), words, wordsForm],
      );
      return rows.length;
    });
    reworded += done;
    if (done < rowsAtOnce || signal.aborted) return reworded;
  }
}
