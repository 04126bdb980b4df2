import { AppError, requestAborted } from '../errors.ts';
import type { Metrics } from '../metrics.ts';

export interface TurnsOptions {
  /** The metrics' label, e.g. `reports`. */
  name: string;
  /** Works side by side. */
  places: number;
  /** Places that one subject may have; all but one unless said, so that a newcomer need not wait for one to end. */
  placesEach?: number;
  /** Works that may wait; above it the one loses its place whose turn would come last. 1,000 unless said. */
  maxWaiting?: number;
  /** Works of one subject that may wait; 100 unless said. */
  maxWaitingEach?: number;
  /** How long one may wait, in ms; 10 s unless said. */
  maxWaitMs?: number;
  metrics: Metrics;
  /** What a caller is told whose turn does not come; `BUSY` unless said. */
  code?: string;
  message?: string;
}

export interface Turn {
  /** Ends the wait, e.g. because whoever asked went away. Work that has begun watches it by itself. */
  signal?: AbortSignal | undefined;
  /** What it costs, in a unit that is the same for all, e.g. pixels. Measured unless said: the milliseconds it takes. */
  cost?: number;
}

/** Something that few can do at once, e.g. hashing passwords, for which subjects stand in queues of their own. */
export interface Turns {
  /**
   * Waits for the subject's turn and does the work. The subject is an organisation, or an address before there is one.
   * @throws AppError 503 with the code of these turns where too many wait, or it waited too long; what `work` throws.
   */
  run<T>(subject: string, work: () => Promise<T>, turn?: Turn): Promise<T>;
  readonly running: number;
  readonly waiting: number;
}

interface Waiter {
  cost: number | undefined;
  since: number;
  /** Told what it was charged. */
  begin(charged: number): void;
  refuse(): void;
}

interface Queue {
  subject: string;
  waiters: Waiter[];
  running: number;
  /** What its works have cost, on the clock of virtual time. */
  spent: number;
  /** What its last work cost: the charge in advance for the next, made good when that one has ended. */
  usual: number;
}

/** Subjects without work, remembered for what they have spent, until they are as many as this. */
const maxIdle = 10_000;

/**
 * Takes works by turns: the next is of the subject that has cost least so far, not of whoever asked first or most. Who
 * comes new starts level with those being served. So a thousand works of one subject delay another's first by no more
 * than those already in a place. (Start-time fair queueing: Goyal, Vin and Cheng, 1996.)
 */
export function createTurns(options: TurnsOptions): Turns {
  const { name, places, maxWaiting = 1_000, maxWaitingEach = 100, maxWaitMs = 10_000, metrics } = options;
  const placesEach = options.placesEach ?? Math.max(1, places - 1);
  const labels = { turns: name };
  const runningGauge = metrics.gauge('worktide_turns_running', 'Works in a place.', ['turns']);
  const waitingGauge = metrics.gauge('worktide_turns_waiting', 'Works that wait for a place.', ['turns']);
  const refused = metrics.counter('worktide_turns_refused_total', 'Works whose turn did not come.', ['turns']);
  const waited = metrics.histogram(
    'worktide_turns_wait_seconds',
    'How long works waited for a place.',
    [0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 10],
    ['turns'],
  );
  /** Those with works that wait or are in a place. */
  const busy = new Map<string, Queue>();
  /** Those without, that have spent more than the clock says. */
  const idle = new Map<string, Queue>();
  let running = 0;
  let waiting = 0;
  /** Virtual time: what the subject served last had spent. */
  let clock = 0;

  function show(): void {
    runningGauge.set(labels, running);
    waitingGauge.set(labels, waiting);
  }

  function refusal(why: string): AppError {
    refused.inc(labels);
    return new AppError(options.code ?? 'BUSY', options.message ?? 'Too much is in work at the moment; try again.', {
      statusCode: 503,
      retryAfterSeconds: 2,
      cause: `turns ${name}: ${why}; ${running} running, ${waiting} waiting`,
    });
  }

  function queueOf(subject: string): Queue {
    let queue = busy.get(subject);
    if (queue) return queue;
    queue = idle.get(subject) ?? { subject, waiters: [], running: 0, spent: clock, usual: 1 };
    queue.spent = Math.max(queue.spent, clock);
    idle.delete(subject);
    busy.set(subject, queue);
    return queue;
  }

  function settle(queue: Queue): void {
    if (queue.running > 0 || queue.waiters.length > 0) return;
    busy.delete(queue.subject);
    // Nobody competes: nobody is behind anybody.
    if (busy.size === 0) idle.clear();
    else if (queue.spent > clock) {
      if (idle.size >= maxIdle) idle.clear();
      idle.set(queue.subject, queue);
    }
  }

  /** When the last of so many waiting would be done, by the clock of virtual time. */
  const endOf = ({ spent, usual }: Queue, waiters: number): number => spent + waiters * usual;

  /** The queue whose last work would come after all others. */
  function latest(): Queue | undefined {
    let found: Queue | undefined;
    for (const queue of busy.values()) {
      if (queue.waiters.length === 0) continue;
      if (!found || endOf(queue, queue.waiters.length) > endOf(found, found.waiters.length)) found = queue;
    }
    return found;
  }

  function dispatch(): void {
    while (running < places && waiting > 0) {
      let next: Queue | undefined;
      for (const queue of busy.values()) {
        if (queue.waiters.length === 0 || queue.running >= placesEach) continue;
        if (!next || queue.spent < next.spent) next = queue;
      }
      if (!next) break;
      const waiter = next.waiters.shift()!;
      waiting--;
      running++;
      next.running++;
      clock = Math.max(clock, next.spent);
      const charged = waiter.cost ?? next.usual;
      next.spent += charged;
      waited.observe(labels, (performance.now() - waiter.since) / 1000);
      waiter.begin(charged);
    }
    show();
  }

  function place(queue: Queue, { cost, signal }: Turn): Promise<number> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => leave(refusal(`waited ${maxWaitMs} ms`)), maxWaitMs);
      const onAbort = (): void => leave(requestAborted());
      const forget = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const waiter: Waiter = {
        cost,
        since: performance.now(),
        begin(charged) {
          forget();
          resolve(charged);
        },
        refuse: () => leave(refusal('more wait than may')),
      };
      function leave(error: AppError): void {
        forget();
        queue.waiters.splice(queue.waiters.indexOf(waiter), 1);
        waiting--;
        settle(queue);
        show();
        reject(error);
      }
      queue.waiters.push(waiter);
      waiting++;
      signal?.addEventListener('abort', onAbort, { once: true });
      dispatch();
    });
  }

  return {
    async run(subject, work, turn = {}) {
      if (turn.signal?.aborted) throw requestAborted();
      const queue = queueOf(subject);
      if (queue.waiters.length >= maxWaitingEach) throw refusal(`${subject} has ${queue.waiters.length} waiting`);
      if (waiting >= maxWaiting) {
        // The newcomer's place in the line is paid for by whoever has most before them, or has had most already: so
        // no number of addresses with one work each keeps others out for good.
        const last = latest();
        if (!last || endOf(last, last.waiters.length) <= endOf(queue, queue.waiters.length + 1)) {
          settle(queue);
          throw refusal('more wait than may');
        }
        last.waiters.at(-1)!.refuse();
      }
      const charged = await place(queue, turn);
      const started = performance.now();
      try {
        return await work();
      } finally {
        const cost = turn.cost ?? performance.now() - started;
        queue.spent += cost - charged;
        queue.usual = cost;
        queue.running--;
        running--;
        settle(queue);
        dispatch();
      }
    },
    get running() {
      return running;
    },
    get waiting() {
      return waiting;
    },
  };
}
