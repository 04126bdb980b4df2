import { describeError } from './errors.ts';
import type { Logger } from './log.ts';
import { sleep } from './sleep.ts';

export interface EveryOptions {
  /** The pause after a pass that went well, in ms; a function is asked each time. */
  everyMs: number | (() => number);
  /** The pause after a pass that failed; a function is told how many have in a row. `everyMs` unless said. */
  retryMs?: number | ((failures: number) => number);
  /** `now` unless said; `later`: after a first pause. */
  first?: 'now' | 'later';
  /** How long closing waits for the pass under way; for its end unless said. */
  graceMs?: number;
}

/**
 * One pass. Where it answers `true` there is more to do, and the next follows at once.
 * @param signal aborted when the loop is stopped; a pass that takes long looks at it.
 */
export type Pass = (signal: AbortSignal) => unknown;

export interface Loop {
  /**
   * Something came up: the next pass follows at once, after the present one where there is one. A pause after a failure
   * is not cut short by it, for while everything fails that would spin.
   */
  wake(): void;
  /** No further pass; resolves when the present one has ended. Closing does it by itself. */
  stop(): Promise<void>;
}

/** The loop of `lifecycle.every`, which see. */
export function startLoop(
  name: string,
  { everyMs, retryMs = everyMs, first = 'now' }: EveryOptions,
  pass: Pass,
  { log, pause = sleep }: { log: Logger; pause?: typeof sleep },
): Loop {
  const stopping = new AbortController();
  let nap = new AbortController();
  let woken = false;
  let failures = 0;

  async function rest(): Promise<void> {
    nap = new AbortController();
    // What came up meanwhile may have been too late for the pass.
    if (!woken && !stopping.signal.aborted)
      await pause(typeof everyMs === 'function' ? everyMs() : everyMs, nap.signal);
  }

  async function run(): Promise<void> {
    if (first === 'later') await rest();
    while (!stopping.signal.aborted) {
      woken = false;
      try {
        const isMore = (await pass(stopping.signal)) === true;
        if (failures > 0) log.info({ failures }, `${name}: works again`);
        failures = 0;
        if (!isMore) await rest();
      } catch (error) {
        if (stopping.signal.aborted) return;
        if (failures++ === 0) log.warn({ err: error }, `${name}: tried again: ${describeError(error)}`);
        await pause(typeof retryMs === 'function' ? retryMs(failures) : retryMs, stopping.signal);
      }
    }
  }

  const running = run();
  return {
    wake() {
      woken = true;
      nap.abort();
    },
    stop() {
      stopping.abort();
      nap.abort();
      return running;
    },
  };
}

/**
 * Stops a loop that begins work which goes on beside it, and waits for that work, too: what its present pass is about to begin
 * is under way only when the pass has ended.
 * @param works what is under way; asked once the loop has ended.
 * @param graceMs at most so long: what has not ended by then is left to the caller.
 */
export async function stopWith(
  loop: Pick<Loop, 'stop'>,
  works: () => Iterable<Promise<unknown>>,
  graceMs: number,
): Promise<void> {
  const over = new AbortController();
  async function ended(): Promise<void> {
    await loop.stop();
    await Promise.allSettled(works());
  }
  await Promise.race([ended(), sleep(graceMs, over.signal)]);
  over.abort();
}
