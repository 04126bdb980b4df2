import { backoffMs } from '@worktide/runtime';
import type { QueuedPing, Store } from './store.ts';

export interface SenderOptions {
  store: Pick<Store, 'next' | 'done' | 'waiting'>;
  url: string;
  key: string;
  out(line: string): void;
  err(line: string): void;
  /** Between two requests while there is more: a week offline comes in order, and floods nobody. 250 ms unless said. */
  paceMs?: number;
  /** Between two looks at a queue that is empty; 5 s unless said. */
  idleMs?: number;
  /** As `setTimeout`, resolved early by `signal`. */
  sleep?(ms: number, signal: AbortSignal): Promise<void>;
}

const pingsAtOnce = 500;
const requestMs = 30_000;
/** A key that is refused may be let in again: asked so seldom it does no harm. */
const refusedMs = 300_000;

const wait = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done);
  });

type Outcome =
  | { kind: 'taken' | 'dropped'; refused: number }
  | { kind: 'later'; afterMs: number | undefined; why: string };

/** Sends what is in the queue, oldest first, one request at a time, until the signal ends it. */
export async function sendQueue(options: SenderOptions, signal: AbortSignal): Promise<void> {
  const { store, out, err, paceMs = 250, idleMs = 5_000, sleep = wait } = options;
  let failures = 0;
  let half = pingsAtOnce;
  while (!signal.aborted) {
    const pings = store.next(half, Date.now());
    if (pings.length === 0) {
      await sleep(idleMs, signal);
      continue;
    }
    const outcome = await post(options, pings, signal);
    if (signal.aborted) return;
    if (outcome.kind === 'later') {
      failures++;
      const ms = outcome.afterMs ?? backoffMs(failures, 1_000, 60_000);
      // Once when it begins, and then with every minute's try.
      if (failures === 1 || ms >= 60_000)
        err(`Worktide is not reached (${outcome.why}); ${store.waiting()} pings wait.`);
      await sleep(ms, signal);
      continue;
    }
    if (outcome.kind === 'dropped' && pings.length > 1) {
      // One of them is not to be taken, and the answer does not say which.
      half = Math.max(1, Math.floor(pings.length / 2));
      continue;
    }
    if (failures > 0) out(`Worktide is reached again; ${store.waiting()} pings wait.`);
    if (outcome.refused > 0)
      err(`${outcome.refused} pings were refused and are gone: they are too old, or not what Worktide takes.`);
    failures = 0;
    half = Math.min(pingsAtOnce, half * 2);
    store.done(pings);
    await sleep(paceMs, signal);
  }
}

async function post({ url, key }: SenderOptions, pings: QueuedPing[], signal: AbortSignal): Promise<Outcome> {
  try {
    const response = await fetch(`${url}/api/v1/pings`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(pings),
      signal: AbortSignal.any([signal, AbortSignal.timeout(requestMs)]),
      redirect: 'error',
    });
    const text = await response.text();
    const { status } = response;
    const after = Number(response.headers.get('retry-after'));
    const afterMs = after > 0 ? after * 1_000 : undefined;
    if (status === 202) {
      const answer = JSON.parse(text) as { rejected: unknown[] };
      return { kind: 'taken', refused: answer.rejected.length };
    }
    if (status === 401 || status === 403)
      return { kind: 'later', afterMs: refusedMs, why: `the key is refused: ${status}` };
    // Every ping of it is bad.
    if (status === 400) return { kind: pings.length === 1 ? 'taken' : 'dropped', refused: 1 };
    if (status === 413 && pings.length > 1) return { kind: 'dropped', refused: 0 };
    if (status === 413) return { kind: 'taken', refused: 1 };
    return { kind: 'later', afterMs, why: `it answers ${status}` };
  } catch (error) {
    const { cause } = error as { cause?: { code?: string } };
    return { kind: 'later', afterMs: undefined, why: cause?.code ?? (error as Error).name };
  }
}
