import { describeError } from './errors.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Logger } from './log.ts';
import { backoffMs, sleep } from './sleep.ts';

/**
 * Does something once in the background, after however many attempts (what it needs may be away for long), unless the
 * process ends first: closing aborts the signal and waits for the attempt that is under way.
 * @param name in log lines and of the closer.
 */
export function startUntilDone(
  name: string,
  work: (signal: AbortSignal) => Promise<void>,
  { lifecycle, log }: { lifecycle: Lifecycle; log: Logger },
): void {
  const stop = new AbortController();
  const working = (async () => {
    for (let attempt = 0; !stop.signal.aborted; attempt++) {
      try {
        return await work(stop.signal);
      } catch (error) {
        log.warn({ err: error }, `${name}: not done yet: ${describeError(error)}`);
        await sleep(backoffMs(attempt, 1_000, 60_000), stop.signal);
      }
    }
  })();
  lifecycle.onClose(name, async () => {
    stop.abort();
    await working;
  });
}
