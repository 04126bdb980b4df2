import type { IncomingMessage } from 'node:http';
import { type Logger, type Metrics, traceHeader, traceparentFor } from '@worktide/runtime';
import { type SyncOutcome, syncOutcome } from '@worktide/schemas';

/** The longest that a request may wait for the outcome of its batch. */
export const maxWaitSeconds = 30;
/** Of one question: an answer of the writer has thirty seconds. */
const maxQuestionSeconds = 20;
/** What an answer may take beyond the wait. */
const slackMs = 3_000;

/**
 * Seconds that a request prefers to wait (RFC 7240 §4.3: `Prefer: wait=10`), as far as we do; undefined where it does not
 * say so.
 */
export function waitPreferred({ headers }: IncomingMessage): number | undefined {
  const given = headers.prefer;
  const text = Array.isArray(given) ? given.join(',') : (given ?? '');
  for (const preference of text.slice(0, 1_000).split(',')) {
    const [, seconds] = /^\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:;|$)/i.exec(preference) ?? [];
    // The first of several holds.
    if (seconds !== undefined) return Math.min(Number(seconds), maxWaitSeconds);
  }
  return undefined;
}

/** The writer, asked for what has become of a batch. */
export interface Outcomes {
  /**
   * Never fails.
   * @param authorization the caller's own: it is their batch.
   * @returns undefined where it is not known by then, or the writer is away.
   */
  ask(
    batchId: string,
    wait: { seconds: number; authorization: string; requestId: string; signal: AbortSignal },
  ): Promise<SyncOutcome | undefined>;
}

export function createOutcomes({
  writerUrl,
  metrics,
  log,
}: {
  writerUrl: string;
  metrics: Metrics;
  log: Logger;
}): Outcomes {
  const asked = metrics.counter(
    'worktide_sync_waits_total',
    'Requests that waited for the outcome of their batch, by what came of it.',
    ['result'],
  );

  async function question(
    batchId: string,
    { seconds, authorization, requestId, signal }: Parameters<Outcomes['ask']>[1],
  ): Promise<SyncOutcome | undefined> {
    const traceparent = traceparentFor();
    const url = new URL(`/api/v1/sync/batches/${batchId}?wait=${seconds}`, writerUrl);
    const response = await fetch(url, {
      headers: { authorization, 'x-request-id': requestId, ...(traceparent && { [traceHeader]: traceparent }) },
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(seconds * 1_000 + slackMs)]),
    });
    if (response.status === 200) return syncOutcome.parse(await response.json());
    await response.body?.cancel();
    if (response.status !== 202) throw new Error(`the writer answered ${response.status}`);
    return undefined;
  }

  return {
    async ask(batchId, wait) {
      const until = performance.now() + wait.seconds * 1_000;
      let result: 'known' | 'pending' | 'failed' = 'pending';
      let outcome: SyncOutcome | undefined;
      for (
        let left = wait.seconds;
        left > 0 && !wait.signal.aborted;
        left = Math.floor((until - performance.now()) / 1_000)
      ) {
        try {
          outcome = await question(batchId, { ...wait, seconds: Math.min(left, maxQuestionSeconds) });
          result = outcome ? 'known' : 'pending';
        } catch (err) {
          log.debug({ err, batchId }, 'the outcome of a batch could not be asked for');
          result = 'failed';
          break;
        }
        if (outcome) break;
      }
      asked.inc({ result });
      return outcome;
    },
  };
}
