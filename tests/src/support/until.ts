import { setTimeout as wait } from 'node:timers/promises';
import { describeError } from '@worktide/runtime';

/**
 * Asks until the answer is neither undefined nor false; an answer that throws counts as "not yet".
 * @throws Error with what was waited for and the last answer, when the deadline passes.
 */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  { seconds = 30, everyMs = 50 } = {},
): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  let last = 'never asked';
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      last = String(answer);
    } catch (error) {
      last = describeError(error);
    }
    if (Date.now() > deadline) throw new Error(`${what}: not within ${seconds} s (${last.slice(0, 2_000)})`);
    await wait(everyMs);
  }
}
