import { setTimeout as wait } from 'node:timers/promises';

/** Waits; returns early (without throwing) when the signal aborts. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  await wait(ms, undefined, signal ? { signal } : {}).catch(() => {});
}

/** Full-jitter exponential backoff: attempt 0, 1, 2 … → up to base × 2^attempt, capped, never below base / 2. */
export function backoffMs(attempt: number, baseMs = 100, capMs = 5_000): number {
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 16));
  return Math.max(baseMs / 2, Math.random() * ceiling);
}
