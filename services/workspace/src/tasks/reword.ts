import { type Pool, transaction } from '@worktide/postgres';
import { backoffMs, describeError, type Lifecycle, type Logger, sleep } from '@worktide/runtime';
import { taskWords, wordsForm } from './words.ts';

const rowsAtOnce = 500;

/** Runs `rewordTasks` in the background until it is done once, however long the database is away, or the process ends. */
export function startRewording({ pool, lifecycle, log }: { pool: Pool; lifecycle: Lifecycle; log: Logger }): void {
  const stop = new AbortController();
  const rewording = (async () => {
    for (let attempt = 0; !stop.signal.aborted; attempt++) {
      try {
        const tasks = await rewordTasks(pool, stop.signal);
        if (tasks > 0) log.info({ tasks }, 'words of tasks were made anew');
        return;
      } catch (error) {
        log.warn({ err: error }, `tasks are not reworded yet: ${describeError(error)}`);
        await sleep(backoffMs(attempt, 1_000, 60_000), stop.signal);
      }
    }
  })();
  lifecycle.onClose('workspace rewording', async () => {
    stop.abort();
    await rewording;
  });
}

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
