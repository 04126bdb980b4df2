import { backoffMs, describeError, type Lifecycle, type Logger, sleep } from '@worktide/runtime';
import type { Eraser } from './eraser.ts';

/** How soon what another process recorded is seen, or what a dead one left. */
const pollMs = 5_000;
const maxRetryMs = 10_000;

/** Works off erasures for as long as the service runs. @returns what to call when one was recorded. */
export function eraseForEver(eraser: Eraser, { lifecycle, log }: { lifecycle: Lifecycle; log: Logger }): () => void {
  let woken = true;
  let nap = new AbortController();
  let failures = 0;
  const stopped = new Promise<void>((resolve) => {
    lifecycle.signal.addEventListener('abort', () => {
      nap.abort();
      resolve();
    });
  });

  async function pass(): Promise<void> {
    try {
      await eraser.measure();
      // What the log does not take now is published later; closing does not wait for it.
      while (!lifecycle.signal.aborted && (await Promise.race([eraser.step(), stopped.then(() => false)])))
        failures = 0;
    } catch (error) {
      if (failures++ === 0) log.warn({ err: error }, `an erasure is tried again: ${describeError(error)}`);
      await sleep(backoffMs(failures, 200, maxRetryMs), lifecycle.signal);
      woken = true;
    }
  }

  const running = (async () => {
    while (!lifecycle.signal.aborted) {
      if (!woken) await sleep(pollMs, nap.signal);
      woken = false;
      nap = new AbortController();
      if (!lifecycle.signal.aborted) await pass();
    }
  })();
  lifecycle.onClose('eraser', () => running);

  return () => {
    woken = true;
    nap.abort();
  };
}
