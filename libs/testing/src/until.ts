import { setTimeout as wait } from 'node:timers/promises';
import { describeError } from '@worktide/runtime';

type Never = undefined | false;

/**
 * Asks until the answer is neither undefined nor false, and gives it; an answer that throws counts as "not yet".
 * @throws Error with what was waited for and the last answer, when the time is over.
 */
export async function until<T>(
  what: string,
  ask: () => Promise<T | Never> | T | Never,
  { seconds = 30, everyMs = 20 } = {},
): Promise<T> {
  const deadline = performance.now() + seconds * 1_000;
  for (;;) {
    let last: string;
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      last = String(answer);
    } catch (error) {
      last = describeError(error);
    }
    if (performance.now() > deadline) throw new Error(`${what}: not within ${seconds} s (${last.slice(0, 2_000)})`);
    await wait(everyMs);
  }
}

/** Asserts until the assertion holds. @throws its last failure, when the time is over. */
export async function eventually(assert: () => unknown, { seconds = 30, everyMs = 10 } = {}): Promise<void> {
  for (const deadline = performance.now() + seconds * 1_000; ; await wait(everyMs)) {
    try {
      await assert();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}
